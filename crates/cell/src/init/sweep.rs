//! The sweeper: waits for the harness' end and removes the mount points and
//! cgroups that it left behind.
//!
//! A separate process, because the harness can be killed at any moment; in its own session, so
//! that what kills the harness' group spares it. It holds nothing but paths.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::PidfdFlags;

use super::{pages, privileges};
use crate::aftermath::Aftermath;
use crate::cgroup;
use crate::stub;
use crate::wire::SweepOrder;

/// How long a killed cell may take to be gone; its stubs are removed after that in any case.
const PATIENCE: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// What is left to do for a cell.
struct Watched {
    paths: Vec<PathBuf>,
    aftermath: Vec<Aftermath>,
    cgroups: Vec<PathBuf>,
    alive: Option<OwnedFd>,
}

/// Runs until the harness, process `parent`, is gone, then sweeps.
pub(super) fn run(parent: i32) -> ExitCode {
    // Already a group leader is fine too.
    let _ = rustix::process::setsid();
    if privileges::close_inherited().is_err() {
        return ExitCode::FAILURE;
    }
    // Soon, while the number certainly is the harness'.
    let harness = rustix::process::Pid::from_raw(parent)
        .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
    pages::give_back_text();
    let input = std::io::stdin();
    let mut watched: BTreeMap<u64, Watched> = BTreeMap::new();
    while let Some((order, alive)) = SweepOrder::receive(input.as_fd()) {
        match order {
            SweepOrder::Watch {
                id,
                paths,
                aftermath,
                cgroups,
            } => {
                let cell = Watched {
                    paths,
                    aftermath,
                    cgroups,
                    alive,
                };
                watched.insert(id, cell);
            }
            SweepOrder::Forget { id } => {
                watched.remove(&id);
            }
        }
    }
    if let Some(harness) = harness {
        // A dying process closes its stream before it lets go of its locks on stubs.
        let _ = rustix::event::poll(&mut [PollFd::new(&harness, PollFlags::IN)], Some(&PATIENCE));
    }
    for cell in watched.into_values() {
        if let Some(alive) = cell.alive {
            // Readable at its end: the last process that could use the mount point is gone.
            let _ = rustix::event::poll(&mut [PollFd::new(&alive, PollFlags::IN)], Some(&PATIENCE));
        }
        for path in cell.paths {
            stub::remove(&path);
        }
        for aftermath in cell.aftermath {
            aftermath.settle();
        }
        for directory in cell.cgroups {
            cgroup::remove(&directory);
        }
    }
    ExitCode::SUCCESS
}
