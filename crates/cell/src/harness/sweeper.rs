//! The harness' side of the sweeper, a process that removes stubs and cgroups when the harness was
//! killed.

use std::io;
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use crate::aftermath::Aftermath;
use crate::cgroup;
use crate::stub::Stub;
use crate::wire::SweepOrder;

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
    pub(super) fn announce(
        exe: &Path,
        paths: Vec<PathBuf>,
        aftermath: Vec<Aftermath>,
        cgroups: Vec<PathBuf>,
        alive: OwnedFd,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let order = SweepOrder::Watch {
            id,
            paths,
            aftermath: aftermath.clone(),
            cgroups: cgroups.clone(),
        };
        // Without a sweeper a killed harness leaves empty directories, until its next start.
        let sent = sweeper(exe).is_some_and(|socket| tell(socket, &order, Some(&alive)).is_ok());
        Self {
            held: Vec::new(),
            aftermath,
            cgroups,
            id: sent.then_some(id),
        }
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
        if let (Some(id), Some(socket)) = (self.id, SWEEPER.get().and_then(Option::as_ref)) {
            // A sweeper that is gone has nothing to forget.
            let _ = tell(socket, &SweepOrder::Forget { id }, None);
        }
    }
}

static SWEEPER: OnceLock<Option<OwnedFd>> = OnceLock::new();

/// One per process, started with the first stub. It ends when this process does.
fn sweeper(exe: &Path) -> Option<&'static OwnedFd> {
    let start = || {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Command::new(exe)
            .arg0("recto")
            .args(["cell-init", "sweep", &std::process::id().to_string()])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        io::Result::Ok(ours)
    };
    SWEEPER.get_or_init(|| start().ok()).as_ref()
}

fn tell(socket: &OwnedFd, order: &SweepOrder, fd: Option<&OwnedFd>) -> io::Result<()> {
    let message = serde_json::to_vec(order)?;
    let fds = fd.map(AsFd::as_fd);
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if let Some(fd) = &fds {
        ancillary.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(fd)));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(socket, &[IoSlice::new(&message)], &mut ancillary, flags)?;
    Ok(())
}
