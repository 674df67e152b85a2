//! A kept cell as those see it who use it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use recto_protocol::ports::cell::{Cell, CellError};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::net::UnixStream;

use super::claim::{open, through};
use super::{Record, SOCKET, is_held, remove};
use crate::compose::cell::failure;
use crate::exit::Failure;

/// How long a keeper may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take to end its cell.
const END: Timespec = Timespec {
    tv_sec: 2,
    tv_nsec: 0,
};

/// A kept cell whose keeper lives.
#[derive(Debug)]
pub struct Kept {
    /// What it is.
    pub record: Record,
    dir: PathBuf,
}

impl Kept {
    pub(super) fn new(record: Record, dir: PathBuf) -> Self {
        Self { record, dir }
    }

    /// Connects to the keeper. Closing the result leaves the cell alone.
    ///
    /// # Errors
    /// When the keeper has ended, or does not answer.
    pub async fn connect(&self) -> Result<Arc<dyn Cell>, Failure> {
        let label = self.record.label();
        let connected = tokio::time::timeout(PATIENCE, self.reach())
            .await
            .unwrap_or_else(|_| {
                let source = io::ErrorKind::TimedOut.into();
                let step = "reach its keeper".to_owned();
                Err(CellError::Setup { step, source })
            });
        match connected {
            Ok(cell) => Ok(cell),
            Err(CellError::Setup { source, .. }) => Err(Failure::unavailable(source)),
            Err(error) => Err(failure(error)),
        }
        .map_err(|failure| Failure {
            error: failure
                .error
                .context(format!("cannot use the cell {label:?}")),
            ..failure
        })
    }

    async fn reach(&self) -> Result<Arc<dyn Cell>, CellError> {
        let stream = async {
            let dir = open(&self.dir)?;
            UnixStream::connect(through(&dir, SOCKET)).await
        };
        let stream = stream.await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => CellError::Gone,
            _ => CellError::Setup {
                step: "reach its keeper".into(),
                source: error,
            },
        })?;
        recto_cell::relay::connect(stream).await
    }

    /// Tells the keeper to end. Whoever is told so is waited for with [`Ending::wait`].
    ///
    /// # Errors
    /// When it may not be told.
    pub fn end(self) -> Result<Ending, Failure> {
        let told = || -> io::Result<Option<OwnedFd>> {
            let Some(pid) = i32::try_from(self.record.pid).ok().and_then(Pid::from_raw) else {
                return Ok(None);
            };
            let keeper = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
                Err(rustix::io::Errno::SRCH) => return Ok(None),
                other => other?,
            };
            // A keeper that holds its directory now lived when the descriptor was opened, so that is
            // the keeper's, and not somebody's who got its number.
            if !is_held(&self.dir) {
                return Ok(None);
            }
            rustix::process::pidfd_send_signal(&keeper, Signal::TERM)?;
            Ok(Some(keeper))
        };
        let label = self.record.label();
        let keeper = told().with_context(|| format!("cannot end the cell {label:?}"))?;
        Ok(Ending { kept: self, keeper })
    }
}

/// A cell that has been told to end.
#[derive(Debug)]
pub struct Ending {
    kept: Kept,
    keeper: Option<OwnedFd>,
}

impl Ending {
    /// Waits until the keeper is gone, killing it if need be, and with it everything in the cell.
    ///
    /// # Errors
    /// When its directory can't be removed.
    pub fn wait(self) -> Result<Record, Failure> {
        if let Some(keeper) = &self.keeper
            && !is_gone(keeper)
        {
            // It may have ended in this moment.
            let _ = rustix::process::pidfd_send_signal(keeper, Signal::KILL);
            is_gone(keeper);
        }
        let dir = &self.kept.dir;
        remove(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        Ok(self.kept.record)
    }
}

fn is_gone(keeper: &OwnedFd) -> bool {
    let mut end = [PollFd::new(keeper, PollFlags::IN)];
    rustix::event::poll(&mut end, Some(&END)).is_ok_and(|ended| ended > 0)
}
