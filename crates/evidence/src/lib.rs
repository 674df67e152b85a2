//! Evidence: the citations in a final answer, and whether they hold.
//!
//! This crate is layer 1. It does no IO: cited files and chunks reach it through [`Lookup`], and it
//! is total over every text, since answers and outputs are hostile. `docs/citations.md` explains
//! the forms and the verdicts.

mod check;
mod citation;
pub mod claims;
mod plain;
pub mod report;
mod shell;
pub mod summary;
mod tools;

pub use check::{Checked, ChunkText, Lookup, Report, Verdict, check, resolve};
pub use citation::{Citation, Found, Lines, Target, malformed, parse};
pub use plain::plain;
pub use tools::Subject;
