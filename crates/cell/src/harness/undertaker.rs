//! The end of PID 1: killed, waited for, and cleaned up after, with or without a runtime.

use std::os::fd::{AsFd, OwnedFd};

use async_trait::async_trait;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Signal, WaitId, WaitIdOptions};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::sweeper::Stubs;

/// How long a cell without isolation may take to kill its own processes when its stream ends.
const DIRECT_END: Timespec = Timespec {
    tv_sec: 3,
    tv_nsec: 0,
};

/// How a cell is ended from outside. Dropped, it is ended too, without waiting.
#[async_trait]
pub(super) trait Life: Send {
    /// Ends it and waits for its end. The stream must be closed already.
    async fn end(self: Box<Self>);
}

/// PID 1 of a cell, by a descriptor that can't come to mean another process.
pub(super) struct Init {
    pidfd: Option<OwnedFd>,
    direct: bool,
    /// Removed once it is gone: while it lives, they protect.
    stubs: Option<Stubs>,
}

impl Init {
    pub(super) fn new(pidfd: OwnedFd, direct: bool, stubs: Stubs) -> Self {
        Self {
            pidfd: Some(pidfd),
            direct,
            stubs: Some(stubs),
        }
    }
}

#[async_trait]
impl Life for Init {
    async fn end(mut self: Box<Self>) {
        let Some(pidfd) = self.pidfd.take() else {
            return;
        };
        if self.direct {
            let end = std::time::Duration::from_secs(DIRECT_END.tv_sec as u64);
            let _ = tokio::time::timeout(end, gone(&pidfd)).await;
        }
        kill(&pidfd);
        gone(&pidfd).await;
        reap(&pidfd);
        // It may walk through large trees.
        let stubs = self.stubs.take();
        let _ = tokio::task::spawn_blocking(move || drop(stubs)).await;
    }
}

impl Drop for Init {
    /// Ends it without a runtime: at once killed, then reaped by a thread that lives for that.
    fn drop(&mut self) {
        let Some(pidfd) = self.pidfd.take() else {
            return;
        };
        let direct = self.direct;
        let stubs = self.stubs.take();
        if !direct {
            kill(&pidfd);
        }
        let bury = move || {
            if direct {
                let mut end = [PollFd::new(&pidfd, PollFlags::IN)];
                let _ = rustix::event::poll(&mut end, Some(&DIRECT_END));
                kill(&pidfd);
            }
            let _ = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            drop(stubs);
        };
        // Without a thread it stays a zombie until this process ends: dead all the same.
        let _ = std::thread::Builder::new()
            .name("recto-cell-end".into())
            .spawn(bury);
    }
}

fn kill(pidfd: &OwnedFd) {
    // It may have ended already.
    let _ = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
}

fn reap(pidfd: &OwnedFd) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let _ = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), options);
}

/// Waits until a process has ended.
async fn gone(pidfd: &OwnedFd) {
    // SAFETY: the borrowed descriptor stays open and the same while the registration lives, which
    // is within this function.
    match unsafe { AsyncFd::register_with_interest(pidfd.as_fd(), Interest::READABLE) } {
        Ok(fd) => drop(fd.readable().await),
        Err(_) => {
            let mut end = [PollFd::new(pidfd, PollFlags::IN)];
            let _ = rustix::event::poll(&mut end, None);
        }
    }
}
