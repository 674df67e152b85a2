//! A cell's files, read and written by its inside: relative to the work tree, never through a link.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;

use super::CellError;

/// Most bytes that one [`CellFiles::read`] returns.
pub const MAX_READ: u32 = 512 << 10;
/// Most bytes that one [`CellFiles::write`] takes.
pub const MAX_WRITE: usize = 2 << 20;

/// Files of a cell's work tree, touched with the rights of the cell's own commands.
///
/// Paths are relative to the work tree; their parts are names, so neither `..` nor `.` nor an
/// absolute path is taken. The empty path is the work tree itself. No symbolic link is followed,
/// on the way or at the end: whoever wants to follow one reads its target with
/// [`CellFiles::stat`] and asks again. Pipes, sockets and devices are not opened.
#[async_trait]
pub trait CellFiles: Send + Sync {
    /// What lies at a path; a symbolic link itself, not what it leads to.
    ///
    /// # Errors
    /// [`FileError`]
    async fn stat(&self, path: &Path) -> Result<FileStat, FileError>;

    /// Reads a part of a regular file: up to `length` bytes, at most [`MAX_READ`], from `offset` on.
    ///
    /// # Errors
    /// [`FileError`]
    async fn read(&self, path: &Path, offset: u64, length: u32) -> Result<FilePart, FileError>;

    /// Writes at most [`MAX_WRITE`] bytes to a regular file. What is larger is written to a new
    /// file in parts, which is then renamed.
    ///
    /// # Errors
    /// [`FileError`]; what [`FileWrite::Replace`] would have replaced is then as it was.
    async fn write(&self, path: &Path, bytes: Bytes, how: FileWrite) -> Result<(), FileError>;

    /// Lists a directory, one page at a time, in no order. Starts with `from` zero and goes on with
    /// [`FilePage::next`]. What is made or removed meanwhile may or may not be listed.
    ///
    /// # Errors
    /// [`FileError`]
    async fn list(&self, path: &Path, from: u64) -> Result<FilePage, FileError>;

    /// Makes a directory; its parents exist.
    ///
    /// # Errors
    /// [`FileError`]
    async fn make_directory(&self, path: &Path, mode: u32) -> Result<(), FileError>;

    /// Removes a file of any kind, a symbolic link, or an empty directory.
    ///
    /// # Errors
    /// [`FileError`]
    async fn remove(&self, path: &Path) -> Result<(), FileError>;

    /// Renames; what is at `to` is replaced.
    ///
    /// # Errors
    /// [`FileError`]
    async fn rename(&self, from: &Path, to: &Path) -> Result<(), FileError>;
}

/// How a file is written. A mode holds for a file that is made, less the cell's umask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileWrite {
    /// Makes the file; it must not exist.
    Create {
        /// Its permissions.
        mode: u32,
    },
    /// Empties the file first, or makes it.
    Truncate {
        /// Its permissions if it is made.
        mode: u32,
    },
    /// Into an existing file, from this offset on; what lies beyond the bytes stays.
    At(u64),
    /// At the end of the file, which is made if it is missing.
    Append {
        /// Its permissions if it is made.
        mode: u32,
    },
    /// Writes a new file beside it and renames that, so that a reader sees the old content or the
    /// new, and never a part. A symbolic link at the path is replaced itself.
    Replace {
        /// Its permissions.
        mode: u32,
    },
}

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// What it is.
    pub kind: FileKind,
    /// Bytes of a regular file.
    pub size: u64,
    /// Permissions.
    pub mode: u32,
    /// Last change of its content, in nanoseconds since the epoch.
    pub modified_ns: i128,
    /// Where a symbolic link leads; hostile text, not a path to use unchecked.
    pub target: Option<PathBuf>,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A pipe, a socket or a device; never opened.
    Other,
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePart {
    /// The bytes; fewer than asked for at the end of the file only.
    pub bytes: Bytes,
    /// The file's size when it was read.
    pub size: u64,
}

/// A page of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePage {
    /// Names and what they are; neither `.` nor `..`.
    pub entries: Vec<FileEntry>,
    /// Where the next page begins; None at the end.
    pub next: Option<u64>,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// The name; any bytes but `/` and NUL.
    pub name: OsString,
    /// What it is.
    pub kind: FileKind,
}

/// Why a file could not be touched.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Not a relative path of plain names, or one that is too long.
    #[error("not a path inside the work tree")]
    Path,
    /// A symbolic link lies at the path or on the way to it.
    #[error("a symbolic link is in the way")]
    Link,
    /// A directory, a pipe, a socket or a device where a regular file was meant.
    #[error("not a regular file")]
    Kind,
    /// More bytes than one request takes.
    #[error("more than {MAX_WRITE} bytes at once")]
    TooLarge,
    /// The system inside refused; [`io::Error::kind`] tells a missing file from a full disk.
    #[error("the system refused")]
    System(#[source] io::Error),
    /// The cell could not answer.
    #[error(transparent)]
    Cell(#[from] CellError),
}
