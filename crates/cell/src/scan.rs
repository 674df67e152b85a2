//! Looks through a whole tree before a cell begins: for what lies in it by name and kind.
//!
//! Only directories are read (the kernel tells each entry's kind along with its name), and on ext4
//! that is a quarter of a microsecond for each entry and some for each directory: a large tree is
//! therefore read by several threads. Directories are found by their path from the top, through no
//! symbolic link. One that is moved meanwhile may be missed: other cells can't move the user's
//! repositories, and those that are not known are disarmed afterwards.

use std::ffi::OsString;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use crate::walk::{Entries, read};

/// Longest path below the top that is read; what lies deeper is told as [`Directory::Closed`].
const LONGEST: usize = 3000;
/// Entries after which it is given up.
pub(crate) const MOST: usize = if cfg!(test) { 4000 } else { 4_000_000 };
/// Directories that wait when it is worth to start further threads.
const MANY: usize = 16;
/// Threads that read one tree; more wait for each other in the kernel.
const THREADS: usize = 4;

/// A directory that was met, by its path below the top (empty for the top itself).
pub(crate) enum Directory<'a> {
    /// It was read.
    Read(&'a Path, &'a Entries, &'a OwnedFd),
    /// It could not be: no permission, or too deep.
    Closed(&'a Path),
}

/// The tree has more than [`MOST`] entries.
#[derive(Debug)]
pub(crate) struct TooMany;

/// Reads a tree. `look` is told of each directory, in no order, with what its thread has found; it
/// says whether to go into the directories in it.
pub(crate) fn scan<F: Default + Send>(
    top: &Path,
    look: impl Fn(&mut F, Directory<'_>) -> bool + Sync,
) -> Result<Vec<F>, TooMany> {
    let mut first = F::default();
    let opened = match open(CWD, top) {
        Ok(opened) => opened,
        Err(_) => {
            look(&mut first, Directory::Closed(Path::new("")));
            return Ok(vec![first]);
        }
    };
    let scan = Scan {
        top: opened,
        left: Mutex::new(Left {
            waiting: vec![PathBuf::new()],
            ..Left::default()
        }),
        changed: Condvar::new(),
        look,
    };
    let others = std::thread::scope(|scope| {
        let mut others = Vec::new();
        scan.work(&mut first, || {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            for _ in 1..threads.min(THREADS) {
                let work = || {
                    let mut found = F::default();
                    scan.work(&mut found, || {});
                    found
                };
                // Without a further thread this one does it all.
                let thread = std::thread::Builder::new().name("recto-scan".into());
                others.extend(thread.spawn_scoped(scope, work));
            }
        });
        let others = others.into_iter().map(|thread| thread.join());
        others.collect::<Result<Vec<F>, _>>()
    });
    // A panic of one is a panic of all.
    let mut found = others.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    found.push(first);
    if scan.lock().seen > MOST {
        return Err(TooMany);
    }
    Ok(found)
}

struct Scan<L> {
    top: OwnedFd,
    left: Mutex<Left>,
    /// More waits, or nothing will any more.
    changed: Condvar,
    look: L,
}

/// What is left to do.
#[derive(Default)]
struct Left {
    waiting: Vec<PathBuf>,
    /// Directories that are being read.
    busy: usize,
    /// Entries so far.
    seen: usize,
}

/// A directory that is being read; what it gives is there for all when this is dropped, whatever
/// happens meanwhile.
struct Reading<'a, L> {
    scan: &'a Scan<L>,
    path: PathBuf,
    seen: usize,
    directories: Vec<OsString>,
}

impl<L> Drop for Reading<'_, L> {
    fn drop(&mut self) {
        let mut left = self.scan.lock();
        left.busy -= 1;
        left.seen += self.seen;
        let below = self.directories.drain(..).map(|name| self.path.join(name));
        left.waiting.extend(below);
        if left.waiting.len() > 1 || left.busy == 0 {
            self.scan.changed.notify_all();
        }
    }
}

