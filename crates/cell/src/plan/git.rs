//! What of a repository a cell may not change: what makes a later `git` of the host run programs
//! (configuration, hooks), and the agent's own configuration.

use std::path::{Path, PathBuf};

use recto_protocol::ports::cell::CellError;

use super::{bind, owner};
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
        for name in GIT_FILES {
            self.existing(git.join(name), idmap);
        }
        self.directory(git.join("hooks"), idmap);
    }
}

/// Finds out what to protect in a work tree.
pub(super) fn protect(tree: &Path, root: bool, writable: bool) -> Result<Protection, CellError> {
    let mut found = Protection::default();
    let idmap = owner(tree, root)?;
    let git = tree.join(".git");
    match std::fs::symlink_metadata(&git) {
        Ok(meta) if meta.is_dir() => found.git_directory(&git, idmap),
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
    found.git_directory(&common, idmap);
    if git != common {
        for name in ["gitdir", "commondir", "config.worktree"] {
            found.existing(git.join(name), idmap);
        }
    }
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
