//! Files of a git directory that were not there when a cell began and would make the host's git read
//! what a cell says. They can't be made beforehand without changing what git does, so they are
//! looked for when the cell has ended, and set aside under a name that git doesn't read.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, ResolveFlags};
use serde::{Deserialize, Serialize};

/// What is put behind the name of a file that a cell made and must not have made; a number follows.
const SUFFIX: &str = ".recto-quarantine";
/// How many names are tried before the file is removed instead.
const TRIES: u32 = 100;

/// Names that are absent from a directory and must stay so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Absent {
    /// A git directory; pinned in the cell, so that its path leads to the same one afterwards.
    pub(crate) directory: PathBuf,
    /// Paths relative to it.
    pub(crate) names: Vec<String>,
}

impl Absent {
    /// Which of some names are absent. One with a symbolic link on its way is not watched: the
    /// user has arranged that.
    pub(crate) fn of(directory: &Path, names: &[&str]) -> Self {
        let is_absent = |name: &&&str| {
            let path = directory.join(name);
            let mut parents = path.ancestors().skip(1);
            let is_plain = parents
                .by_ref()
                .take_while(|parent| *parent != directory)
                .all(|parent| std::fs::symlink_metadata(parent).map_or(true, |meta| meta.is_dir()));
            is_plain && std::fs::symlink_metadata(&path).is_err()
        };
        let names = names.iter().filter(is_absent);
        Self {
            directory: directory.to_owned(),
            names: names.map(|name| (*name).to_owned()).collect(),
        }
    }

    /// Sets aside what has appeared. The cell must have ended.
    pub(crate) fn restore(&self) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_SYMLINKS;
        let Ok(top) = rustix::fs::openat2(CWD, &self.directory, flags, Mode::empty(), resolve)
        else {
            return;
        };
        for name in &self.names {
            restore(&top, name);
        }
    }
}

/// Goes down a name without following a link, and sets aside its end, or a link on the way.
fn restore(top: &OwnedFd, name: &str) {
    let Ok(mut directory) = top.try_clone() else {
        return;
    };
    let mut parts = name.split('/').peekable();
    while let Some(part) = parts.next() {
        let Ok(stat) = rustix::fs::statat(&directory, part, AtFlags::SYMLINK_NOFOLLOW) else {
            return;
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if parts.peek().is_none() || kind == FileType::Symlink {
            set_aside(&directory, part);
            return;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&directory, part, flags, Mode::empty()) {
            Ok(inner) => directory = inner,
            Err(_) => return,
        }
    }
}

fn set_aside(directory: &OwnedFd, name: &str) {
    let moved = (0..TRIES).any(|number| {
        let aside = format!("{name}{SUFFIX}-{number}");
        let flags = RenameFlags::NOREPLACE;
        rustix::fs::renameat_with(directory, name, directory, aside, flags).is_ok()
    });
    if !moved {
        // Every name taken is no accident; what can't be kept goes.
        let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn git() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path().canonicalize().unwrap().join("git");
        fs::create_dir_all(git.join("info")).unwrap();
        (dir, git)
    }

    #[test]
    fn what_appears_is_set_aside() {
        let (_dir, git) = git();
        fs::write(git.join("config.worktree"), "mine").unwrap();
        let absent = Absent::of(&git, &["commondir", "config.worktree", "info/attributes"]);
        assert_eq!(absent.names, ["commondir", "info/attributes"]);
        for name in &absent.names {
            fs::write(git.join(name), "theirs").unwrap();
        }
        // A name that is taken is no way to keep the file where it is.
        fs::create_dir(git.join("commondir.recto-quarantine-0")).unwrap();
        absent.restore();
        assert!(!git.join("commondir").exists() && !git.join("info/attributes").exists());
        assert!(git.join("commondir.recto-quarantine-1").exists());
        assert!(git.join("config.worktree").exists());
    }

    #[test]
    fn links_are_not_followed() {
        let (dir, git) = git();
        let absent = Absent::of(&git, &["commondir", "info/attributes"]);
        let other = dir.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("attributes"), "the user's").unwrap();
        fs::remove_dir(git.join("info")).unwrap();
        symlink(&other, git.join("info")).unwrap();
        absent.restore();
        assert!(other.join("attributes").exists());
        assert!(fs::symlink_metadata(git.join("info")).is_err());
    }

    #[test]
    fn a_link_that_was_there_is_left_alone() {
        let (dir, git) = git();
        let other = dir.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::remove_dir(git.join("info")).unwrap();
        symlink(&other, git.join("info")).unwrap();
        assert!(Absent::of(&git, &["info/attributes"]).names.is_empty());
    }
}
