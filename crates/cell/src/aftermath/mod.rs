//! What a cell may have left in a tree that makes the host's git run programs, seen to when the
//! cell has ended.
//!
//! A mount protects what is there. A repository that a command makes itself can't be prevented
//! (tests and new projects need them), so it is disarmed afterwards: it keeps its objects, its
//! references and the plain part of its configuration; the rest gets a name that git doesn't read.

mod config;
mod repository;

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, ResolveFlags, fstat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::walk::{Entries, Identity, Next, walk};

/// What is put behind a name that git must not read; a random number follows, so that a cell can't
/// take the name first.
const SUFFIX: &str = ".recto-quarantine";
/// How many names are tried before what can't be kept goes.
const TRIES: u32 = 1000;

/// How often a tree is walked while directories in it move.
const ROUNDS: u32 = 10;

/// A writable tree as it was when its cell began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Aftermath {
    /// The tree's root.
    pub(crate) tree: PathBuf,
    /// The git directories in it: they are protected, and the user's.
    pub(crate) known: BTreeSet<Identity>,
    /// Symbolic links at the root that must lead where they did: no mount can lie on a link.
    pub(crate) links: Vec<(String, PathBuf)>,
}

impl Aftermath {
    /// Brings the tree into order. The cell must have ended.
    pub(crate) fn settle(&self) {
        self.restore_links();
        // Something moves directories while they are walked: another cell, or the user.
        for _ in 0..ROUNDS {
            let mut disarmed = BTreeSet::new();
            let walked = walk(&self.tree, |name, entries, fd| {
                self.look(name, entries, fd, &mut disarmed)
            });
            if walked.is_ok() {
                break;
            }
        }
    }

    fn look(
        &self,
        name: &Path,
        entries: &Entries,
        fd: &OwnedFd,
        disarmed: &mut BTreeSet<(u64, u64)>,
    ) -> Next {
        let is_repository = entries.is_repository(name);
        if !(is_repository || entries.head && entries.commondir) {
            return Next::Into;
        }
        if self.is_known(fd) {
            return Next::Past;
        }
        if is_repository {
            disarmed.extend(fstat(fd).map(|stat| (stat.st_dev, stat.st_ino)));
            repository::disarm(fd);
        }
        if entries.commondir && !is_worktree_of(disarmed, fd) && !set_aside(fd, "commondir") {
            repository::shut(fd);
        }
        Next::Again
    }

    fn is_known(&self, fd: &OwnedFd) -> bool {
        Identity::of(fd).is_some_and(|identity| self.known.contains(&identity))
    }

    fn restore_links(&self) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_SYMLINKS;
        let Ok(top) = rustix::fs::openat2(CWD, &self.tree, flags, Mode::empty(), resolve) else {
            return;
        };
        for (name, target) in &self.links {
            let now = rustix::fs::readlinkat(&top, name, Vec::new());
            use std::os::unix::ffi::OsStrExt;
            if now.is_ok_and(|now| now.as_bytes() == target.as_os_str().as_bytes()) {
                continue;
            }
            set_aside(&top, name);
            // A tree that lets nothing be made keeps at least nothing wrong.
            let _ = rustix::fs::symlinkat(target, &top, name);
        }
    }
}

/// A linked worktree's own directory says where the repository is; it is right when that is two
/// levels up, and disarmed itself.
fn is_worktree_of(disarmed: &BTreeSet<(u64, u64)>, fd: &OwnedFd) -> bool {
    let text = repository::small_file(fd, "commondir");
    let common = rustix::fs::statat(fd, "../..", AtFlags::SYMLINK_NOFOLLOW);
    text.is_some_and(|text| matches!(text.as_str(), "../.." | "../..\n"))
        && common.is_ok_and(|stat| disarmed.contains(&(stat.st_dev, stat.st_ino)))
}

/// Gives a name in a directory, if it is there, another one that git doesn't read. Whether the name
/// is gone.
fn set_aside(directory: &OwnedFd, name: &str) -> bool {
    for _ in 0..TRIES {
        let aside = format!("{name}{SUFFIX}-{:016x}", random());
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(directory, name, directory, aside, flags) {
            Ok(()) | Err(Errno::NOENT) => return true,
            Err(Errno::EXIST) => {}
            Err(_) => break,
        }
    }
    rustix::fs::unlinkat(directory, name, AtFlags::empty()).is_ok()
        || rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR).is_ok()
}

