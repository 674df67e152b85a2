//! What of a repository a cell may not change: what makes a later `git` of the host run programs
//! (configuration, hooks), and the agent's own configuration.

use std::path::{Path, PathBuf};

use recto_protocol::ports::cell::CellError;

use super::{bind, owner};
use crate::quarantine::Absent;
use crate::stub;
use crate::wire::{IdMap, Mount};

/// Files of a git directory that name programs or other places; protected when they exist.
const GIT_FILES: [&str; 5] = [
    "config",
    "config.worktree",
    "commondir",
    "info/attributes",
    "objects/info/alternates",
];

/// Directories of a git directory that hold such files; pinned, so that they can't be moved away
/// and made again.
const GIT_DIRECTORIES: [&str; 3] = ["info", "objects", "objects/info"];

/// Files of a linked worktree's own directory.
const WORKTREE_FILES: [&str; 3] = ["gitdir", "commondir", "config.worktree"];

/// Most directories of submodules and linked worktrees that are pinned one by one; what holds more
/// is read-only as a whole. Each costs a few mounts.
const MOST_INNER: usize = 24;

/// The agent's configuration at the root of a work tree, present or not.
const AGENT: [&str; 2] = [".recto", ".agents"];

/// The protections of one work tree.
#[derive(Default)]
pub(super) struct Protection {
    /// Repositories outside the tree that it belongs to, shown like the tree.
    pub(super) shown: Vec<Mount>,
    /// Read-only binds over what must stay.
    pub(super) protected: Vec<Mount>,
    /// Directories among them that must be made for it.
    pub(super) stubs: Vec<PathBuf>,
    /// Files that can't be pinned because they are absent.
    pub(super) absent: Vec<Absent>,
}

impl Protection {
    /// Pins a file or directory as it is, if it exists. Symbolic links can't be pinned.
    fn existing(&mut self, path: PathBuf, idmap: Option<IdMap>) {
        let meta = std::fs::symlink_metadata(&path);
        if meta.is_ok_and(|meta| meta.is_dir() || meta.is_file()) {
            self.protected.push(bind(path, false, idmap));
        }
    }

    /// Pins a directory; one that is absent, or another cell's stub, becomes a stub.
    fn directory(&mut self, path: PathBuf, idmap: Option<IdMap>) {
        match std::fs::symlink_metadata(&path) {
            Ok(_) if !stub::is_stub(&path) => self.existing(path, idmap),
            _ => {
                self.stubs.push(path.clone());
                self.protected.push(bind(path, false, idmap));
            }
        }
    }

    /// Pins a git directory itself, so that it can't be moved away, and what it must keep.
    fn git_directory(&mut self, git: &Path, idmap: Option<IdMap>) {
        self.protected.push(bind(git.to_owned(), true, idmap));
        for name in GIT_DIRECTORIES {
            self.place(git.join(name), idmap);
        }
        for name in GIT_FILES {
            self.existing(git.join(name), idmap);
        }
        self.absent.push(Absent::of(git, &GIT_FILES));
        self.directory(git.join("hooks"), idmap);
    }

    /// Pins a directory where it is; its content may change.
    fn place(&mut self, path: PathBuf, idmap: Option<IdMap>) -> bool {
        let is_there = std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
        if is_there {
            self.protected.push(bind(path, true, idmap));
        }
        is_there
    }

    /// Pins a repository: its git directory and those inside it, of submodules and worktrees.
    fn repository(&mut self, git: &Path, idmap: Option<IdMap>) {
        self.git_directory(git, idmap);
        for name in ["modules", "worktrees"] {
            let mut inner = Self::default();
            let mut left = MOST_INNER;
            let path = git.join(name);
            let whole = match name {
                "modules" => inner.modules(&path, idmap, &mut left),
                _ => inner.worktrees(&path, idmap, &mut left),
            };
            if whole.is_some() {
                self.protected.append(&mut inner.protected);
                self.stubs.append(&mut inner.stubs);
                self.absent.append(&mut inner.absent);
            } else {
                self.protected.push(bind(path, false, idmap));
            }
        }
    }

