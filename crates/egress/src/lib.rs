//! The egress proxy: the only way out of a cell whose network is limited.
//!
//! A cell's doors lead here. What comes through the first is HTTP to a proxy; it is read strictly,
//! judged by the rules, and only then are names resolved (here, never in the cell), addresses
//! checked, and connections made to the very addresses that were checked. Further doors lead to
//! one host and port each. `docs/egress.md` says what holds and what does not.
//!
//! - [`Proxy`], [`Options`]: one per cell; a [`Gateway`](recto_protocol::ports::cell::Gateway).
//! - [`Refusals`]: tells commands why they were refused, whatever their tools make of it.
//! - [`environment`]: what tells the tools in the cell about it.
//! - [`head`], [`hello`], [`target`], [`address`]: the pure parts, public for fuzzing.

pub mod address;
mod answer;
mod authority;
mod body;
mod conn;
mod dial;
mod environment;
mod forward;
pub mod head;
pub mod hello;
mod intercept;
mod judge;
mod options;
mod proxy;
mod refusal;
mod requests;
mod resolve;
mod shared;
mod splice;
pub mod target;
mod told;
mod trace;
mod tunnel;
mod upstream;

pub use environment::{Reachable, environment};
pub use options::{Credential, Limits, Observer, Options, Permission, Roots};
pub use proxy::{Proxy, StartError};
pub use resolve::{Resolve, System};
pub use shared::Stats;
pub use told::Refusals;
pub use upstream::{Upstream, UpstreamError};