/// Nothing that a cell could foresee: the standard library's hash keys come from the kernel.
fn random() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn tree() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().canonicalize().unwrap().join("tree");
        fs::create_dir(&tree).unwrap();
        (dir, tree)
    }

    fn repository(at: &Path) {
        for name in ["objects", "refs", "hooks"] {
            fs::create_dir_all(at.join(name)).unwrap();
        }
        fs::write(at.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(
            at.join("config"),
            "[core]\n\tbare = false\n\tfsmonitor = evil\n",
        )
        .unwrap();
        fs::write(at.join("hooks/pre-commit"), "evil").unwrap();
    }

    fn is_armed(at: &Path) -> bool {
        let config = fs::read_to_string(at.join("config")).unwrap_or_default();
        config.contains("evil") || at.join("hooks/pre-commit").exists()
    }

    /// What was set aside of a name.
    fn aside(directory: &Path, name: &str) -> Vec<PathBuf> {
        let start = format!("{name}{SUFFIX}-");
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&start))
            .map(|entry| entry.path())
            .collect()
    }

    fn aftermath(tree: &Path) -> Aftermath {
        Aftermath {
            tree: tree.to_owned(),
            ..Aftermath::default()
        }
    }

    #[test]
    fn new_repositories_are_disarmed_wherever_they_are() {
        let (_dir, tree) = tree();
        let places = [
            ".git",
            "a/b/.git",
            "bare.git",
            "a/.git/modules/x",
            "closed/deep/r",
            "closed/deep/shut/r",
        ];
        for place in places {
            repository(&tree.join(place));
            assert!(is_armed(&tree.join(place)), "{place}: the control");
        }
        let closed = [("closed/deep/shut", 0), ("closed", 0o311)];
        for (name, mode) in closed {
            fs::set_permissions(tree.join(name), PermissionsExt::from_mode(mode)).unwrap();
        }
        aftermath(&tree).settle();
        for (name, mode) in closed {
            let now = fs::metadata(tree.join(name)).unwrap().mode() & 0o7777;
            assert_eq!(now, mode, "{name} is as it was");
            fs::set_permissions(tree.join(name), PermissionsExt::from_mode(0o755)).unwrap();
        }
        for place in places {
            assert!(!is_armed(&tree.join(place)), "{place}");
            let kept = aside(&tree.join(place), "config");
            assert!(
                fs::read_to_string(&kept[0]).unwrap().contains("evil"),
                "{place}"
            );
        }
        let config = fs::read_to_string(tree.join(".git/config")).unwrap();
        assert_eq!(config, "[core]\n\tbare = false\n");
    }

    #[test]
    fn the_users_repositories_are_left_alone() {
        let (_dir, tree) = tree();
        repository(&tree.join("mine"));
        let mine = fs::File::open(tree.join("mine")).unwrap();
        let mut aftermath = aftermath(&tree);
        aftermath.known.extend(Identity::of(&mine.into()));
        aftermath.settle();
        assert!(is_armed(&tree.join("mine")));
    }

    #[test]
    fn an_inode_that_is_used_again_is_not_the_users() {
        let (_dir, tree) = tree();
        repository(&tree.join("mine"));
        let mine = fs::File::open(tree.join("mine")).unwrap();
        let mut before = Identity::of(&mine.into()).unwrap();
        let Some((seconds, _)) = &mut before.born else {
            return; // The file system can't tell.
        };
        *seconds -= 1;
        let mut aftermath = aftermath(&tree);
        aftermath.known.insert(before);
        aftermath.settle();
        assert!(!is_armed(&tree.join("mine")));
    }

    #[test]
    fn a_repository_can_not_borrow_another_configuration() {
        let (_dir, tree) = tree();
        repository(&tree.join("r"));
        let borrowing = [
            ("fake", "../..\n"),
            ("r/worktrees/w", "../..\n"),
            ("r/worktrees/same", "../.."),
            // Git takes only line ends off: this is a directory `.. `.
            ("r/worktrees/space", "../.. \n"),
            ("r/worktrees/lines", "../..\n\n"),
            ("evil/worktrees/w", "../..\n"),
        ];
        for (name, common) in borrowing {
            fs::create_dir_all(tree.join(name)).unwrap();
            fs::write(tree.join(name).join("HEAD"), "ref: refs/heads/main\n").unwrap();
            fs::write(tree.join(name).join("commondir"), common).unwrap();
        }
        aftermath(&tree).settle();
        assert!(!tree.join("fake/commondir").exists());
        assert!(!tree.join("evil/worktrees/w/commondir").exists());
        assert!(!tree.join("r/worktrees/space/commondir").exists());
        assert!(!tree.join("r/worktrees/lines/commondir").exists());
        assert!(tree.join("r/worktrees/w/commondir").exists());
        assert!(tree.join("r/worktrees/same/commondir").exists());
    }

    #[test]
    fn depth_and_closed_ways_hide_nothing() {
        let (_dir, tree) = tree();
        repository(&tree.join("last"));
        let mut at = rustix::fs::open(&tree, OFlags::RDONLY, Mode::empty()).unwrap();
        let name = "n".repeat(200);
        let down = |at: &OwnedFd, name: &str| {
            rustix::fs::openat(at, name, OFlags::RDONLY, Mode::empty()).unwrap()
        };
        // Each level has a directory beside the way, which is gone to from a parent found again.
        let mut levels = vec![];
        for _ in 0..100 {
            rustix::fs::mkdirat(&at, &name, Mode::from(0o755)).unwrap();
            rustix::fs::mkdirat(&at, "beside", Mode::from(0o755)).unwrap();
            rustix::fs::mkdirat(&at, "beside/.git", Mode::from(0o755)).unwrap();
            rustix::fs::mkdirat(&at, "beside/.git/config.worktree", Mode::from(0o755)).unwrap();
            let below = down(&at, &name);
            levels.push(std::mem::replace(&mut at, below));
        }
        rustix::fs::renameat(CWD, tree.join("last"), &at, "last").unwrap();
        let last = down(&at, "last");
        for level in levels.iter().rev() {
            rustix::fs::fchmod(level, Mode::from(0o311)).unwrap();
        }
        aftermath(&tree).settle();
        for level in &levels {
            assert_eq!(fstat(level).unwrap().st_mode & 0o7777, 0o311);
            let armed = "beside/.git/config.worktree";
            assert!(rustix::fs::statat(level, armed, AtFlags::empty()).is_err());
        }
        let hooks = rustix::fs::statat(&last, "hooks", AtFlags::empty());
        assert!(hooks.is_err(), "the one at the end is disarmed");
        crate::layer::remove(&tree).unwrap();
    }

    #[test]
    fn any_number_of_entries_hides_nothing() {
        let (_dir, tree) = tree();
        repository(&tree.join("many/r"));
        fs::write(tree.join("many/file"), "").unwrap();
        for number in 0..=crate::scan::MOST {
            fs::hard_link(tree.join("many/file"), tree.join(format!("{number}"))).unwrap();
        }
        aftermath(&tree).settle();
        assert!(!is_armed(&tree.join("many/r")));
    }

    #[test]
    fn what_is_set_aside_is_looked_through() {
        let (_dir, tree) = tree();
        repository(&tree.join("r"));
        repository(&tree.join("r/hooks/inner"));
        aftermath(&tree).settle();
        let hooks = aside(&tree.join("r"), "hooks");
        assert!(hooks[0].join("inner").is_dir() && !is_armed(&hooks[0].join("inner")));
    }

    #[test]
    fn a_git_directory_needs_no_head() {
        let (_dir, tree) = tree();
        for place in ["common", "empty/.git"] {
            repository(&tree.join(place));
            fs::remove_file(tree.join(place).join("HEAD")).unwrap();
        }
        fs::remove_dir(tree.join("empty/.git/refs")).unwrap();
        aftermath(&tree).settle();
        assert!(!is_armed(&tree.join("common")) && !is_armed(&tree.join("empty/.git")));
    }

    #[test]
    fn names_that_are_taken_keep_nothing_in_place() {
        let (_dir, tree) = tree();
        repository(&tree.join("r"));
        for number in 0..200 {
            for name in ["hooks", "config"] {
                fs::create_dir_all(tree.join(format!("r/{name}{SUFFIX}-{number}/x"))).unwrap();
            }
        }
        aftermath(&tree).settle();
        assert!(!is_armed(&tree.join("r")));
        assert_eq!(aside(&tree.join("r"), "hooks").len(), 201);
    }

    #[test]
    fn a_repository_that_can_not_be_disarmed_is_shut() {
        let (_dir, tree) = tree();
        repository(&tree);
        let fd = rustix::fs::open(&tree, OFlags::RDONLY, Mode::empty()).unwrap();
        repository::shut(&fd);
        let closed = fs::metadata(&tree).unwrap().mode() & 0o7777;
        fs::set_permissions(&tree, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(closed, 0);
        assert!(!tree.join("HEAD").exists());
    }

    #[test]
    fn links_lead_where_they_did() {
        let (_dir, tree) = tree();
        symlink("real", tree.join("same")).unwrap();
        fs::create_dir(tree.join("replaced")).unwrap();
        let mut aftermath = aftermath(&tree);
        aftermath.links = ["same", "replaced", "removed"]
            .map(|name| (name.to_owned(), PathBuf::from("real")))
            .into();
        aftermath.settle();
        for name in ["same", "replaced", "removed"] {
            assert_eq!(fs::read_link(tree.join(name)).unwrap(), Path::new("real"));
        }
        assert!(aside(&tree, "replaced")[0].is_dir());
        assert!(aside(&tree, "same").is_empty());
    }

    #[test]
    fn links_are_not_followed_out() {
        let (dir, tree) = tree();
        let outside = dir.path().join("outside");
        repository(&outside);
        symlink(&outside, tree.join(".git")).unwrap();
        repository(&tree.join("r"));
        fs::remove_dir_all(tree.join("r/hooks")).unwrap();
        symlink(outside.join("hooks"), tree.join("r/hooks")).unwrap();
        fs::remove_file(tree.join("r/config")).unwrap();
        symlink(outside.join("config"), tree.join("r/config")).unwrap();
        aftermath(&tree).settle();
        assert!(is_armed(&outside) && !is_armed(&tree.join("r")));
    }
}
