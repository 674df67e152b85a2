//! What of a tree its cell may not change: repositories, and the agent's own configuration.
//!
//! The tree's own git directory is shown as a copy-on-write view: everything works on it, and the
//! host's stays as it is, byte for byte. Repositories deeper inside are read-only.

use std::path::{Path, PathBuf};

use recto_protocol::ports::cell::CellError;

use super::survey::Survey;
use super::{bind, owner};
use crate::aftermath::Aftermath;
use crate::layer;
use crate::spec::GitView;
use crate::stub;
use crate::wire::{IdMap, Mount, MountKind, Upper};

/// The agent's configuration at the root of a work tree, present or not.
const AGENT: [&str; 2] = [".recto", ".agents"];

/// The protections of one writable tree.
#[derive(Default)]
pub(super) struct Protection {
    /// Mounts over what must stay, parents first.
    pub(super) mounts: Vec<Mount>,
    /// Directories among them that must be made for it.
    pub(super) stubs: Vec<PathBuf>,
    /// What must be seen to when the cell has ended.
    pub(super) aftermath: Aftermath,
}

/// What is done with the git directory of a tree.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) writable: bool,
    pub(super) git: &'a GitView,
    pub(super) root: bool,
}

impl View<'_> {
    /// Shows a git directory at its place.
    fn of(self, git: &Path, idmap: Option<IdMap>) -> Mount {
        let upper = match self.git {
            GitView::Scratch => Upper::Scratch,
            GitView::Layer(layer) => Upper::Layer {
                directory: layer.directory().to_owned(),
                part: layer::part_of(git),
            },
            GitView::ReadOnly => return bind(git.to_owned(), false, idmap),
        };
        if !self.writable {
            return bind(git.to_owned(), false, idmap);
        }
        Mount {
            at: git.to_owned(),
            kind: MountKind::Overlay {
                lowers: vec![(git.to_owned(), idmap)],
                upper: Some(upper),
            },
        }
    }
}

/// Finds out what to protect in a writable tree.
pub(super) fn protect(
    tree: &Path,
    survey: Survey,
    view: View<'_>,
) -> Result<Protection, CellError> {
    if survey.is_repository {
        return Err(CellError::Unavailable {
            reason: format!("{} is a git directory itself", tree.display()),
            remedy: "Start in a work tree of it: `git worktree add DIRECTORY`.".to_owned(),
        });
    }
    let mut found = Protection::default();
    let idmap = owner(tree, view.root)?;
    for path in survey.pinned(tree) {
        found.mounts.push(bind(path, true, idmap));
    }
    for path in &survey.fixed {
        found.mounts.push(bind(path.clone(), false, idmap));
    }
    found.aftermath.tree = tree.to_owned();
    found.aftermath.known = survey.repositories;
    let git = tree.join(".git");
    match std::fs::symlink_metadata(&git) {
        Ok(meta) if meta.is_dir() => {
            found.mounts.push(view.of(&git, idmap));
            found.link_targets(&git, tree, idmap);
        }
        Ok(meta) if meta.is_file() => found.mounts.push(bind(git, false, idmap)),
        Ok(meta) if meta.is_symlink() => found.link(tree, ".git", idmap),
        _ => {}
    }
    for name in AGENT {
        found.agent(tree, name, idmap);
    }
    found
        .mounts
        .sort_by_key(|mount| mount.at.components().count());
    Ok(found)
}

impl Protection {
    /// Pins a directory of the agent's; one that is absent, or another cell's stub, becomes a stub.
    fn agent(&mut self, tree: &Path, name: &str, idmap: Option<IdMap>) {
        let path = tree.join(name);
        match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_symlink() => self.link(tree, name, idmap),
            Ok(_) if !stub::is_stub(&path) => self.read_only(path, idmap),
            _ => {
                self.stubs.push(path.clone());
                self.read_only(path, idmap);
            }
        }
    }

    /// No mount can lie on a symbolic link: it is put back afterwards, and where it leads is
    /// read-only.
    fn link(&mut self, tree: &Path, name: &str, idmap: Option<IdMap>) {
        let path = tree.join(name);
        if let Ok(target) = std::fs::read_link(&path) {
            self.aftermath.links.push((name.to_owned(), target));
        }
        self.target(&path, tree, idmap);
    }

    /// Where a link leads is read-only, with the way there, if it lies in the tree.
    fn target(&mut self, link: &Path, tree: &Path, idmap: Option<IdMap>) {
        let Ok(real) = std::fs::canonicalize(link) else {
            return;
        };
        if real == tree || !real.starts_with(tree) || self.has(&real) {
            return;
        }
        let way = real
            .ancestors()
            .skip(1)
            .take_while(|parent| *parent != tree);
        for parent in way.map(Path::to_owned).collect::<Vec<_>>() {
            if !self.has(&parent) {
                self.mounts.push(bind(parent, true, idmap));
            }
        }
        self.read_only(real, idmap);
    }

    /// Links in a git directory that lead into the tree, where the cell could change what they
    /// lead to.
    fn link_targets(&mut self, git: &Path, tree: &Path, idmap: Option<IdMap>) {
        for entry in std::fs::read_dir(git).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                self.target(&entry.path(), tree, idmap);
            }
        }
    }

    fn has(&self, path: &Path) -> bool {
        self.mounts.iter().any(|mount| mount.at == path)
    }

    fn read_only(&mut self, path: PathBuf, idmap: Option<IdMap>) {
        self.mounts.push(bind(path, false, idmap));
    }
}

/// The git directory that a tree's `.git` file leads to, shown at its place.
///
/// The file may be hostile, so that directory is shown only if it says itself that it belongs to
/// this tree.
pub(super) fn linked(tree: &Path, view: View<'_>) -> Result<Option<Mount>, CellError> {
    let file = tree.join(".git");
    if !std::fs::symlink_metadata(&file).is_ok_and(|meta| meta.is_file()) {
        return Ok(None);
    }
    let Some(git) = target(&file) else {
        return Ok(None);
    };
    let common = match worktree_of(&git, &file) {
        Some(common) => common,
        None if is_submodule_of(&git, &file) => git,
        None => return Ok(None),
    };
    let idmap = owner(&common, view.root)?;
    Ok(Some(view.of(&common, idmap)))
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
