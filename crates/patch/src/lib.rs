//! The `apply_patch` edit format: parse, match, apply, all on plain texts.
//!
//! A patch names files and says what to change by quoting lines, not by counting them. This crate
//! turns its text into a [`Patch`], finds each hunk's lines in the file's text, and answers with a
//! [`Plan`]: the final state of every file, all or nothing. It reads files only through [`Source`]
//! and writes none; `recto-workspace` puts a plan on disk.
//!
//! The format, the matching order and the deliberate differences from the peer are in
//! `docs/apply-patch.md`.

mod edit;
mod error;
mod grammar;
mod heredoc;
mod hint;
mod locate;
mod matching;
mod parse;
mod plan;
mod source;
mod text;

pub use edit::edit;
pub use error::{ApplyError, MatchError, ParseError, ReadFailure};
pub use grammar::LARK_GRAMMAR;
pub use heredoc::{ShellPatch, shell_patch};
pub use locate::locate;
pub use parse::{FileOp, Hunk, HunkLine, MAX_PATCH_BYTES, Patch, parse};
pub use plan::{Change, ChangeKind, Plan, plan};
pub use source::{Meaning, Source, normalise};
