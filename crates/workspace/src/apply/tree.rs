//! One directory, and files beneath it.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use recto_patch::{Meaning, ReadFailure, Source};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::error::ApplyIoError;
use super::rules::{self, LEAVES, refused};

/// The largest file a patch may change.
pub const MAX_FILE_BYTES: u64 = 512 * 1024 * 1024;

/// How often a look-up is tried again while somebody renames directories under it.
const TRIES: usize = 32;

/// A directory that patches apply to, held open.
#[derive(Debug)]
pub struct WorkTree {
    root: OwnedFd,
    given: PathBuf,
    real: PathBuf,
    hidden: Vec<PathBuf>,
}

impl WorkTree {
    /// Opens the tree whose root is this directory.
    pub fn open(root: &Path) -> Result<Self, ApplyIoError> {
        let open = || {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let fd = rustix::fs::open(root, flags, Mode::empty())?;
            let real = real_path(&fd)?;
            Ok((fd, real))
        };
        match open() {
            Ok((fd, real)) => Ok(WorkTree {
                root: fd,
                given: root.to_owned(),
                real,
                hidden: Vec::new(),
            }),
            Err(source) => Err(ApplyIoError::Open {
                root: root.to_owned(),
                source,
            }),
        }
    }

    /// Keeps files and directories out of reach, those that exist and those that may come to. One
    /// that holds the whole tree hides nothing.
    #[must_use]
    pub fn hiding(mut self, hidden: &[PathBuf]) -> Self {
        let reals = hidden
            .iter()
            .flat_map(|path| [real_place(path), path.clone()])
            .filter(|path| path.is_absolute() && !self.real.starts_with(path));
        self.hidden = reals.collect();
        self
    }

    /// Returns the root as it was given.
    pub fn root(&self) -> &Path {
        &self.given
    }

    /// Reads the file behind a path, under the same rules as a patch.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, ReadFailure> {
        self.read_named(&self.find(path, Meaning::Content)?)
    }

    /// Reads the beginning of the file behind a path, `limit` bytes of it at the most.
    pub fn read_at_most(&self, path: &str, limit: u64) -> Result<Vec<u8>, ReadFailure> {
        let mut bytes = Vec::new();
        let limit = limit.min(MAX_FILE_BYTES);
        self.open_file(&self.find(path, Meaning::Content)?)?
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|error| ReadFailure::Other(error.to_string()))?;
        Ok(bytes)
    }

    /// Returns the root without links.
    pub(super) fn real_root(&self) -> &Path {
        &self.real
    }

    /// Returns what tells this directory from one that later has its name.
    pub(super) fn identity(&self) -> io::Result<(u64, u64)> {
        let stat = rustix::fs::fstat(&self.root)?;
        Ok((stat.st_dev, stat.st_ino))
    }

    /// Opens a directory by its plain name; a link anywhere in it is an error.
    pub(super) fn directory(&self, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        Ok(self.open_at(name, flags, ResolveFlags::NO_SYMLINKS)?)
    }

    /// Returns what a plain name has, without following a link at its end.
    pub(super) fn stat(&self, name: &str) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(self.entry(name)?)?)
    }

    fn entry(&self, name: &str) -> Result<OwnedFd, Errno> {
        self.open_at(
            name,
            OFlags::PATH | OFlags::NOFOLLOW,
            ResolveFlags::NO_SYMLINKS,
        )
    }

    fn open_at(&self, name: &str, flags: OFlags, more: ResolveFlags) -> Result<OwnedFd, Errno> {
        let name = if name.is_empty() { "." } else { name };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | more;
        let flags = flags | OFlags::CLOEXEC;
        for _ in 0..TRIES {
            match rustix::fs::openat2(&self.root, name, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }

    fn find(&self, path: &str, meaning: Meaning) -> Result<String, ReadFailure> {
        let plain = self.follow(path, meaning)?;
        let real = self.real.join(&plain);
        if self.hidden.iter().any(|hidden| real.starts_with(hidden)) {
            return Err(refused("it is hidden from the model"));
        }
        Ok(plain)
    }

    fn follow(&self, path: &str, meaning: Meaning) -> Result<String, ReadFailure> {
        let path = rules::relative(path, &[&self.given, &self.real])?;
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let (directory, real, missing) = self.deepest(parent)?;
        let plain = join(&join(&real, missing), name);
        if !missing.is_empty() {
            return Ok(plain);
        }
        match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if is(&stat, FileType::Symlink) && meaning == Meaning::Content => {
                self.target(&plain)
            }
            Ok(_) | Err(Errno::NOENT) => Ok(plain),
            Err(errno) => Err(failure(errno)),
        }
    }

    /// Opens the longest part of a directory's path that exists. Returns it, its plain name and
    /// the part that is missing.
    fn deepest<'p>(&self, path: &'p str) -> Result<(OwnedFd, String, &'p str), ReadFailure> {
        let mut there = path;
        let directory = loop {
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            match self.open_at(there, flags, ResolveFlags::empty()) {
                Ok(directory) => break directory,
                Err(Errno::NOENT) if !there.is_empty() => {
                    there = there.rsplit_once('/').map_or("", |(above, _)| above);
                }
                Err(errno) => return Err(failure(errno)),
            }
        };
        let missing = path[there.len()..].trim_start_matches('/');
        let first = missing.split('/').next().unwrap_or_default();
        if !first.is_empty()
            && rustix::fs::statat(&directory, first, AtFlags::SYMLINK_NOFOLLOW).is_ok()
        {
            return Err(refused("a symbolic link in the path points to nothing"));
        }
        let real = self.plain_name(&directory)?;
        Ok((directory, real, missing))
    }

    /// Returns the plain name of what a link leads to.
    fn target(&self, link: &str) -> Result<String, ReadFailure> {
        match self.open_at(link, OFlags::PATH, ResolveFlags::empty()) {
            Ok(target) => self.plain_name(target),
            Err(Errno::NOENT) => Err(refused("the symbolic link points to nothing")),
            Err(errno) => Err(failure(errno)),
        }
    }

    /// Returns the name, beneath the root and without links, of something open, and checks it.
    fn plain_name(&self, file: impl AsFd) -> Result<String, ReadFailure> {
        let path = real_path(file).map_err(|error| ReadFailure::Other(error.to_string()))?;
        let below = path.strip_prefix(&self.real).map_err(|_| refused(LEAVES))?;
        let name = below
            .to_str()
            .ok_or_else(|| refused("the path is not UTF-8"))?;
        rules::check(name)?;
        Ok(name.to_owned())
    }

    fn read_named(&self, name: &str) -> Result<Vec<u8>, ReadFailure> {
        let file = self.open_file(name)?;
        let mut bytes = Vec::new();
        // One byte more tells a file that grew past the limit while it was read.
        file.take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| ReadFailure::Other(error.to_string()))?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(too_large());
        }
        Ok(bytes)
    }

    fn open_file(&self, name: &str) -> Result<std::fs::File, ReadFailure> {
        // Looked at before it is opened: opening a device or a pipe can have effects.
        let entry = self.entry(name).map_err(failure)?;
        regular(&rustix::fs::fstat(&entry).map_err(failure)?)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self
            .open_at(name, flags, ResolveFlags::NO_SYMLINKS)
            .map_err(failure)?;
        regular(&rustix::fs::fstat(&file).map_err(failure)?)?;
        Ok(file.into())
    }
}

