//! Evidence: what a final answer cites and claims, and whether it is so.
//!
//! [`check`] resolves citations, [`report`] reads what test runners print, [`claims`] finds what an
//! answer says of tests, builds and linters and holds it against what ran, and [`summary`] puts all of
//! it in one value.
//!
//! This crate is layer 1. It does no IO: texts reach it as arguments or through [`Lookup`], and it is
//! total over every text, since answers and outputs are hostile. `docs/citations.md` and
//! `docs/evidence.md` explain the forms and the verdicts.

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
