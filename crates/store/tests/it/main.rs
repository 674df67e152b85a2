//! Sessions as files: real directories, real processes, real full disks.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]

mod common;
mod disk;
mod export;
mod fork;
mod list;
mod log;
mod memory;
mod processes;
