//! The API from outside: requests against the router, over a real store.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]

mod attempts;
mod common;
mod events;
mod guards;
mod openapi;
mod outputs;
mod places;
mod repositories;
mod serve;
mod tasks;
mod tokens;
