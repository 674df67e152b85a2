//! Writes new texts beside their targets, then lets the journal be worked off.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use recto_patch::{Change, ChangeKind, Plan};
use rustix::fs::{Access, AtFlags, Gid, Mode, OFlags, Stat, StatxAttributes, StatxFlags, Uid};

use super::commit::{Committer, finish, perform, sync_directories};
use super::error::ApplyIoError;
use super::journal::{self, Action, Journal, Lock, STAGED_PREFIX, State, split};
use super::recover::{recover_locked, undo};
use super::tree::WorkTree;

/// What was put on disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Files with a new text, relative to the root.
    pub written: Vec<String>,
    /// Files that are gone, relative to the root.
    pub removed: Vec<String>,
}

impl WorkTree {
    /// Puts a plan on disk: all of it, or, on an error other than
    /// [`ApplyIoError::HalfWay`], nothing.
    ///
    /// A plan for two or more files is worked off by `committer`, which may be another process,
    /// so that the death of this one does not stop it. What an earlier patch left unfinished is
    /// finished first.
    pub fn apply(
        &self,
        plan: &Plan,
        journal_dir: &Path,
        committer: &dyn Committer,
    ) -> Result<Applied, ApplyIoError> {
        let path = journal::path_for(self.real_root(), journal_dir)
            .map_err(|source| no_journal(journal_dir, source))?;
        let _lock = Lock::patching(&path).map_err(|source| no_journal(&path, source))?;
        recover_locked(self, &path)?;
        let (mut journal, texts) = prepare(self, plan)?;
        if journal.actions.is_empty() {
            return Ok(Applied::default());
        }
        let applied = applied(&journal);
        journal
            .write(&path)
            .map_err(|source| no_journal(&path, source))?;
        if let Err(error) = stage(self, &mut journal, &texts) {
            undo(self, &journal, &path);
            return Err(error);
        }
        if let [action] = &journal.actions[..] {
            // One rename is atomic as it is.
            let result = perform(self, action).and_then(|done| {
                if done {
                    Ok(())
                } else {
                    Err(io::ErrorKind::NotFound.into())
                }
            });
            if let Err(source) = result {
                undo(self, &journal, &path);
                return Err(ApplyIoError::Change {
                    path: action.target().to_owned(),
                    source,
                });
            }
            sync_directories(self, &journal);
            // If it stays, it only asks to remove a staged file that is gone.
            let _ = journal::remove(&path);
            return Ok(applied);
        }
        journal.state = State::Committed;
        if let Err(source) = journal.write(&path) {
            undo(self, &journal, &path);
            return Err(no_journal(&path, source));
        }
        finish(self, &journal, &path, committer)?;
        Ok(applied)
    }
}

/// The text for one staged file, and what it takes over from the file it replaces.
struct Text<'p> {
    bytes: &'p [u8],
    like: Option<Stat>,
}

/// Works out the journal; changes nothing.
fn prepare<'p>(tree: &WorkTree, plan: &'p Plan) -> Result<(Journal, Vec<Text<'p>>), ApplyIoError> {
    let root = tree.real_root();
    let identity = tree.identity().map_err(|source| ApplyIoError::Open {
        root: root.to_owned(),
        source,
    })?;
    let mut journal = Journal::new(root, identity);
    let mut missing = BTreeSet::new();
    let mut texts = Vec::new();
    let mut removals = Vec::new();
    let id = fresh_id();
    for change in plan.changes.iter().filter(|change| is_change(change)) {
        let target = change.path.clone();
        let failed = |source| ApplyIoError::Change {
            path: change.path.clone(),
            source,
        };
        check_changeable(tree, &target).map_err(failed)?;
        let Some(bytes) = &change.after else {
            check_removable(tree, &target).map_err(failed)?;
            removals.push(Action::Remove { target });
            continue;
        };
        missing_directories(tree, &target, &mut missing).map_err(failed)?;
        let like = like(tree, change).map_err(failed)?;
        let name = format!("{STAGED_PREFIX}{id}-{}", texts.len());
        let staged = match split(&target).0 {
            "" => name,
            directory => format!("{directory}/{name}"),
        };
        texts.push(Text { bytes, like });
        journal.actions.push(Action::Replace {
            staged,
            target,
            file: None,
        });
    }
    // New names first: a moved file is never nowhere.
    journal.actions.extend(removals);
    journal.directories = missing.into_iter().collect();
    Ok((journal, texts))
}

fn is_change(change: &Change) -> bool {
    !(change.kind == ChangeKind::Update && change.before.is_some() && change.before == change.after)
}

