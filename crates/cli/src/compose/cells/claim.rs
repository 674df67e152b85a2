//! The keeper's hold on a cell's directory.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, inotify};
use tokio::io::unix::AsyncFd;
use tokio::net::UnixListener;

use super::{Cells, RECORD, Record, SOCKET, remove};
use crate::compose::home::make_private;

/// A cell's directory while its keeper lives. Dropped, it is removed.
#[derive(Debug)]
pub struct Claim {
    dir: PathBuf,
    /// What the file says.
    pub record: Record,
    /// Locked, also against this process' own reaper.
    _held: File,
}

/// Why a cell can't be kept.
#[derive(Debug, thiserror::Error)]
pub enum NotClaimed {
    /// The name is another one's.
    #[error("there is a cell {0:?} already")]
    NameTaken(String),
    /// The directory can't be made or written.
    #[error("cannot keep a cell in {}", .0.display())]
    Io(PathBuf, #[source] io::Error),
}

impl Cells {
    /// Makes a directory for a cell and holds it; the record's id is chosen here.
    ///
    /// # Errors
    /// [`NotClaimed`].
    pub fn claim(&self, mut record: Record) -> Result<Claim, NotClaimed> {
        let failed = |error| NotClaimed::Io(self.dir.clone(), error);
        make_private(&self.dir).map_err(failed)?;
        let registry = self.lock(FlockOperation::LockExclusive).map_err(failed)?;
        self.reap_with(&registry);
        if let Some(name) = &record.name
            && self.is_taken(name).map_err(failed)?
        {
            return Err(NotClaimed::NameTaken(name.clone()));
        }
        let dir = loop {
            // The last digits of such an id are random.
            let digits = uuid::Uuid::now_v7().simple().to_string();
            record.id = digits[digits.len() - 8..].to_owned();
            let dir = self.dir.join(&record.id);
            match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
                Ok(()) => break dir,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        };
        match hold(&dir, &record) {
            Ok(held) => Ok(Claim {
                dir,
                record,
                _held: held,
            }),
            Err(error) => {
                // Nothing is left of it; else the next reaper finds it.
                let _ = remove(&dir);
                Err(failed(error))
            }
        }
    }

    fn is_taken(&self, name: &str) -> io::Result<bool> {
        let dirs = self.directories()?;
        Ok(dirs
            .iter()
            .filter_map(|dir| super::read(dir))
            .any(|other| other.name.as_deref() == Some(name) || other.id == name))
    }
}

/// Writes the record. It appears whole and locked.
fn hold(dir: &Path, record: &Record) -> io::Result<File> {
    let (new, path) = (dir.join("cell.json.new"), dir.join(RECORD));
    let mut file = private(&new)?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    std::fs::rename(new, path)?;
    Ok(file)
}

fn private(path: &Path) -> io::Result<File> {
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

impl Claim {
    /// Begins to listen for those who use the cell.
    ///
    /// # Errors
    /// The system's reason.
    pub fn listen(&self) -> io::Result<UnixListener> {
        let dir = open(&self.dir)?;
        let path = through(&dir, SOCKET);
        let listener = UnixListener::bind(&path)?;
        // The directory keeps others out already.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    /// A file for what the keeper says when something goes wrong in it.
    ///
    /// # Errors
    /// The system's reason.
    pub fn log(&self) -> io::Result<File> {
        private(&self.dir.join("log"))
    }

    /// A file for what commands ask for outside.
    ///
    /// # Errors
    /// The system's reason.
    pub fn network_log(&self) -> io::Result<File> {
        private(&self.dir.join("network.jsonl"))
    }

    /// Watches for the directory's end.
    ///
    /// # Errors
    /// The system's reason.
    pub fn watch(&self) -> io::Result<Watch> {
        use inotify::{CreateFlags, WatchFlags};
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let flags = WatchFlags::DELETE | WatchFlags::DELETE_SELF | WatchFlags::MOVE;
        inotify::add_watch(&queue, &self.dir, flags | WatchFlags::MOVE_SELF)?;
        // SAFETY: the registration owns the descriptor, which is open and the same until it is dropped.
        let queue = unsafe { AsyncFd::register(queue) }?;
        Ok(Watch {
            queue,
            record: self.dir.join(RECORD),
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Still locked, so that nobody else takes it for dead; else the next reaper finds it.
        let _ = remove(&self.dir);
    }
}

/// Tells when a cell's directory is taken away.
#[derive(Debug)]
pub struct Watch {
    queue: AsyncFd<OwnedFd>,
    record: PathBuf,
}

impl Watch {
    /// Waits until the record isn't there any more. Can be cancelled.
    pub async fn gone(&self) {
        while self.record.exists() {
            let Ok(mut ready) = self.queue.readable().await else {
                return;
            };
            let mut seen = [0; 4096];
            // What exactly has happened is looked up.
            let _ = ready.try_io(|queue| Ok(rustix::io::read(queue, &mut seen)?));
        }
    }
}

/// A directory as a start for short paths.
pub(super) fn open(dir: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(dir, flags, Mode::empty())?)
}

/// A path of a file in an open directory: a socket's path may have 107 bytes, a home's more.
pub(super) fn through(dir: &OwnedFd, name: &str) -> PathBuf {
    use std::os::fd::AsRawFd as _;
    PathBuf::from(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()))
}
