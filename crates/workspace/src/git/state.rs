//! What a repository is in the middle of, read without a process.

use super::discover::Repository;
use super::refs::{Head, HeadError};

/// What a repository is in the middle of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// What is checked out.
    pub head: Head,
    /// An operation that was begun and not ended.
    pub operation: Option<Operation>,
    /// Whether history is cut off somewhere.
    pub shallow: bool,
    /// Whether there is no work tree.
    pub bare: bool,
}

impl State {
    /// Whether there is no commit yet.
    pub fn unborn(&self) -> bool {
        self.head.commit().is_none()
    }

    /// Whether no branch is checked out.
    pub fn detached(&self) -> bool {
        matches!(self.head, Head::Detached(_))
    }
}

/// An operation that was begun and not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Named after git's commands.
pub enum Operation {
    Merge,
    Rebase,
    Am,
    CherryPick,
    Revert,
    Bisect,
}

impl Repository {
    /// Reads what the repository is in the middle of. Takes microseconds.
    ///
    /// # Errors
    /// As [`Repository::head`].
    pub fn state(&self) -> Result<State, HeadError> {
        Ok(self.state_with(self.head()?))
    }

    /// The same for a HEAD that was read already.
    pub fn state_with(&self, head: Head) -> State {
        let has = |name: &str| self.git_dir.join(name).exists();
        // A rebase may leave the marks of others behind, so it is asked for first.
        let operation = if has("rebase-merge") {
            Some(Operation::Rebase)
        } else if has("rebase-apply") {
            let am = has("rebase-apply/applying");
            Some(if am { Operation::Am } else { Operation::Rebase })
        } else if has("MERGE_HEAD") {
            Some(Operation::Merge)
        } else if has("CHERRY_PICK_HEAD") {
            Some(Operation::CherryPick)
        } else if has("REVERT_HEAD") {
            Some(Operation::Revert)
        } else if has("BISECT_LOG") {
            Some(Operation::Bisect)
        } else {
            None
        };
        let shallow = self.common_dir.join("shallow").exists();
        State {
            head,
            operation,
            shallow,
            bare: self.root.is_none(),
        }
    }
}