impl<L> Scan<L> {
    /// Reads directories until none is left. `get_help` is called once, when there are many.
    fn work<F>(&self, found: &mut F, get_help: impl FnOnce())
    where
        L: Fn(&mut F, Directory<'_>) -> bool,
    {
        let mut buffer = vec![MaybeUninit::uninit(); 32 << 10];
        let mut get_help = Some(get_help);
        while let Some((mut reading, waiting)) = self.next() {
            if waiting >= MANY
                && let Some(get_help) = get_help.take()
            {
                get_help();
            }
            let path = &reading.path;
            match self.read(path, &mut buffer) {
                Ok((fd, entries)) => {
                    if (self.look)(found, Directory::Read(path, &entries, &fd)) {
                        reading.directories = entries.directories;
                    }
                    reading.seen = entries.count;
                }
                // It has gone, or is something else by now.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(_) => {
                    (self.look)(found, Directory::Closed(path));
                }
            }
        }
    }

    /// A directory to read, and how many wait beside it. None when all are read.
    fn next(&self) -> Option<(Reading<'_, L>, usize)> {
        let mut left = self.lock();
        loop {
            if left.seen > MOST {
                left.waiting.clear();
            }
            if let Some(path) = left.waiting.pop() {
                left.busy += 1;
                let reading = Reading {
                    scan: self,
                    path,
                    seen: 0,
                    directories: Vec::new(),
                };
                return Some((reading, left.waiting.len()));
            }
            if left.busy == 0 {
                return None;
            }
            left = self
                .changed
                .wait(left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn read(
        &self,
        path: &Path,
        buffer: &mut [MaybeUninit<u8>],
    ) -> rustix::io::Result<(OwnedFd, Entries)> {
        if path.as_os_str().len() > LONGEST {
            return Err(Errno::NAMETOOLONG);
        }
        let is_top = path.as_os_str().is_empty();
        let fd = open(&self.top, if is_top { Path::new(".") } else { path })?;
        let entries = read(&fd, buffer, true)?;
        Ok((fd, entries))
    }

    fn lock(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(from: impl std::os::fd::AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(from, path, flags, Mode::empty(), resolve)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Directories that were read, those that could not be, and sockets.
    type Found = [BTreeSet<PathBuf>; 3];

    fn found(top: &Path) -> Result<Found, TooMany> {
        let parts = scan(
            top,
            |[read, closed, channels]: &mut Found, directory| match directory {
                Directory::Read(path, entries, _) => {
                    read.insert(path.to_owned());
                    channels.extend(entries.channels.iter().map(|name| path.join(name)));
                    !path.ends_with("past")
                }
                Directory::Closed(path) => !closed.insert(path.to_owned()),
            },
        );
        let mut all = Found::default();
        for part in parts? {
            for (all, part) in all.iter_mut().zip(part) {
                all.extend(part);
            }
        }
        Ok(all)
    }

    #[test]
    fn several_threads_find_all_of_a_tree_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut expected = BTreeSet::from([PathBuf::new()]);
        for n in 0..200 {
            let path = PathBuf::from(format!("{}/{}/{n}", n % 3, n % 40));
            std::fs::create_dir_all(dir.path().join(&path)).unwrap();
            expected.extend(path.ancestors().map(Path::to_owned));
        }
        std::fs::create_dir_all(dir.path().join("past/below")).unwrap();
        expected.insert("past".into());
        symlink("past", dir.path().join("link")).unwrap();
        let _socket = UnixListener::bind(dir.path().join("1/1/1/socket")).unwrap();
        let [read, closed, channels] = found(dir.path()).unwrap();
        assert_eq!(read, expected);
        assert!(closed.is_empty());
        assert_eq!(channels, BTreeSet::from(["1/1/1/socket".into()]));
    }

    #[test]
    fn what_is_too_deep_or_not_there_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let name = "n".repeat(200);
        let mut at = open(CWD, dir.path()).unwrap();
        for _ in 0..20 {
            rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
            at = open(&at, Path::new(&name)).unwrap();
        }
        let [read, closed, _] = found(dir.path()).unwrap();
        let deepest = closed.first().unwrap().components().count();
        assert_eq!((read.len(), closed.len(), deepest), (15, 1, 15));
        let [read, closed, _] = found(&dir.path().join("absent")).unwrap();
        assert!(read.is_empty() && closed.contains(Path::new("")));
    }

    #[test]
    fn too_many_entries_are_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        for n in 0..MOST {
            let below = dir.path().join(format!("{}", n % 40));
            let _ = std::fs::create_dir(&below);
            std::fs::hard_link(&file, below.join(format!("{n}"))).unwrap();
        }
        assert!(found(dir.path()).is_err());
    }
}
