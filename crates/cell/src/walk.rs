//! Walks a directory tree for what lies in it by name and kind, without looking at any file.
//!
//! Reading directories is all it does (the kernel tells each entry's kind along with its name), so
//! that whole work trees can be walked before each cell. No symbolic link is followed.

use std::ffi::{CStr, OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, ResolveFlags};

/// Longest path below the top that is walked; what lies deeper is told as [`Directory::Closed`].
const LONGEST: usize = 3000;
/// Entries after which a walk gives up.
pub(crate) const MOST: usize = 4_000_000;

/// A directory that was met, by its path below the top (empty for the top itself).
pub(crate) enum Directory<'a> {
    /// It was read.
    Read(&'a Path, &'a Entries, &'a OwnedFd),
    /// It could not be: no permission, or too deep.
    Closed(&'a Path),
}

/// What of a directory's entries matters to a cell.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    pub(crate) directories: Vec<OsString>,
    /// Sockets and FIFOs.
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

    fn add(&mut self, name: &CStr, kind: FileType) {
        let bytes = name.to_bytes();
        let owned = || OsStr::from_bytes(bytes).to_owned();
        match kind {
            FileType::Directory => self.directories.push(owned()),
            FileType::Socket | FileType::Fifo => self.channels.push(owned()),
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

/// A tree that has more entries than are walked.
#[derive(Debug)]
pub(crate) struct TooMany;

/// Walks a tree; `visit` says whether to go into the directory's directories.
pub(crate) fn walk(
    top: &Path,
    mut visit: impl FnMut(Directory<'_>) -> bool,
) -> Result<(), TooMany> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let Ok(root) = rustix::fs::openat2(CWD, top, flags, Mode::empty(), resolve) else {
        visit(Directory::Closed(Path::new("")));
        return Ok(());
    };
    let resolve = resolve | ResolveFlags::BENEATH;
    let mut waiting = vec![PathBuf::new()];
    let mut buffer = vec![MaybeUninit::uninit(); 64 << 10];
    let mut seen = 0;
    while let Some(path) = waiting.pop() {
        let name = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path.as_path()
        };
        let opened = if path.as_os_str().len() > LONGEST {
            Err(rustix::io::Errno::NAMETOOLONG)
        } else {
            rustix::fs::openat2(&root, name, flags, Mode::empty(), resolve)
        };
        let read = opened.and_then(|fd| Ok((read(&fd, &mut buffer, &mut seen)?, fd)));
        match read {
            Ok((entries, fd)) => {
                if visit(Directory::Read(&path, &entries, &fd)) {
                    let inner = entries.directories.iter();
                    waiting.extend(inner.map(|name| path.join(name)));
                }
            }
            // It has gone, or is something else by now.
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
            }
            Err(_) => {
                visit(Directory::Closed(&path));
            }
        }
        if seen > MOST {
            return Err(TooMany);
        }
    }
    Ok(())
}

fn read(
    fd: &OwnedFd,
    buffer: &mut [MaybeUninit<u8>],
    seen: &mut usize,
) -> rustix::io::Result<Entries> {
    let mut entries = Entries::default();
    let mut raw = RawDir::new(fd.as_fd(), buffer);
    while let Some(entry) = raw.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        *seen += 1;
        let kind = match entry.file_type() {
            // A few file systems don't tell.
            FileType::Unknown => rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_or(FileType::Unknown, |stat| {
                    FileType::from_raw_mode(stat.st_mode)
                }),
            kind => kind,
        };
        entries.add(name, kind);
    }
    Ok(entries)
}
