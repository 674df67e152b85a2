//! The work tree's files for the harness: every path is walked from the work tree's descriptor,
//! name by name, and no step follows a symbolic link.
//!
//! The walk needs nothing but `openat`: `openat2` with `RESOLVE_BENEATH` says the same in one call,
//! but gVisor lacks it, and one way that works everywhere is easier to trust than two. Without `..`
//! and without links no name leads out; what commands rename meanwhile stays a directory that they
//! may use themselves.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use bytes::Bytes;
use recto_protocol::ports::cell::files::{MAX_READ, MAX_WRITE};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, SeekFrom, Stat};
use rustix::io::Errno;

use crate::wire::Event;
use crate::wire::files::{
    self as message, FileRefused, How, Kind, ListReply, MAX_PATH, Name, PAGE, StatReply, Why, names,
};

/// What is opened is not waited for, is no terminal of ours, and is nobody's after an exec.
const CAREFUL: OFlags = OFlags::NOFOLLOW
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);
/// How often another temporary name is tried; commands may make them all.
const TRIES: u32 = 16;

/// The work tree's files.
pub(super) struct Files {
    /// None when the work tree could not be opened: then every request is refused.
    root: Option<OwnedFd>,
    temporary: u32,
}

/// Why a request is refused.
enum Refused {
    Path,
    Link,
    Kind,
    System(Errno),
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

type Answer = Result<Event, Refused>;

impl Files {
    /// Those of a work tree by its path, which nothing hostile has touched yet.
    pub(super) fn new(work_tree: &Path) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Self {
            root: rustix::fs::open(work_tree, flags, Mode::empty()).ok(),
            temporary: 0,
        }
    }

    pub(super) fn stat(&self, request: &message::Stat) -> Event {
        told(self.look(request))
    }

    pub(super) fn read(&self, request: &message::Read) -> Event {
        told(self.part(request))
    }

    pub(super) fn write(&mut self, request: &message::Write, bytes: &Bytes) -> Event {
        told(self.put(request, bytes))
    }

    pub(super) fn list(&self, request: &message::List) -> Event {
        told(self.page(request))
    }

    pub(super) fn make_directory(&self, request: &message::MakeDirectory) -> Event {
        told(self.place(&request.path).and_then(|place| {
            rustix::fs::mkdirat(&place.parent, place.name, permissions(request.mode))?;
            Ok(Event::Done)
        }))
    }

    pub(super) fn remove(&self, request: &message::Remove) -> Event {
        told(self.place(&request.path).and_then(|place| {
            let (_, kind) = place.stat()?;
            let flags = match kind {
                Kind::Directory => AtFlags::REMOVEDIR,
                Kind::File | Kind::Link | Kind::Other => AtFlags::empty(),
            };
            rustix::fs::unlinkat(&place.parent, place.name, flags)?;
            Ok(Event::Done)
        }))
    }

    pub(super) fn rename(&self, request: &message::Rename) -> Event {
        told(self.place(&request.from).and_then(|from| {
            let to = self.place(&request.to)?;
            rustix::fs::renameat(&from.parent, from.name, &to.parent, to.name)?;
            Ok(Event::Done)
        }))
    }

    fn look(&self, request: &message::Stat) -> Answer {
        let names = names(request.path.as_bytes()).ok_or(Refused::Path)?;
        let Some((name, parents)) = names.split_last() else {
            let stat = rustix::fs::fstat(self.root()?)?;
            return Ok(described(&stat, None));
        };
        let place = Place {
            parent: self.walk(parents)?,
            name,
        };
        let (stat, kind) = place.stat()?;
        let target = match kind {
            Kind::Link => Some(place.target()?),
            Kind::File | Kind::Directory | Kind::Other => None,
        };
        Ok(described(&stat, target))
    }

