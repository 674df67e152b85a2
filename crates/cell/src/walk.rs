//! Walks a tree after a cell, for all that the cell can have made: no bounds, whatever it costs, and
//! directories that their owner closed are open meanwhile. No symbolic link is followed, and no
//! file is looked at.

use std::ffi::{CStr, OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawDir, ResolveFlags, SeekFrom, StatxFlags, chmod,
    fchmod, fstat, openat, openat2, statx,
};
use serde::{Deserialize, Serialize};

/// How many of the directories on the way down are kept open; the others are found again as the
/// parents of these.
const OPEN: usize = 32;

/// Where to go from a directory.
#[derive(PartialEq, Eq)]
pub(crate) enum Next {
    /// Not into its directories.
    Past,
    /// Into its directories.
    Into,
    /// The same, but names in it were changed: it has to be read again.
    Again,
}

/// Tells a directory from every other one, also from a later one that gets its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    /// Seconds and nanoseconds of its birth, where the file system knows it. Other times change as
    /// the user works.
    pub(crate) born: Option<(i64, u32)>,
}

impl Identity {
    pub(crate) fn of(fd: &OwnedFd) -> Option<Self> {
        let stat = fstat(fd).ok()?;
        let more = statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::BTIME).ok();
        let known = more.filter(|more| more.stx_mask & StatxFlags::BTIME.bits() != 0);
        Some(Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            born: known.map(|more| (more.stx_btime.tv_sec, more.stx_btime.tv_nsec)),
        })
    }
}

/// What of a directory's entries matters to a cell.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    /// How many there are.
    pub(crate) count: usize,
    pub(crate) directories: Vec<OsString>,
    /// Sockets and FIFOs, if they are wanted.
    pub(crate) channels: Vec<OsString>,
    /// A `.git` that is a file.
    pub(crate) git_file: bool,
    pub(crate) head: bool,
    pub(crate) objects: bool,
    pub(crate) refs: bool,
    pub(crate) commondir: bool,
}

impl Entries {
    /// Whether git may take the directory, by its path, for a repository, or for the one that
    /// another's `commondir` leads to: that needs no `HEAD`.
    pub(crate) fn is_repository(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| name == ".git") || self.objects && self.refs
    }

    fn add(&mut self, name: &CStr, kind: FileType, wants_channels: bool) {
        self.count += 1;
        let bytes = name.to_bytes();
        let owned = || OsStr::from_bytes(bytes).to_owned();
        match kind {
            FileType::Directory => self.directories.push(owned()),
            FileType::Socket | FileType::Fifo if wants_channels => self.channels.push(owned()),
            _ => {}
        }
        match bytes {
            b".git" => self.git_file = kind == FileType::RegularFile,
            b"HEAD" => self.head = true,
            b"objects" => self.objects = true,
            b"refs" => self.refs = true,
            b"commondir" => self.commondir = true,
            _ => {}
        }
    }
}

/// A directory was moved while the walk was in it.
#[derive(Debug)]
pub(crate) struct Moved;

/// Walks a tree; `visit` says where to go from each directory. Holds the names that are left to go
/// to on the way down, and a bounded number of descriptors.
pub(crate) fn walk(
    top: &Path,
    mut visit: impl FnMut(&Path, &Entries, &OwnedFd) -> Next,
) -> Result<(), Moved> {
    let mut walk = Walk {
        levels: Vec::new(),
        buffer: vec![MaybeUninit::uninit(); 64 << 10],
    };
    walk.enter(CWD, top, Path::new(""), &mut visit);
    while let Some(level) = walk.levels.last_mut() {
        let Some(name) = level.waiting.pop() else {
            walk.leave()?;
            continue;
        };
        let Some(parent) = level.fd.take() else {
            return Err(Moved);
        };
        let depth = walk.levels.len();
        let name = Path::new(&name);
        walk.enter(parent.as_fd(), name, name, &mut visit);
        walk.levels[depth - 1].fd = Some(parent);
        if let Some(above) = walk.levels.len().checked_sub(OPEN + 1) {
            walk.levels[above].fd = None;
        }
    }
    Ok(())
}

/// A directory that the walk is in.
struct Level {
    /// None while it is far above.
    fd: Option<OwnedFd>,
    identity: (u64, u64),
    /// The names of its directories that are left.
    waiting: Vec<OsString>,
    closed: Option<Closed>,
}

/// The modes of a directory that its owner had closed: before, and while it is looked through.
#[derive(Clone, Copy)]
struct Closed {
    before: Mode,
    now: Mode,
}

impl Closed {
    /// As it was: the user may have closed it. One whose mode was changed since stays so.
    fn restore(self, fd: &OwnedFd) {
        if fstat(fd).is_ok_and(|stat| stat.st_mode & 0o7777 == self.now.bits()) {
            let _ = fchmod(fd, self.before);
        }
    }
}