    /// Pins submodules' git directories, whose names may have several parts. None when there are
    /// too many.
    fn modules(&mut self, path: &Path, idmap: Option<IdMap>, left: &mut usize) -> Option<()> {
        if !self.place(path.to_owned(), idmap) {
            return Some(());
        }
        for inner in directories(path) {
            *left = left.checked_sub(1)?;
            if std::fs::symlink_metadata(inner.join("HEAD")).is_ok() {
                self.git_directory(&inner, idmap);
                self.modules(&inner.join("modules"), idmap, left)?;
            } else {
                self.modules(&inner, idmap, left)?;
            }
        }
        Some(())
    }

    /// Pins the directories of linked worktrees. None when there are too many.
    fn worktrees(&mut self, path: &Path, idmap: Option<IdMap>, left: &mut usize) -> Option<()> {
        if !self.place(path.to_owned(), idmap) {
            return Some(());
        }
        for inner in directories(path) {
            *left = left.checked_sub(1)?;
            self.place(inner.clone(), idmap);
            for name in WORKTREE_FILES {
                self.existing(inner.join(name), idmap);
            }
            self.absent.push(Absent::of(&inner, &WORKTREE_FILES));
            self.modules(&inner.join("modules"), idmap, left)?;
        }
        Some(())
    }
}

/// The directories in a directory, without links.
fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Finds out what to protect in a work tree.
pub(super) fn protect(tree: &Path, root: bool, writable: bool) -> Result<Protection, CellError> {
    let mut found = Protection::default();
    let idmap = owner(tree, root)?;
    let git = tree.join(".git");
    match std::fs::symlink_metadata(&git) {
        Ok(meta) if meta.is_dir() => found.repository(&git, idmap),
        Ok(meta) if meta.is_file() => {
            found.existing(git.clone(), idmap);
            linked(&git, &mut found, root, writable)?;
        }
        _ => {}
    }
    for name in AGENT {
        found.directory(tree.join(name), idmap);
    }
    Ok(found)
}

/// A `.git` file leads to a git directory elsewhere. The file may be hostile, so that directory is
/// shown only if it says itself that it belongs to this tree.
fn linked(
    file: &Path,
    found: &mut Protection,
    root: bool,
    writable: bool,
) -> Result<(), CellError> {
    let Some(git) = target(file) else {
        return Ok(());
    };
    let common = match worktree_of(&git, file) {
        Some(common) => common,
        None if is_submodule_of(&git, file) => git.clone(),
        None => return Ok(()),
    };
    let idmap = owner(&common, root)?;
    found.shown.push(bind(common.clone(), writable, idmap));
    // The worktree's own directory is among its inner ones.
    found.repository(&common, idmap);
    Ok(())
}

/// Where a `.git` file points to.
fn target(file: &Path) -> Option<PathBuf> {
    let text = small_file(file)?;
    let path = text.strip_prefix("gitdir:")?.trim();
    std::fs::canonicalize(file.parent()?.join(path))
        .ok()
        .filter(|git| git.is_dir())
}

/// The repository of a linked worktree: it lists the worktree below itself, by this very file.
fn worktree_of(git: &Path, file: &Path) -> Option<PathBuf> {
    let back = small_file(&git.join("gitdir"))?;
    let back = std::fs::canonicalize(git.join(back.trim())).ok()?;
    let common = small_file(&git.join("commondir"))?;
    let common = std::fs::canonicalize(git.join(common.trim())).ok()?;
    let listed = git.parent() == Some(common.join("worktrees").as_path());
    (listed && back == file && common.join("HEAD").is_file()).then_some(common)
}

/// A submodule's git directory names its work tree in its configuration.
fn is_submodule_of(git: &Path, file: &Path) -> bool {
    let Some(config) = small_file(&git.join("config")) else {
        return false;
    };
    let trees = config.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "worktree").then(|| git.join(value.trim()))
    });
    let mut trees = trees.filter_map(|tree| std::fs::canonicalize(tree).ok());
    git.join("HEAD").is_file() && trees.any(|tree| Some(tree.as_path()) == file.parent())
}

/// The text of a file that is never long; a longer one is not what it should be.
fn small_file(path: &Path) -> Option<String> {
    let meta = std::fs::metadata(path).ok()?;
    (meta.is_file() && meta.len() <= 64 << 10).then(|| std::fs::read_to_string(path).ok())?
}
