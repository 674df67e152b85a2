//! Model adapters: everything that answers [`Model::respond`](recto_protocol::ports::model::Model).
//!
//! - [`responses`]: a client of the Responses API over HTTP, the one wire this program speaks.
//! - [`providers`]: which endpoints and models are known, as data that configuration extends.
//! - [`script`]: a model that answers from a file, in process or as a loopback server, and the
//!   recorder that writes such files.
//! - [`tls`]: the one place where the TLS provider is chosen.
//!
//! Retrying is the caller's; its policy stands beside the port, in
//! [`retry`].

pub mod providers;
pub mod responses;
pub mod script;
#[cfg(test)]
mod testing;
pub mod tls;

pub use recto_protocol::ports::model::retry;
