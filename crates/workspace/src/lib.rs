//! A task's work tree on disk: what is written to it, and how.

pub mod apply;
pub mod git;
pub mod scan;