    fn part(&self, request: &message::Read) -> Answer {
        if request.length > MAX_READ {
            return Err(Refused::Path);
        }
        let (file, stat) = self.place(&request.path)?.open(OFlags::RDONLY)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if request.offset > i64::MAX as u64 - u64::from(request.length) {
            // Beyond what a file can hold, so beyond its end.
            return Ok(Event::Data(size, Bytes::new()));
        }
        let mut bytes = vec![0; request.length as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            let at = request.offset + filled as u64;
            match rustix::io::pread(&file, &mut bytes[filled..], at) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bytes.truncate(filled);
        Ok(Event::Data(size, bytes.into()))
    }

    fn put(&mut self, request: &message::Write, bytes: &[u8]) -> Answer {
        if bytes.len() > MAX_WRITE {
            return Err(Refused::Path);
        }
        let place = self.place(&request.path)?;
        let (flags, mode, offset) = match request.how {
            How::Create { mode } => (OFlags::CREATE | OFlags::EXCL, mode, Some(0)),
            How::Truncate { mode } => (OFlags::CREATE | OFlags::TRUNC, mode, Some(0)),
            How::At { offset } => (OFlags::empty(), 0, Some(offset)),
            How::Append { mode } => (OFlags::CREATE | OFlags::APPEND, mode, None),
            How::Replace { mode } => {
                let (temporary, file) = self.temporary(&place, mode)?;
                let renamed = write(&file, bytes, Some(0)).and_then(|()| {
                    rustix::fs::renameat(
                        &place.parent,
                        temporary.as_str(),
                        &place.parent,
                        place.name,
                    )
                });
                if renamed.is_err() {
                    let _ =
                        rustix::fs::unlinkat(&place.parent, temporary.as_str(), AtFlags::empty());
                }
                renamed?;
                return Ok(Event::Done);
            }
        };
        let file = place
            .open_with(OFlags::WRONLY | flags, permissions(mode))?
            .0;
        write(&file, bytes, offset)?;
        Ok(Event::Done)
    }

    /// A new file beside a place, under a name that nothing has.
    fn temporary(&mut self, place: &Place<'_>, mode: u32) -> Result<(String, OwnedFd), Refused> {
        // A directory at the place is found out before anything is made.
        if let Ok((_, Kind::Directory | Kind::Other)) = place.stat() {
            return Err(Refused::Kind);
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | CAREFUL;
        for _ in 0..TRIES {
            self.temporary = self.temporary.wrapping_add(1);
            let name = format!(".recto-{:x}.tmp", self.temporary);
            match rustix::fs::openat(&place.parent, &name, flags, permissions(mode)) {
                Ok(file) => return Ok((name, file)),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::EXIST.into())
    }

    fn page(&self, request: &message::List) -> Answer {
        let names = names(request.path.as_bytes()).ok_or(Refused::Path)?;
        let place = self.walk(&names)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | CAREFUL;
        let directory = rustix::fs::openat(&place, ".", flags, Mode::empty())?;
        if request.from > 0 {
            rustix::fs::seek(&directory, SeekFrom::Start(request.from))?;
        }
        let mut space = [MaybeUninit::uninit(); 8192];
        let mut raw = RawDir::new(&directory, &mut space);
        let mut entries = Vec::new();
        let mut last = request.from;
        while let Some(entry) = raw.next() {
            let entry = entry?;
            if entries.len() == PAGE {
                return Ok(Event::List(ListReply {
                    entries,
                    next: Some(last),
                }));
            }
            last = entry.next_entry_cookie();
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Not every file system tells it here.
                FileType::Unknown => {
                    let stat = rustix::fs::statat(&place, name, AtFlags::SYMLINK_NOFOLLOW);
                    stat.map_or(Kind::Other, |stat| kind(&stat))
                }
                known => of_type(known),
            };
            entries.push((Name::from(name), kind));
        }
        Ok(Event::List(ListReply {
            entries,
            next: None,
        }))
    }

    fn root(&self) -> Result<BorrowedFd<'_>, Refused> {
        let root = self.root.as_ref().ok_or(Errno::NOENT)?;
        Ok(root.as_fd())
    }

    /// The directory that these names lead to.
    fn walk(&self, names: &[&OsStr]) -> Result<OwnedFd, Refused> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut directory = rustix::io::fcntl_dupfd_cloexec(self.root()?, 3)?;
        for name in names {
            let inner = rustix::fs::openat(&directory, *name, flags, Mode::empty());
            directory = match inner {
                Ok(inner) => inner,
                Err(error) => {
                    let stat = rustix::fs::statat(&directory, *name, AtFlags::SYMLINK_NOFOLLOW);
                    let is_link = stat.is_ok_and(|stat| kind(&stat) == Kind::Link);
                    return Err(if is_link { Refused::Link } else { error.into() });
                }
            };
        }
        Ok(directory)
    }

