//! The harness's own git against real repositories, hostile ones included.

mod checkpoints;
mod common;
mod diffs;
mod discovery;
mod hostile;
mod identity;
mod measure;