impl Source for WorkTree {
    fn resolve(&mut self, path: &str, meaning: Meaning) -> Result<String, ReadFailure> {
        self.find(path, meaning)
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, ReadFailure> {
        self.read_named(name)
    }

    fn probe(&mut self, name: &str) -> Result<(), ReadFailure> {
        let entry = self.entry(name).map_err(failure)?;
        let stat = rustix::fs::fstat(&entry).map_err(failure)?;
        if is(&stat, FileType::Symlink) {
            Ok(())
        } else {
            regular(&stat)
        }
    }
}

fn join(directory: &str, name: &str) -> String {
    match (directory, name) {
        ("", name) => name.to_owned(),
        (directory, "") => directory.to_owned(),
        (directory, name) => format!("{directory}/{name}"),
    }
}

/// Where a path leads, as far as it exists, and its missing rest.
fn real_place(path: &Path) -> PathBuf {
    for above in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (above.canonicalize(), path.strip_prefix(above)) {
            return if rest.as_os_str().is_empty() {
                real
            } else {
                real.join(rest)
            };
        }
    }
    path.to_owned()
}

fn real_path(file: impl AsFd) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))
}

fn is(stat: &Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
}

fn regular(stat: &Stat) -> Result<(), ReadFailure> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if stat.st_size as u64 > MAX_FILE_BYTES => Err(too_large()),
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(ReadFailure::NotAFile),
        _ => Err(refused(
            "it is a pipe, a socket, a device or a link, not a file",
        )),
    }
}

fn too_large() -> ReadFailure {
    ReadFailure::Refused(format!("the file is larger than {MAX_FILE_BYTES} bytes"))
}

fn failure(errno: Errno) -> ReadFailure {
    match errno {
        Errno::NOENT => ReadFailure::Missing,
        Errno::XDEV => refused(LEAVES),
        Errno::LOOP => refused("the path has a loop of symbolic links"),
        errno => ReadFailure::Other(io::Error::from(errno).to_string()),
    }
}
