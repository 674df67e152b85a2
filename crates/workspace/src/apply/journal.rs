//! The file that says what is about to happen, so that somebody else can finish or undo it.
//!
//! It lies outside the tree, where only the harness writes. Its paths are checked again all the
//! same when it is read: between writing and reading the tree may have changed its owner's mind.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use recto_patch::normalise;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::rules;

/// How every staged file's name begins.
pub(super) const STAGED_PREFIX: &str = ".recto-patch-";

const VERSION: u32 = 1;

/// What is to be done beneath one root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    version: u32,
    /// The root's path without links.
    pub(super) root: PathBuf,
    /// The root's device and inode: a path may have got another directory since.
    pub(super) identity: (u64, u64),
    pub(super) state: State,
    /// Directories made for the new files, outer ones first.
    pub(super) directories: Vec<String>,
    pub(super) actions: Vec<Action>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// New texts are being staged; undo.
    Staging,
    /// Everything is staged; finish.
    Committed,
}

/// One step. Doing it twice is doing it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    /// Renames a staged file to its target in the same directory.
    Replace {
        staged: String,
        target: String,
        /// The staged file's device and inode, which tell whether the target is it already.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<(u64, u64)>,
    },
    /// Removes a file.
    Remove { target: String },
}

impl Action {
    pub(super) fn target(&self) -> &str {
        match self {
            Action::Replace { target, .. } | Action::Remove { target } => target,
        }
    }

    fn is_sound(&self) -> bool {
        let plain = |path: &str| {
            normalise(path).as_deref() == Some(path)
                && !path.contains('\0')
                && rules::check(path).is_ok()
        };
        match self {
            Action::Remove { target } => plain(target),
            Action::Replace { staged, target, .. } => {
                let (staged_in, name) = split(staged);
                plain(target)
                    && plain(staged)
                    && split(target).0 == staged_in
                    && name.starts_with(STAGED_PREFIX)
            }
        }
    }
}

impl Journal {
    pub(super) fn new(root: &Path, identity: (u64, u64)) -> Self {
        Journal {
            version: VERSION,
            root: root.to_owned(),
            identity,
            state: State::Staging,
            directories: Vec::new(),
            actions: Vec::new(),
        }
    }

    /// Reads a journal; `None` if there is none.
    pub(super) fn read(path: &Path) -> io::Result<Option<Journal>> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let journal: Journal = serde_json::from_slice(&bytes)?;
        let directories = journal.directories.iter();
        let sound = journal.version == VERSION
            && journal.actions.iter().all(Action::is_sound)
            && directories
                .into_iter()
                .all(|path| normalise(path).as_deref() == Some(path));
        if sound {
            Ok(Some(journal))
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    /// Writes the journal in one step. A commit must outlive a power failure; the note that
    /// staging has begun need only outlive its process.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let lasting = self.state == State::Committed;
        let fresh = path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        if lasting {
            file.sync_all()?;
        }
        fs::rename(&fresh, path)?;
        if lasting && let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }
}

/// Removes a journal that is done with.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes what a process that was killed had begun to write as the journal. Only whoever patches
/// writes it, so nobody else is at it while the caller holds that lock.
pub(super) fn remove_draft(path: &Path) {
    let draft = path.with_extension("new");
    if draft.exists() {
        // Written over by the next journal where it can't be removed.
        let _ = fs::remove_file(draft);
    }
}

/// Returns where the journal for a root lies; the directory is made if need be.
pub(super) fn path_for(root: &Path, journal_dir: &Path) -> io::Result<PathBuf> {
    if !journal_dir.is_dir() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(journal_dir)?;
    }
    let hash = fnv1a(root.as_os_str().as_encoded_bytes());
    Ok(journal_dir.join(format!("patch-{hash:016x}.json")))
}

/// Waits for and holds one of a journal's locks until the value is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Locks out every other patch and recovery of the same tree.
    pub(super) fn patching(journal: &Path) -> io::Result<Lock> {
        Lock::take(&journal.with_extension("lock"))
    }

    /// Locks out whoever else works the journal off: a committer outlives its caller.
    pub(super) fn committing(journal: &Path) -> io::Result<Lock> {
        Lock::take(&journal.with_extension("commit-lock"))
    }

    fn take(path: &Path) -> io::Result<Lock> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        loop {
            match rustix::fs::flock(file.as_fd(), FlockOperation::LockExclusive) {
                Err(rustix::io::Errno::INTR) => {}
                result => {
                    return result
                        .map(|()| Lock { _file: file })
                        .map_err(io::Error::from);
                }
            }
        }
    }
}

/// Splits a plain path into its directory and its name.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// A hash that stays the same over versions of the compiler.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A journal outlives the process and may be read by the next version.
    #[test]
    fn version_1_on_disk() {
        let mut journal = Journal::new(Path::new("/t"), (1, 2));
        journal.directories.push("d".into());
        journal.actions.push(Action::Replace {
            staged: "d/.recto-patch-1-0".into(),
            target: "d/f".into(),
            file: None,
        });
        journal.actions.push(Action::Remove { target: "g".into() });
        let json = r#"{"version":1,"root":"/t","identity":[1,2],"state":"staging","directories":["d"],"actions":[{"replace":{"staged":"d/.recto-patch-1-0","target":"d/f"}},{"remove":{"target":"g"}}]}"#;
        assert_eq!(serde_json::to_string(&journal).unwrap(), json);
        assert_eq!(serde_json::from_str::<Journal>(json).unwrap(), journal);
    }

    #[test]
    fn a_draft_that_a_kill_left_goes_too() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("tree");
        let journals = dir.path().join("journals");
        fs::create_dir(&root).unwrap();
        let path = path_for(&root.canonicalize().unwrap(), &journals).unwrap();
        let draft = path.with_extension("new");
        for has_journal in [false, true] {
            fs::write(&draft, "{").unwrap();
            if has_journal {
                fs::write(&path, "{").unwrap();
            }
            crate::apply::recover(&root, &journals).unwrap();
            assert!(!draft.exists(), "{has_journal}");
        }
    }

    #[test]
    fn unsound_actions() {
        let remove = |target: &str| Action::Remove {
            target: target.into(),
        };
        let replace = |staged: &str, target: &str| Action::Replace {
            staged: staged.into(),
            target: target.into(),
            file: None,
        };
        assert!(remove("a/b").is_sound());
        assert!(replace("a/.recto-patch-1-0", "a/b").is_sound());
        for action in [
            remove("../a"),
            remove("/a"),
            remove(".git/config"),
            replace("a/.recto-patch-1-0", "b"),
            replace("a/secret", "a/b"),
            replace("../.recto-patch-1-0", "../b"),
        ] {
            assert!(!action.is_sound(), "{action:?}");
        }
    }
}
