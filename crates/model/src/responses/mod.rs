//! The client of the Responses API.
//!
//! ```text
//! Request ─ body ─▶ POST {base_url}/responses ─▶ status? ─ failure ─▶ ModelError
//!                                                  └ bytes ─ sse ─▶ event ─▶ ModelEvent
//! ```
//!
//! One call of [`Client::respond`](recto_protocol::ports::model::Model::respond) is one HTTP
//! request: no retry, no redirect, and no header beyond what the provider needs. Nothing of this
//! machine (paths, host names, commit ids) goes along.

mod body;
mod client;
mod endpoint;
mod event;
mod failure;
mod reply;
mod sse;
mod wait;

pub use client::Client;
pub use endpoint::SetupError;

pub(crate) use body::assemble;
pub(crate) use endpoint::Origin;
pub(crate) use failure::from_http;
pub(crate) use reply::{BodyStream, Limits, events};
