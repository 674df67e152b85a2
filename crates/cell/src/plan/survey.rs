//! What a tree holds that its cell must not use or change: repositories inside it, sockets and
//! FIFOs of the host's programs.
//!
//! All of a tree is looked at, because who prepared a repository chooses where things lie. See
//! `scan` for why that is affordable.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use recto_protocol::ports::cell::CellError;

use super::IN_A_PROJECT;
use crate::scan::{self, Directory, scan};
use crate::walk::Identity;

/// Most places of one tree that get a mount of their own.
const MOST_PLACES: usize = 4000;

/// What was found in a tree, by absolute path.
#[derive(Default)]
pub(super) struct Survey {
    /// Git directories, `.git` files, and directories that can't be looked into: all but the
    /// tree's own `.git`.
    pub(super) fixed: BTreeSet<PathBuf>,
    /// Every git directory, the tree's own included.
    pub(super) repositories: BTreeSet<Identity>,
    /// Whether the tree itself is a git directory.
    pub(super) is_repository: bool,
    /// Sockets and FIFOs.
    pub(super) channels: Vec<PathBuf>,
}

impl Survey {
    /// Looks at one directory; false when what is in it doesn't matter.
    fn look(&mut self, tree: &Path, directory: Directory<'_>) -> bool {
        let (path, entries, fd) = match directory {
            Directory::Read(path, entries, fd) => (path, entries, fd),
            Directory::Closed(path) => {
                self.fixed.extend(nearest_open(tree, path));
                return false;
            }
        };
        let is_top = path.as_os_str().is_empty();
        let here = || match is_top {
            true => tree.to_owned(),
            false => tree.join(path),
        };
        let channels = entries.channels.iter().map(|name| here().join(name));
        self.channels.extend(channels);
        if entries.is_repository(path) {
            self.repositories.extend(Identity::of(fd));
            self.is_repository |= is_top;
            if path != Path::new(".git") && !is_top {
                self.fixed.insert(here());
            }
            return false;
        }
        if entries.git_file && !is_top {
            self.fixed.insert(here().join(".git"));
        }
        true
    }

    /// The directories between the tree's root and what is fixed: if they could be moved, it could.
    pub(super) fn pinned(&self, tree: &Path) -> BTreeSet<PathBuf> {
        let above = |path: &PathBuf| {
            let parents = path
                .ancestors()
                .skip(1)
                .take_while(|parent| *parent != tree);
            parents.map(Path::to_owned).collect::<Vec<_>>()
        };
        self.fixed.iter().flat_map(above).collect()
    }
}

/// Looks through a work tree.
pub(super) fn tree(tree: &Path) -> Result<Survey, CellError> {
    let parts = scan(tree, |found: &mut Survey, directory| {
        found.look(tree, directory)
    });
    let parts = parts.map_err(|_| too_much(tree, &format!("more than {} files", scan::MOST)))?;
    let mut found = Survey::default();
    for part in parts {
        found.fixed.extend(part.fixed);
        found.repositories.extend(part.repositories);
        found.is_repository |= part.is_repository;
        found.channels.extend(part.channels);
    }
    found.channels.sort();
    let places = found.fixed.len() + found.channels.len();
    if places > MOST_PLACES {
        let what = format!("{places} repositories, sockets and FIFOs");
        return Err(too_much(tree, &what));
    }
    Ok(found)
}

fn too_much(tree: &Path, what: &str) -> CellError {
    CellError::Unavailable {
        reason: format!(
            "{} holds {what}, which is too much to protect what the host uses",
            tree.display()
        ),
        remedy: IN_A_PROJECT.to_owned(),
    }
}

/// A closed directory, or the one that keeps us from even naming it. None is the tree itself,
/// which can't be worked in then.
fn nearest_open(tree: &Path, closed: &Path) -> Option<PathBuf> {
    let inside = closed
        .ancestors()
        .filter(|path| !path.as_os_str().is_empty());
    inside
        .map(|path| tree.join(path))
        .find(|path| std::fs::symlink_metadata(path).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_directory_is_a_repository_without_a_head() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        for name in ["common/objects", "common/refs", "a/.git", "plain/objects"] {
            std::fs::create_dir_all(top.join(name)).unwrap();
        }
        let found = tree(&top).unwrap();
        let fixed: Vec<_> = found.fixed.into_iter().collect();
        assert_eq!(fixed, [top.join("a/.git"), top.join("common")]);
        assert_eq!(found.repositories.len(), 2);
    }
}
