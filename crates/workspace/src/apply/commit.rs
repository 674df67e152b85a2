//! Works a committed journal off.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::error::ApplyIoError;
use super::journal::{self, Action, Journal, Lock, State, split};
use super::recover::undo;
use super::tree::WorkTree;

/// Works a journal off, here or in a process that outlives this one.
pub trait Committer {
    /// Works the journal off and removes it; [`commit_journal`] does both.
    fn commit(&self, journal: &Path) -> io::Result<()>;
}

/// Works a journal off in the calling process. A kill leaves the rest to recovery.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcess;

impl Committer for InProcess {
    fn commit(&self, journal: &Path) -> io::Result<()> {
        commit_journal(journal)
    }
}

/// Works a committed journal off and removes it. A journal that is gone is done.
pub fn commit_journal(path: &Path) -> io::Result<()> {
    let _lock = Lock::committing(path)?;
    let Some(journal) = Journal::read(path)? else {
        return Ok(());
    };
    let tree = WorkTree::open(&journal.root).map_err(io::Error::other)?;
    if journal.state != State::Committed || tree.identity()? != journal.identity {
        return Err(io::ErrorKind::InvalidData.into());
    }
    roll_forward(&tree, &journal).map_err(|stuck| stuck.source)?;
    journal::remove(path)
}

/// A journal that could not be worked off.
pub(super) struct Stuck {
    /// How many actions are in effect.
    done: usize,
    path: String,
    source: io::Error,
}

/// Has the journal worked off by the committer, or, if that fails, here.
pub(super) fn finish(
    tree: &WorkTree,
    journal: &Journal,
    path: &Path,
    committer: &dyn Committer,
) -> Result<(), ApplyIoError> {
    if committer.commit(path).is_ok() && !path.exists() {
        return Ok(());
    }
    let half_way = |path_in_tree: String, source| ApplyIoError::HalfWay {
        path: path_in_tree,
        journal: path.to_owned(),
        source,
    };
    // Holding the lock, nobody else is at it any more, dead or alive.
    let _lock = Lock::committing(path).map_err(|source| half_way(String::new(), source))?;
    if !path.exists() {
        return Ok(());
    }
    match roll_forward(tree, journal) {
        Ok(()) => {
            let _ = journal::remove(path);
            Ok(())
        }
        Err(stuck) if stuck.done == 0 => {
            undo(tree, journal, path);
            Err(ApplyIoError::Change {
                path: stuck.path,
                source: stuck.source,
            })
        }
        Err(stuck) => Err(half_way(stuck.path, stuck.source)),
    }
}

/// Performs every action and makes the result last.
pub(super) fn roll_forward(tree: &WorkTree, journal: &Journal) -> Result<(), Stuck> {
    for (done, action) in journal.actions.iter().enumerate() {
        let performed = perform(tree, action).and_then(|now| {
            if now || is_in_effect(tree, action) {
                Ok(())
            } else {
                Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    "its new text was removed by somebody else",
                ))
            }
        });
        performed.map_err(|source| Stuck {
            // Actions are idempotent, so what an earlier run did counts as done here too.
            done: done + later_done(tree, &journal.actions[done..]),
            path: action.target().to_owned(),
            source,
        })?;
    }
    sync_directories(tree, journal);
    Ok(())
}

/// Makes renames, removals and new directories outlive a power failure.
pub(super) fn sync_directories(tree: &WorkTree, journal: &Journal) {
    let targets = journal.actions.iter().map(Action::target);
    let made = journal.directories.iter().map(String::as_str);
    let directories: BTreeSet<_> = targets.chain(made).map(|path| split(path).0).collect();
    for directory in directories {
        // The files are in place; a directory that cannot be synced is no reason to stop.
        let _ = sync_directory(tree, directory);
    }
}

/// Performs one action, and says whether there was anything left to do.
pub(super) fn perform(tree: &WorkTree, action: &Action) -> io::Result<bool> {
    let (directory, name) = split(action.target());
    let directory = tree.directory(directory)?;
    let result = match action {
        Action::Replace { staged, .. } => {
            rustix::fs::renameat(&directory, split(staged).1, &directory, name)
        }
        Action::Remove { .. } => rustix::fs::unlinkat(&directory, name, AtFlags::empty()),
    };
    match result {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether an action with nothing left to do was done before, and not made impossible: a staged
/// file that is gone has either become the target or been removed, by `git clean` for example.
fn is_in_effect(tree: &WorkTree, action: &Action) -> bool {
    match action {
        Action::Remove { .. } => true,
        Action::Replace { target, file, .. } => file.is_none_or(|file| {
            tree.stat(target)
                .is_ok_and(|stat| (stat.st_dev, stat.st_ino) == file)
        }),
    }
}

fn later_done(tree: &WorkTree, actions: &[Action]) -> usize {
    let gone = |path: &str| {
        tree.stat(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    actions
        .iter()
        .filter(|action| match action {
            Action::Replace { staged, .. } => gone(staged) && is_in_effect(tree, action),
            Action::Remove { target } => gone(target),
        })
        .count()
}

fn sync_directory(tree: &WorkTree, name: &str) -> io::Result<()> {
    let path = tree.directory(name)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    File::from(rustix::fs::openat(path, ".", flags, Mode::empty())?).sync_all()
}
