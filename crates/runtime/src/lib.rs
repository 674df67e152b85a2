//! Drives one agent: performs what the core asks for, through ports.
//!
//! [`Driver`] owns a session's log, asks [`recto_agent::Session::next`] what to do, does it, and
//! appends what came of it. It knows no adapter: model, cell, log and files reach it as ports.

mod driver;
pub mod live;
pub mod opening;
mod output;
pub mod schema;
mod tools;

pub use driver::control::{Control, Handle};
pub use driver::{Driver, DriverError, Parts, TurnInput};
pub use live::{LiveEvent, Sink};
pub use tools::Limits;
pub use tools::image_url;
