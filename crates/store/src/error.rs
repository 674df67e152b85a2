//! Why an operation on sessions failed: one enum per operation.

use std::io;
use std::path::{Path, PathBuf};

use recto_protocol::SessionId;

use crate::layout::InvalidId;
use crate::lines::LineError;
use crate::lock::LockError;

/// The system refused something on a file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    /// What was tried.
    pub action: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// The cause.
    #[source]
    pub source: io::Error,
}

/// Names what was tried when a system call fails.
pub(crate) trait Context<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError {
            action,
            path: path.to_owned(),
            source: source.into(),
        })
    }
}

impl From<FileError> for recto_protocol::ports::log::LogError {
    fn from(error: FileError) -> Self {
        Self::Io {
            action: error.action,
            path: error.path.display().to_string(),
            source: error.source,
        }
    }
}

/// Why a session could not be created.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum CreateError {
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error("session {0} exists already")]
    Exists(SessionId),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why a session could not be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum ReadError {
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error("there is no session {0}")]
    NotFound(SessionId),
    #[error(transparent)]
    Line(#[from] LineError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why a session could not be resumed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum ResumeError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why the sessions could not be listed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum ListError {
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why a session could not be removed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum RemoveError {
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error("there is no session {0}")]
    NotFound(SessionId),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why a session could not be exported.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum ExportError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot write the export of session {id}")]
    Write {
        id: SessionId,
        #[source]
        source: io::Error,
    },
}

/// Why a session could not be forked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum ForkError {
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error("session {0} exists already")]
    Exists(SessionId),
    #[error("session {id} has no record {seq}")]
    NoRecord { id: SessionId, seq: u64 },
    #[error("session {0} does not begin with its settings")]
    NoHeader(SessionId),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    File(#[from] FileError),
}
