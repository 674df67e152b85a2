//! Finishes or undoes what a dead process left.

use std::io;
use std::path::Path;

use rustix::fs::AtFlags;

use super::commit::{perform, roll_forward};
use super::error::ApplyIoError;
use super::journal::{self, Action, Journal, Lock, State, split};
use super::tree::WorkTree;

/// What a recovery found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// Nothing was left unfinished.
    Nothing,
    /// A patch had not been committed; its staged files are gone.
    Undone,
    /// A committed patch was finished.
    Finished {
        /// Files that could not be changed any more, because the tree is another one by now.
        skipped: Vec<String>,
    },
    /// The journal was about another tree at the same path, or unreadable, and was set aside.
    SetAside,
}

/// Finishes a committed patch, or undoes an uncommitted one, for the tree at `root`.
pub fn recover(root: &Path, journal_dir: &Path) -> Result<Recovered, ApplyIoError> {
    let tree = WorkTree::open(root)?;
    let no_journal = |source| ApplyIoError::Journal {
        path: journal_dir.to_owned(),
        source,
    };
    let path = journal::path_for(tree.real_root(), journal_dir).map_err(no_journal)?;
    let _lock = Lock::patching(&path).map_err(no_journal)?;
    recover_locked(&tree, &path)
}

/// Recovers while the caller holds the lock for patching.
pub(super) fn recover_locked(tree: &WorkTree, path: &Path) -> Result<Recovered, ApplyIoError> {
    // Whoever began to write it is dead: this process holds the lock.
    journal::remove_draft(path);
    if !path.exists() {
        return Ok(Recovered::Nothing);
    }
    let failed = |source| ApplyIoError::Journal {
        path: path.to_owned(),
        source,
    };
    // A committer of a dead process may still be at it.
    let _lock = Lock::committing(path).map_err(failed)?;
    let journal = match Journal::read(path) {
        Ok(None) => {
            return Ok(Recovered::Finished {
                skipped: Vec::new(),
            });
        }
        Ok(Some(journal)) => journal,
        Err(error) if is_unreadable(&error) => return set_aside(path).map_err(failed),
        Err(error) => return Err(failed(error)),
    };
    let ours = tree.identity().map_err(failed)? == journal.identity;
    if !ours || journal.root != tree.real_root() {
        return set_aside(path).map_err(failed);
    }
    match journal.state {
        State::Staging => {
            undo(tree, &journal, path);
            Ok(Recovered::Undone)
        }
        State::Committed => {
            let skipped = finish_what_can_be(tree, &journal, path)?;
            journal::remove(path).map_err(failed)?;
            Ok(Recovered::Finished { skipped })
        }
    }
}

/// Removes staged files, the directories made for them, and the journal.
///
/// What cannot be removed is left: it is out of the way of any later patch.
pub(super) fn undo(tree: &WorkTree, journal: &Journal, path: &Path) {
    for action in &journal.actions {
        if let Action::Replace { staged, .. } = action {
            let _ = unlink(tree, staged, AtFlags::empty());
        }
    }
    for directory in journal.directories.iter().rev() {
        // Fails, as it should, if somebody has put a file there.
        let _ = unlink(tree, directory, AtFlags::REMOVEDIR);
    }
    let _ = journal::remove(path);
}

/// Performs the actions that the tree still has room for, and returns the others' targets.
fn finish_what_can_be(
    tree: &WorkTree,
    journal: &Journal,
    path: &Path,
) -> Result<Vec<String>, ApplyIoError> {
    if roll_forward(tree, journal).is_ok() {
        return Ok(Vec::new());
    }
    let mut skipped = Vec::new();
    for action in &journal.actions {
        let Err(source) = perform(tree, action) else {
            continue;
        };
        let target = action.target().to_owned();
        if !is_for_good(&source) {
            return Err(ApplyIoError::HalfWay {
                path: target,
                journal: path.to_owned(),
                source,
            });
        }
        if let Action::Replace { staged, .. } = action {
            let _ = unlink(tree, staged, AtFlags::empty());
        }
        skipped.push(target);
    }
    Ok(skipped)
}

fn unlink(tree: &WorkTree, path: &str, flags: AtFlags) -> io::Result<()> {
    let (directory, name) = split(path);
    Ok(rustix::fs::unlinkat(
        tree.directory(directory)?,
        name,
        flags,
    )?)
}

/// Says whether trying again later is pointless: the place itself is another one now.
fn is_for_good(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, IsADirectory, NotADirectory, NotFound};
    const LOOP: i32 = rustix::io::Errno::LOOP.raw_os_error();
    matches!(
        error.kind(),
        CrossesDevices | IsADirectory | NotADirectory | NotFound
    ) || error.raw_os_error() == Some(LOOP)
}

fn is_unreadable(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, UnexpectedEof};
    matches!(error.kind(), InvalidData | UnexpectedEof)
}

fn set_aside(path: &Path) -> io::Result<Recovered> {
    std::fs::rename(path, path.with_extension("set-aside"))?;
    Ok(Recovered::SetAside)
}
