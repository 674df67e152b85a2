//! All sessions of one home directory.

use std::io;
use std::path::{Path, PathBuf};

use recto_protocol::{Record, SessionId};

use crate::Clock;
use crate::error::{Context, CreateError, ReadError, RemoveError, ResumeError};
use crate::file;
use crate::layout::Layout;
use crate::lines;
use crate::lock::Lock;
use crate::session::{Recovered, SessionLog};

/// The sessions below `$RECTO_HOME/sessions`.
#[derive(Clone, Debug)]
pub struct Sessions {
    pub(crate) dir: PathBuf,
}

impl Sessions {
    /// The sessions of a home directory. Touches nothing: directories are made when the first
    /// session is, so that reading commands work on a home that cannot be written.
    pub fn open(home: &Path) -> Self {
        Self {
            dir: home.join("sessions"),
        }
    }

    /// The directory of one session, whether it exists or not.
    ///
    /// # Errors
    /// When the id is none.
    pub fn dir_of(&self, id: &SessionId) -> Result<PathBuf, crate::InvalidId> {
        Ok(self.layout(id)?.dir)
    }

    /// Makes a session with an empty log and locks it.
    ///
    /// # Errors
    /// When there is such a session, or the system's reason.
    pub fn create(&self, id: &SessionId, clock: Clock) -> Result<SessionLog, CreateError> {
        let layout = self.layout(id)?;
        file::make_dirs(&self.dir)?;
        if !file::make_dir(&layout.dir)? {
            return Err(CreateError::Exists(id.clone()));
        }
        let lock = Lock::take(&layout.lock())?;
        file::make_dir(&layout.chunks())?;
        let path = layout.log();
        let log = file::create_new(&path).context("make", &path)?;
        // Else a crash of the machine could take the whole directory and its durable log along.
        file::sync_dir(&layout.dir)?;
        file::sync_dir(&self.dir)?;
        Ok(SessionLog::new(id.clone(), layout, log, lock, clock))
    }

    /// Locks a session, reads its log and mends its end.
    ///
    /// # Errors
    /// When the session is in use, does not exist or is damaged, or the system's reason.
    pub fn resume(
        &self,
        id: &SessionId,
        clock: Clock,
    ) -> Result<(SessionLog, Vec<Record>, Recovered), ResumeError> {
        let layout = self.existing(id)?;
        let lock = Lock::take(&layout.lock())?;
        SessionLog::resume(id.clone(), layout, lock, clock)
    }

    /// Reads a session's records without locking it. A line that is being written is not read.
    ///
    /// # Errors
    /// When the session does not exist or is damaged, or the system's reason.
    pub fn read(&self, id: &SessionId) -> Result<Vec<Record>, ReadError> {
        let path = self.existing(id)?.log();
        let bytes = std::fs::read(&path).context("read", &path)?;
        Ok(lines::read(&bytes, &path)?.records)
    }

    /// Removes a session and all that belongs to it.
    ///
    /// # Errors
    /// When the session is in use or does not exist, or the system's reason.
    pub fn remove(&self, id: &SessionId) -> Result<(), RemoveError> {
        let layout = self.layout(id)?;
        if !layout.dir.is_dir() {
            return Err(RemoveError::NotFound(id.clone()));
        }
        let _lock = Lock::take(&layout.lock())?;
        // Renamed first, so that a half-removed session is never listed nor resumed.
        let doomed = self.dir.join(format!(".removed-{id}"));
        std::fs::rename(&layout.dir, &doomed).context("rename", &layout.dir)?;
        self.sweep();
        match std::fs::remove_dir_all(&doomed) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Ok(Err(error).context("remove", &doomed)?)
            }
            _ => Ok(()),
        }
    }

    /// Removes what removals that were killed left behind.
    fn sweep(&self) {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        for entry in entries {
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(b".removed-")
            {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }

    /// The files of a session by this id.
    pub(crate) fn layout(&self, id: &SessionId) -> Result<Layout, crate::InvalidId> {
        Layout::of(&self.dir, id)
    }

    /// The files of a session that has a log.
    pub(crate) fn existing(&self, id: &SessionId) -> Result<Layout, ReadError> {
        let layout = self.layout(id)?;
        if layout.log().is_file() {
            Ok(layout)
        } else {
            Err(ReadError::NotFound(id.clone()))
        }
    }
}
