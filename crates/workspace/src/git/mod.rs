//! The harness's own git, on repositories that a cell may have written to.
//!
//! Nothing that a repository names is ever run: no hook, fsmonitor, filter, textconv, external
//! diff, pager, alias, credential helper or remote helper. Switching these off one by one cannot
//! do that, since a filter driver in `.git/config` runs whenever git reads a work tree; so git
//! never sees the repository's configuration at all. It works in a [`Trusted`] directory of our
//! own, which has the repository's objects as alternates and its own configuration and index.
//! Where HEAD points is read by our own code ([`Repository::head`]), without a process.

mod call;
mod checkpoint;
mod create;
mod diff;
mod discover;
mod history;
mod identity;
pub mod import;
mod index;
mod merge;
mod mirror;
mod oid;
mod prepare;
mod refs;
mod reftable;
mod run;
mod settle;
mod state;
mod trusted;

pub use checkpoint::{Checkpoint, CheckpointError, SkipReason, Skipped};
pub use diff::{Diff, DiffOptions, FileStat};
pub use discover::{DiscoverError, Repository, discover};
pub use history::Commit;
pub use identity::{Identity, UserConfig, identity};
pub use merge::{Merge, Merged};
pub use mirror::{Found, Mirror};
pub use oid::Oid;
pub use refs::{Head, HeadError};
pub use run::{Git, Reach, RunError};
pub use settle::Author;
pub use state::{Operation, State};
pub use trusted::{OpenError, OpenOptions, Seed, Trusted};
