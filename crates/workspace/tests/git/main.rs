//! The harness's own git against real repositories, hostile ones included.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]

mod checkpoints;
mod common;
mod diffs;
mod discovery;
mod hostile;
mod identity;
mod import;
mod import_hostile;
mod import_kill;
mod merges;
mod mirrors;
