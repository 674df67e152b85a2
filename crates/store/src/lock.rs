//! One writer per session: an exclusive lock on a file that names its holder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Context, FileError};

/// Why a session's lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process, or another part of this one, writes the session.
    #[error("the session is in use by {}", holder(*.pid))]
    Held {
        /// The holder's process id; none when it has not written it yet.
        pid: Option<u32>,
    },
    /// The system refused.
    #[error(transparent)]
    File(#[from] FileError),
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

/// A held lock. The system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock or says who holds it. Never waits.
    ///
    /// `flock`, not a POSIX record lock: those are lost when any part of the process closes any
    /// descriptor of the file.
    ///
    /// # Errors
    /// Who holds it, or the system's reason.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .context("open", path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    pid: pid(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(error).context("lock", path)?,
        }
        // The id is a courtesy to whoever is refused: a full disk must not keep a session from
        // being resumed.
        let _ = file
            .set_len(0)
            .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
        Ok(Self { _file: file })
    }
}

fn pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