struct Walk {
    levels: Vec<Level>,
    buffer: Vec<MaybeUninit<u8>>,
}

impl Walk {
    /// Looks at a directory, and makes it the lowest level if the walk goes into it.
    fn enter(
        &mut self,
        parent: BorrowedFd<'_>,
        place: &Path,
        name: &Path,
        visit: &mut impl FnMut(&Path, &Entries, &OwnedFd) -> Next,
    ) {
        let read = open(parent, place).and_then(|(fd, closed)| {
            let entries = read(&fd, &mut self.buffer, false)?;
            Ok((fd, closed, entries))
        });
        // It has gone, is something else by now, or is nobody's to look into.
        let Ok((fd, closed, mut entries)) = read else {
            return;
        };
        let next = visit(name, &entries, &fd);
        if next == Next::Again
            && let Ok(again) = read_again(&fd, &mut self.buffer)
        {
            entries = again;
        }
        let stat = fstat(&fd).ok().filter(|_| next != Next::Past);
        let Some(stat) = stat else {
            if let Some(closed) = closed {
                closed.restore(&fd);
            }
            return;
        };
        self.levels.push(Level {
            fd: Some(fd),
            identity: (stat.st_dev, stat.st_ino),
            waiting: entries.directories,
            closed,
        });
    }

    /// Goes back up from the lowest level.
    fn leave(&mut self) -> Result<(), Moved> {
        let Some(left) = self.levels.pop() else {
            return Ok(());
        };
        let fd = left.fd.ok_or(Moved)?;
        let found = match self.levels.last_mut() {
            Some(above) if above.fd.is_none() => above.find(&fd),
            _ => Ok(()),
        };
        if let Some(closed) = left.closed {
            closed.restore(&fd);
        }
        found
    }
}

impl Level {
    /// Opens the directory again, as the parent of one in it.
    fn find(&mut self, below: &OwnedFd) -> Result<(), Moved> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(below, "..", flags, Mode::empty()).map_err(|_| Moved)?;
        let stat = fstat(&fd).map_err(|_| Moved)?;
        if (stat.st_dev, stat.st_ino) != self.identity {
            return Err(Moved);
        }
        self.fd = Some(fd);
        Ok(())
    }
}

impl Drop for Walk {
    /// Closes again what a walk that stopped was in.
    fn drop(&mut self) {
        for level in self.levels.drain(..).rev() {
            if let (Some(fd), Some(closed)) = (level.fd, level.closed) {
                closed.restore(&fd);
            }
        }
    }
}

/// Opens a directory to be read and searched.
fn open(parent: BorrowedFd<'_>, name: &Path) -> rustix::io::Result<(OwnedFd, Option<Closed>)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let place = openat2(parent, name, flags | OFlags::PATH, Mode::empty(), resolve)?;
    let mode = fstat(&place)?.st_mode & 0o7777;
    let mut closed = None;
    if mode & 0o500 != 0o500 {
        let (before, now) = (Mode::from_raw_mode(mode), mode | 0o500);
        let by_descriptor = format!("/proc/self/fd/{}", place.as_raw_fd());
        let now = Mode::from_raw_mode(now);
        closed = chmod(by_descriptor.as_str(), now)
            .is_ok()
            .then_some(Closed { before, now });
    }
    let fd = openat(&place, ".", flags, Mode::empty())?;
    Ok((fd, closed))
}

/// Reads a directory from its beginning once more.
fn read_again(fd: &OwnedFd, buffer: &mut [MaybeUninit<u8>]) -> rustix::io::Result<Entries> {
    rustix::fs::seek(fd, SeekFrom::Start(0))?;
    read(fd, buffer, false)
}

/// Reads a directory from where it stands.
pub(crate) fn read(
    fd: &OwnedFd,
    buffer: &mut [MaybeUninit<u8>],
    wants_channels: bool,
) -> rustix::io::Result<Entries> {
    let mut entries = Entries::default();
    let mut raw = RawDir::new(fd.as_fd(), buffer);
    while let Some(entry) = raw.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let kind = match entry.file_type() {
            // A few file systems don't tell.
            FileType::Unknown => rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_or(FileType::Unknown, |stat| {
                    FileType::from_raw_mode(stat.st_mode)
                }),
            kind => kind,
        };
        entries.add(name, kind, wants_channels);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(path: &Path) -> Identity {
        Identity::of(&std::fs::File::open(path).unwrap().into()).unwrap()
    }

    #[test]
    fn a_directory_is_the_same_whatever_is_done_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("x"), dir.path().join("y"));
        std::fs::create_dir(&path).unwrap();
        let first = identity(&path);
        std::fs::write(path.join("HEAD"), "").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        assert_eq!(first, identity(&moved));
        std::fs::create_dir(&path).unwrap();
        assert_ne!(first, identity(&path));
    }
}
