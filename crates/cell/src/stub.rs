//! Mount points that were not there: a protected directory that is absent gets an empty one for
//! the cell's life, so that a read-only mount can lie on it.
//!
//! A stub is recognised by being an empty directory with one certain modification time: whatever
//! is put into it, or taken out, changes that time, and it is nobody's stub any more. Each cell
//! that relies on a stub holds a shared lock on it; only who gets the exclusive lock removes it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, Timespec, Timestamps};

/// The modification time of stubs: one second after the epoch, which no clock gives.
const MARK: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// A stub that a cell relies on.
#[derive(Debug)]
pub(crate) struct Stub {
    path: PathBuf,
    held: OwnedFd,
}

/// Whether a directory is a stub, of this or of another cell, living or crashed.
pub(crate) fn is_stub(path: &Path) -> bool {
    open(path).is_ok_and(|fd| is_marked(&fd))
}

impl Stub {
    /// Makes a stub, or shares the one that is there. Owned like the tree it is in. None when
    /// something that is no stub has appeared: that is protected as it is.
    pub(crate) fn hold(path: &Path, owner: Option<(u32, u32)>) -> io::Result<Option<Self>> {
        // Each turn loses against another cell's end at most once; more is no coincidence.
        for _ in 0..100 {
            let made = match rustix::fs::mkdirat(CWD, path, Mode::from(0o755)) {
                Ok(()) => true,
                Err(rustix::io::Errno::EXIST) => false,
                Err(error) => return Err(error.into()),
            };
            let held = match open(path) {
                Ok(held) => held,
                Err(rustix::io::Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            match rustix::fs::flock(&held, FlockOperation::NonBlockingLockShared) {
                Ok(()) if is_at(&held, path) => {}
                Ok(()) | Err(rustix::io::Errno::WOULDBLOCK) => {
                    std::thread::yield_now();
                    continue;
                }
                Err(error) => {
                    if made {
                        // Nobody else can rely on it without a lock.
                        let _ = rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR);
                    }
                    return Err(no_lock(error));
                }
            }
            if made {
                if let Err(error) = mark(&held, owner) {
                    remove_held(path, &held);
                    // It could be made, so this is no directory that nothing may be made in.
                    return Err(io::Error::other(format!("it can't be marked: {error}")));
                }
            } else if !is_marked(&held) {
                return Ok(None);
            }
            return Ok(Some(Self {
                path: path.to_owned(),
                held,
            }));
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// Lets go, and removes it if nobody else relies on it.
    pub(crate) fn release(self) {
        if is_marked(&self.held) {
            remove_held(&self.path, &self.held);
        }
    }
}

/// Removes an announced stub that no living cell relies on. Its maker may have been killed before
/// it could mark it, so here it is enough that it is empty.
pub(crate) fn remove(path: &Path) {
    if let Ok(fd) = open(path) {
        remove_held(path, &fd);
    }
}

/// In words: a caller who is forbidden to make something is told so by other errors than these.
fn no_lock(error: rustix::io::Errno) -> io::Error {
    let text = format!("its file system has no locks that tell who relies on a directory: {error}");
    io::Error::other(text)
}

/// Turning the shared lock into an exclusive one fails as long as anyone else holds it.
fn remove_held(path: &Path, held: &OwnedFd) {
    if rustix::fs::flock(held, FlockOperation::NonBlockingLockExclusive).is_ok()
        && is_at(held, path)
    {
        // Only an empty directory goes; anything else was put there and is kept.
        let _ = rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR);
    }
}

fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}

fn mark(held: &OwnedFd, owner: Option<(u32, u32)>) -> io::Result<()> {
    if let Some((uid, gid)) = owner {
        let uid = rustix::fs::Uid::from_raw(uid);
        rustix::fs::fchown(held, Some(uid), Some(rustix::fs::Gid::from_raw(gid)))?;
    }
    Ok(rustix::fs::futimens(
        held,
        &Timestamps {
            last_access: MARK,
            last_modification: MARK,
        },
    )?)
}

fn is_marked(held: &OwnedFd) -> bool {
    rustix::fs::fstat(held)
        .is_ok_and(|stat| stat.st_mtime == MARK.tv_sec && stat.st_mtime_nsec == 0)
}

/// Whether a name still leads to what is held.
fn is_at(held: &OwnedFd, path: &Path) -> bool {
    let here = rustix::fs::fstat(held);
    let there = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW);
    matches!((here, there), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_holder_removes_a_stub() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join(".recto");
        let first = Stub::hold(&path, None).unwrap().unwrap();
        assert!(is_stub(&path));
        let second = Stub::hold(&path, None).unwrap().unwrap();
        first.release();
        assert!(path.exists());
        remove(&path);
        assert!(path.exists(), "somebody holds it");
        second.release();
        assert!(!path.exists());
    }

    #[test]
    fn what_was_there_stays() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("hooks");
        std::fs::create_dir(&path).unwrap();
        assert!(!is_stub(&path) && Stub::hold(&path, None).unwrap().is_none());
        std::fs::write(path.join("pre-commit"), "").unwrap();
        remove(&path);
        assert!(path.exists());
    }

    #[test]
    fn a_stub_that_was_used_is_kept() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("hooks");
        let stub = Stub::hold(&path, None).unwrap().unwrap();
        std::fs::write(path.join("x"), "").unwrap();
        stub.release();
        assert!(path.join("x").exists());
    }

    #[test]
    fn a_crashed_cells_stub_is_taken_over_and_removed() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("hooks");
        // The lock dies with its holder; the mark stays.
        drop(Stub::hold(&path, None).unwrap());
        Stub::hold(&path, None).unwrap().unwrap().release();
        assert!(!path.exists());
    }
}