    /// Where a path ends; not the work tree itself.
    fn place<'a>(&self, path: &'a Name) -> Result<Place<'a>, Refused> {
        let names = names(path.as_bytes()).ok_or(Refused::Path)?;
        let (name, parents) = names.split_last().ok_or(Refused::Path)?;
        Ok(Place {
            parent: self.walk(parents)?,
            name,
        })
    }
}

/// A name in an open directory.
struct Place<'a> {
    parent: OwnedFd,
    name: &'a OsStr,
}

impl Place<'_> {
    fn stat(&self) -> Result<(Stat, Kind), Refused> {
        let stat = rustix::fs::statat(&self.parent, self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok((stat, kind(&stat)))
    }

    fn target(&self) -> Result<Name, Refused> {
        let target = rustix::fs::readlinkat(&self.parent, self.name, Vec::new())?.into_bytes();
        if target.len() > MAX_PATH {
            return Err(Errno::NAMETOOLONG.into());
        }
        Ok(Name::from(std::ffi::OsString::from_vec(target).as_os_str()))
    }

    fn open(&self, flags: OFlags) -> Result<(OwnedFd, Stat), Refused> {
        self.open_with(flags, Mode::empty())
    }

    /// Opens a regular file, and nothing else. It is looked at twice: before, because opening a
    /// pipe or a device does something already, and after, because only that is sure.
    fn open_with(&self, flags: OFlags, mode: Mode) -> Result<(OwnedFd, Stat), Refused> {
        match self.stat() {
            Ok((_, kind)) => regular(kind)?,
            Err(Refused::System(Errno::NOENT)) if flags.contains(OFlags::CREATE) => {}
            Err(refused) => return Err(refused),
        }
        let file = rustix::fs::openat(&self.parent, self.name, flags | CAREFUL, mode)?;
        let stat = rustix::fs::fstat(&file)?;
        regular(kind(&stat))?;
        Ok((file, stat))
    }
}

fn regular(kind: Kind) -> Result<(), Refused> {
    match kind {
        Kind::File => Ok(()),
        Kind::Link => Err(Refused::Link),
        Kind::Directory | Kind::Other => Err(Refused::Kind),
    }
}

/// Writes all bytes from an offset on, or at the end of a file that was opened for appending.
fn write(file: &OwnedFd, mut bytes: &[u8], mut offset: Option<u64>) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let written = match offset {
            Some(at) => rustix::io::pwrite(file, bytes, at),
            None => rustix::io::write(file, bytes),
        };
        match written {
            Ok(n) => {
                bytes = &bytes[n..];
                offset = offset.map(|at| at.saturating_add(n as u64));
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn told(answer: Answer) -> Event {
    let (why, errno) = match answer {
        Ok(event) => return event,
        Err(Refused::Path) => (Why::Path, libc::EINVAL),
        // Between the two looks at it, or on the way: the kernel met a link.
        Err(Refused::Link | Refused::System(Errno::LOOP)) => (Why::Link, libc::ELOOP),
        Err(Refused::Kind) => (Why::Kind, libc::EINVAL),
        Err(Refused::System(errno)) => (Why::System, errno.raw_os_error()),
    };
    Event::FileRefused(FileRefused { why, errno })
}

fn described(stat: &Stat, target: Option<Name>) -> Event {
    let kind = kind(stat);
    let is_file = kind == Kind::File;
    Event::Stat(StatReply {
        kind,
        size: u64::try_from(stat.st_size).map_or(0, |size| if is_file { size } else { 0 }),
        mode: stat.st_mode & 0o7777,
        modified: (
            stat.st_mtime,
            u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        ),
        target,
    })
}

/// Nothing that a file may give beyond its owner's rights to itself.
fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & 0o777)
}

fn kind(stat: &Stat) -> Kind {
    of_type(FileType::from_raw_mode(stat.st_mode))
}

fn of_type(kind: FileType) -> Kind {
    match kind {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    }
}
