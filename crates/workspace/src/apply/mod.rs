//! Puts a patch's [`recto_patch::Plan`] on disk: whole or not at all, and never outside the tree.
//!
//! [`WorkTree`] resolves and reads paths beneath one directory. [`WorkTree::apply`] stages every
//! new text beside its target, writes a journal, and then renames; whoever dies in between leaves
//! a journal from which [`recover()`] finishes or undoes the work. [`apply_text`] is the whole way
//! from a patch's text to what the stand-alone command prints.
//!
//! The tree may belong to somebody hostile. Every path is opened with `openat2` beneath the root,
//! no rename follows a link, and the rules in `rules.rs` keep `.git` and the agent's own
//! configuration out of reach, also where a link leads there.

mod commit;
mod error;
mod journal;
mod recover;
mod rules;
mod stage;
mod standalone;
mod tree;

pub use commit::{Committer, InProcess, commit_journal};
pub use error::ApplyIoError;
pub use recover::{Recovered, recover};
pub use stage::Applied;
pub use standalone::{Outcome, apply_text};
pub use tree::{MAX_FILE_BYTES, WorkTree};
