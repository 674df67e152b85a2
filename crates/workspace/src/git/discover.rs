//! Finds the repository of a directory, without a process.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A repository and where its parts are. All paths are absolute and without symlinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The work tree's root; none for a bare repository.
    pub root: Option<PathBuf>,
    /// Where this work tree's HEAD and index are.
    pub git_dir: PathBuf,
    /// Where objects, branches and configuration are; differs from `git_dir` in linked work trees.
    pub common_dir: PathBuf,
}

/// Why a repository could not be looked for.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// A `.git` file does not lead to a repository.
    #[error("{} does not lead to a repository", path.display())]
    BrokenLink {
        /// The `.git` file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot read {}", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Finds the repository that `dir` is in: its own or that of the nearest directory above.
///
/// As git does it, but for two things: an environment variable never decides, and a `.git`
/// directory that is none (an empty one, say) does not count.
///
/// # Errors
/// When `dir` or a `.git` file cannot be read, or a `.git` file leads nowhere.
pub fn discover(dir: &Path) -> Result<Option<Repository>, DiscoverError> {
    let start = canonical(dir)?;
    for dir in start.ancestors() {
        let dot_git = dir.join(".git");
        // Through a symlink, as git goes.
        match fs::metadata(&dot_git) {
            Ok(meta) if meta.is_file() => return Ok(Some(linked(dir, &dot_git)?)),
            Ok(meta) if meta.is_dir() => {
                if let Some(found) = git_dir(&dot_git)? {
                    return Ok(Some(Repository {
                        root: Some(dir.to_owned()),
                        ..found
                    }));
                }
            }
            _ => {}
        }
        // Inside `.git` itself too: there is no work tree there.
        if let Some(found) = git_dir(dir)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The repository that a `.git` file names.
fn linked(dir: &Path, dot_git: &Path) -> Result<Repository, DiscoverError> {
    let broken = || DiscoverError::BrokenLink {
        path: dot_git.to_owned(),
    };
    let text = small_file(dot_git).map_err(|source| read_error(dot_git, source))?;
    let target = text.strip_prefix(b"gitdir: ").ok_or_else(broken)?;
    let found = git_dir(&dir.join(path_of(target)))?.ok_or_else(broken)?;
    Ok(Repository {
        root: Some(dir.to_owned()),
        ..found
    })
}

/// Takes `path` as a git directory; none when it is not one. The result has no root yet.
fn git_dir(path: &Path) -> Result<Option<Repository>, DiscoverError> {
    // A HEAD may be a symlink that leads nowhere yet, in repositories of the old kind.
    if fs::symlink_metadata(path.join("HEAD")).is_err() {
        return Ok(None);
    }
    let link = path.join("commondir");
    let common = match small_file(&link) {
        Ok(text) => path.join(path_of(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(read_error(&link, error)),
    };
    if !common.join("objects").is_dir() || !common.join("refs").is_dir() {
        return Ok(None);
    }
    Ok(Some(Repository {
        root: None,
        git_dir: canonical(path)?,
        common_dir: canonical(&common)?,
    }))
}

fn path_of(text: &[u8]) -> &Path {
    let end = text
        .iter()
        .rposition(|byte| !matches!(byte, b'\n' | b'\r'))
        .map_or(0, |at| at + 1);
    Path::new(std::ffi::OsStr::from_bytes(&text[..end]))
}

fn canonical(path: &Path) -> Result<PathBuf, DiscoverError> {
    fs::canonicalize(path).map_err(|source| read_error(path, source))
}

fn read_error(path: &Path, source: io::Error) -> DiscoverError {
    DiscoverError::Read {
        path: path.to_owned(),
        source,
    }
}

/// Reads a file that is small by nature, whatever a cell has put in its place: never waits on a
/// FIFO, never reads a device, never takes more than a mebibyte.
pub(super) fn small_file(path: &Path) -> io::Result<Vec<u8>> {
    limited_file(path, 1 << 20)
}

/// Reads a regular file of at most `limit` bytes.
pub(super) fn limited_file(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(nonblock)
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    if meta.len() > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than it should be",
        ));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0));
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
