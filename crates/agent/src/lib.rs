//! The turn loop as a pure fold: records in, next action out.
//!
//! [`Session`] is the state of one session, derived from its log alone. A driver asks
//! [`Session::next`] what to do, does it, appends the records that result and applies them.
//! Resume, replay, fork, tests and every view of a session are this one fold over the same
//! records. Nothing here does IO, reads a clock or makes an id.

pub mod agents_md;
pub mod context;
pub mod prompts;
mod session;
pub mod tools;

pub use session::{CompactRequest, Next, Session, Totals, TurnTotals};
