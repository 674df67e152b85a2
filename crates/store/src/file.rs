//! Opening and making files that only their owner may read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{Context, FileError};

/// Makes a directory with mode 0700. False when there is one already.
pub(crate) fn make_dir(path: &Path) -> Result<bool, FileError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).context("make the directory", path),
    }
}

/// Makes a directory and its parents with mode 0700.
pub(crate) fn make_dirs(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(path)
        .context("make the directory", path)
}

/// Makes a file that must not exist yet, with mode 0600, for reading and writing.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Opens a file for reading; never through a symlink, never waiting on a FIFO.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(flags())
        .open(path)
}

/// Opens a file for reading and writing, under the same rules.
pub(crate) fn open_write(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags())
        .open(path)
}

/// Makes a directory's entries durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), FileError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .context("sync the directory", path)
}

/// Reads at most `limit` bytes from `offset`.
pub(crate) fn read_at(file: &File, offset: u64, limit: u64) -> io::Result<Vec<u8>> {
    use std::io::{Read, Seek, SeekFrom};
    let left = file.metadata()?.len().saturating_sub(offset);
    // Sized by what is there, not by what was asked for.
    let mut bytes = Vec::with_capacity(usize::try_from(left.min(limit)).unwrap_or(0));
    if left > 0 {
        let mut file = file;
        file.seek(SeekFrom::Start(offset))?;
        file.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn flags() -> i32 {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    // The flags are a handful of low bits.
    i32::try_from(flags.bits()).unwrap_or(0)
}