fn applied(journal: &Journal) -> Applied {
    let mut applied = Applied::default();
    for action in &journal.actions {
        match action {
            Action::Replace { target, .. } => applied.written.push(target.clone()),
            Action::Remove { target } => applied.removed.push(target.clone()),
        }
    }
    applied
}

/// Distinguishes staged files of different patches; creation is exclusive, so a clash is an error
/// and not a mix-up.
fn fresh_id() -> String {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    format!("{:x}-{:x}", std::process::id(), since.as_nanos())
}

fn like(tree: &WorkTree, change: &Change) -> io::Result<Option<Stat>> {
    match &change.kind {
        ChangeKind::Update => tree.stat(&change.path).map(Some),
        ChangeKind::Move { from } => tree.stat(from).map(Some),
        ChangeKind::Add | ChangeKind::Delete => Ok(None),
    }
}

fn missing_directories(
    tree: &WorkTree,
    target: &str,
    missing: &mut BTreeSet<String>,
) -> io::Result<()> {
    let mut directory = split(target).0;
    while !directory.is_empty() && !missing.contains(directory) {
        match tree.directory(directory) {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                missing.insert(directory.to_owned());
                directory = split(directory).0;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Finds out beforehand what would make a rename or removal fail after the commit.
fn check_changeable(tree: &WorkTree, target: &str) -> io::Result<()> {
    let (directory, name) = split(target);
    let directory = match tree.directory(directory) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    match rustix::fs::statx(&directory, name, flags, StatxFlags::TYPE) {
        Ok(stat) => {
            let frozen = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
            if stat.stx_attributes.intersects(frozen) {
                return Err(io::Error::from(rustix::io::Errno::PERM));
            }
            Ok(())
        }
        Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn check_removable(tree: &WorkTree, target: &str) -> io::Result<()> {
    let directory = tree.directory(split(target).0)?;
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    Ok(rustix::fs::accessat(
        directory,
        ".",
        wanted,
        AtFlags::EACCESS,
    )?)
}

/// Makes directories and writes the texts, and notes which files they became.
fn stage(tree: &WorkTree, journal: &mut Journal, texts: &[Text<'_>]) -> Result<(), ApplyIoError> {
    let failed = |path: &str| {
        let path = path.to_owned();
        move |source| ApplyIoError::Change { path, source }
    };
    for path in &journal.directories {
        make_directory(tree, path).map_err(failed(path))?;
    }
    let replacements = journal
        .actions
        .iter_mut()
        .filter_map(|action| match action {
            Action::Replace {
                staged,
                target,
                file,
            } => Some((staged, target, file)),
            Action::Remove { .. } => None,
        });
    for ((staged, target, file), text) in replacements.zip(texts) {
        *file = Some(stage_one(tree, staged, text).map_err(failed(target))?);
    }
    Ok(())
}

fn make_directory(tree: &WorkTree, path: &str) -> io::Result<()> {
    let (parent, name) = split(path);
    let parent = tree.directory(parent)?;
    Ok(rustix::fs::mkdirat(
        parent,
        name,
        Mode::from_raw_mode(0o777),
    )?)
}

fn stage_one(tree: &WorkTree, staged: &str, text: &Text<'_>) -> io::Result<(u64, u64)> {
    let (directory, name) = split(staged);
    let directory = tree.directory(directory)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(if text.like.is_some() { 0o600 } else { 0o644 });
    let mut file = File::from(rustix::fs::openat(directory, name, flags, mode)?);
    file.write_all(text.bytes)?;
    if let Some(like) = &text.like {
        take_over(&file, like)?;
    }
    file.sync_all()?;
    let stat = rustix::fs::fstat(&file)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Gives a staged file the owner and the mode of the file it replaces.
fn take_over(file: &File, like: &Stat) -> io::Result<()> {
    let own = rustix::fs::fstat(file)?;
    if (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid) {
        let (user, group) = (Uid::from_raw(like.st_uid), Gid::from_raw(like.st_gid));
        // Only root may give files away; otherwise the file becomes ours, as with any editor.
        let _ = rustix::fs::fchown(file, Some(user), Some(group));
    }
    // Set-id bits go, as they do when anybody writes to a file.
    Ok(rustix::fs::fchmod(
        file,
        Mode::from_raw_mode(like.st_mode & 0o777),
    )?)
}

fn no_journal(path: &Path, source: io::Error) -> ApplyIoError {
    ApplyIoError::Journal {
        path: path.to_owned(),
        source,
    }
}
