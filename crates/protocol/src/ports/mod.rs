//! The traits that adapters implement. Nothing above the adapters knows more of them than this.

pub mod cell;
pub mod checkpoints;
pub mod files;
pub mod log;
pub mod model;
pub mod tasks;
pub mod tokens;
