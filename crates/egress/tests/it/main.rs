//! The proxy against real sockets: what it lets through, what it refuses, and what it says.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod addresses;
mod environment;
mod given;
mod hellos;
mod life;
mod patience;
mod requests;
mod support;
mod tls;
mod upstream;
