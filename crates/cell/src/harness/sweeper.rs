//! The harness' side of the sweeper, a process that removes stubs and cgroups when the harness was
//! killed.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::aftermath::Aftermath;
use crate::cgroup;
use crate::stub::Stub;
use crate::wire::SweepOrder;

/// How long the sweeper may take to listen; it does nothing else.
const PATIENCE: Duration = Duration::from_secs(10);

/// The stubs and cgroups of one cell. Dropped, they are removed if nobody else relies on them, and
/// what has appeared where nothing may be is set aside.
#[derive(Debug, Default)]
pub(super) struct Stubs {
    held: Vec<Stub>,
    aftermath: Vec<Aftermath>,
    cgroups: Vec<PathBuf>,
    id: Option<u64>,
}

impl Stubs {
    /// Tells the sweeper of stubs and cgroups that are about to be made; it acts on them once both this process
    /// is gone and `alive` has no writer, which the cell's processes are.
    ///
    /// # Errors
    /// When there is an aftermath and no sweeper for it: after a kill nobody would see to what
    /// makes the host's git run programs.
    pub(super) fn announce(
        exe: &Path,
        paths: Vec<PathBuf>,
        aftermath: Vec<Aftermath>,
        cgroups: Vec<PathBuf>,
        alive: OwnedFd,
    ) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let order = SweepOrder::Watch {
            id,
            paths,
            aftermath: aftermath.clone(),
            cgroups: cgroups.clone(),
        };
        let sent = tell(exe, &order, &alive);
        let is_needed = !aftermath.is_empty();
        // Otherwise a killed harness leaves empty directories, until its next start.
        let id = match sent {
            Ok(()) => Some(id),
            Err(error) if is_needed => return Err(error),
            Err(_) => None,
        };
        Ok(Self {
            held: Vec::new(),
            aftermath,
            cgroups,
            id,
        })
    }

    /// Makes one of the announced stubs, unless something else has appeared in its place.
    pub(super) fn make(&mut self, path: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
        self.held.extend(Stub::hold(path, owner)?);
        Ok(())
    }
}

impl Drop for Stubs {
    fn drop(&mut self) {
        for stub in self.held.drain(..) {
            stub.release();
        }
        for aftermath in &self.aftermath {
            aftermath.settle();
        }
        for directory in &self.cgroups {
            cgroup::remove(directory);
        }
        if let (Some(id), Some(socket)) = (self.id, &*sweeper()) {
            // A sweeper that is gone has nothing to forget.
            let _ = SweepOrder::Forget { id }.send(socket, None);
        }
    }
}

static SWEEPER: Mutex<Option<OwnedFd>> = Mutex::new(None);

fn sweeper() -> std::sync::MutexGuard<'static, Option<OwnedFd>> {
    // A descriptor or none, whatever happened meanwhile.
    SWEEPER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells this process' sweeper, which is started with its first order and again when it has died.
fn tell(exe: &Path, order: &SweepOrder, alive: &OwnedFd) -> io::Result<()> {
    let mut sweeper = sweeper();
    if let Some(socket) = &*sweeper {
        match order.send(socket, Some(alive)) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            sent => return sent,
        }
    }
    let socket = sweeper.insert(start(exe)?);
    order.send(socket, Some(alive))
}

/// Starts a sweeper. It ends when this process does.
fn start(exe: &Path) -> io::Result<OwnedFd> {
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    set_socket_timeout(&ours, Timeout::Send, Some(PATIENCE))?;
    Command::new(exe)
        .arg0("recto")
        .args(["cell-init", "sweep", &std::process::id().to_string()])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aftermath_without_a_sweeper_is_refused() {
        let announce = |aftermath| {
            let (alive, _) = io::pipe().unwrap();
            let exe = Path::new("/nonexistent");
            Stubs::announce(exe, Vec::new(), aftermath, Vec::new(), alive.into())
        };
        assert!(announce(Vec::new()).is_ok());
        assert!(announce(vec![Aftermath::default()]).is_err());
    }
}
