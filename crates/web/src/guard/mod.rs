//! What stands before every handler: where a request came to, from where, who asks, and how often.

mod admit;
mod host;
mod limits;
mod note;
mod origin;

pub(crate) use admit::{Gate, Peer, admit, no_token};
pub(crate) use host::{Hosts, check as check_host};
pub(crate) use limits::Limits;
pub(crate) use note::note;
pub(crate) use origin::{layer as same_origin, panicked};
