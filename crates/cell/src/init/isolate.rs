//! The order of isolation: launcher, namespaces, PID 1, mounts, privileges, filter.

use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use bytes::Bytes;

use super::watch::Eyes;
use super::{
    Failed, Step, check, doors, landlock, link::Link, mounts, namespaces, privileges, serve,
};
use crate::wire::{self, Event, Isolation, Request, Setup};

/// Reads what to build, builds it and serves it.
pub(super) fn run(parent: i32, isolated: bool) -> ExitCode {
    // A session of its own: signals for the harness' terminal or group are not for the cell.
    let _ = rustix::process::setsid();
    if let Err(failed) = privileges::close_inherited().and_then(|()| {
        // Without isolation no PDEATHSIG: the end of the stream must leave time to kill what runs.
        if isolated {
            privileges::die_with_parent(Some(parent))
        } else {
            Ok(())
        }
    }) {
        return fail(&mut stream(), failed);
    }
    let mut stream = stream();
    let Some((setup, filter, decoder)) = read_orders(&mut stream) else {
        return ExitCode::from(2);
    };
    let result = match (setup.isolation, isolated) {
        (Isolation::Direct, false) => direct(&mut stream),
        (Isolation::User | Isolation::Root, true) => launch(&mut stream, &setup, &filter),
        _ => return ExitCode::from(2),
    };
    match result {
        Ok(Stage::Launcher) => ExitCode::SUCCESS,
        Ok(Stage::Inside(eyes)) => {
            let mut hello = Vec::new();
            Event::Hello(wire::Hello {
                version: wire::VERSION,
            })
            .put(&mut hello, 0);
            if stream.write_all(&hello).is_err() {
                return ExitCode::FAILURE;
            }
            serve::run(Link::new(stream, decoder), *setup, eyes)
        }
        Err(failed) => fail(&mut stream, failed),
    }
}

/// Which process a set-up function returned in.
enum Stage {
    Launcher,
    Inside(Eyes),
}

fn direct(stream: &mut UnixStream) -> Result<Stage, Failed> {
    // What commands leave behind becomes ours, so that kill-all and the end can find it.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).step("subreaper")?;
    launched(stream, rustix::process::getpid().as_raw_nonzero().get())?;
    Ok(Stage::Inside(Eyes::default()))
}

fn launch(stream: &mut UnixStream, setup: &Setup, filter: &[u8]) -> Result<Stage, Failed> {
    privileges::no_core_dumps()?;
    privileges::new_session_keyring()?;
    privileges::first_to_go();
    privileges::no_realtime()?;
    namespaces::enter_cgroups(&setup.limits.cgroup)?;
    let mut eyes = Eyes::outside(&setup.limits.cgroup);
    // Made before the pid namespace: their helper processes are found in the host's /proc.
    let idmaps = namespaces::idmaps(setup)?;
    namespaces::unshare(setup)?;
    if let Some(pid) = namespaces::fork_sibling(setup.limits.cgroup.into.as_deref())? {
        launched(stream, pid)?;
        return Ok(Stage::Launcher);
    }
    privileges::die_with_parent(None)?;
    // Now, so that its root is the cell's own group.
    namespaces::unshare_cgroup()?;
    for lock in mounts::build(setup, &idmaps)? {
        // Held until this process ends, whatever ends it.
        let _ = std::os::fd::IntoRawFd::into_raw_fd(lock);
    }
    eyes.inside();
    if !setup.network_open {
        namespaces::loopback_up().step("bring up the loopback interface")?;
        doors::open(&setup.doors)?;
    }
    match (setup.isolation, setup.fake_root) {
        (Isolation::Root, true) => namespaces::become_fake_root(&idmaps)?,
        (Isolation::Root, false) => namespaces::become_cell_user(setup)?,
        (Isolation::User | Isolation::Direct, _) => {}
    }
    drop(idmaps);
    privileges::limits(&setup.limits)?;
    privileges::drop_all(setup.fake_root)?;
    // Changing user or capabilities may have cleared it.
    privileges::die_with_parent(None)?;
    landlock::restrict(setup)?;
    privileges::filter(filter)?;
    Ok(Stage::Inside(eyes))
}

fn launched(stream: &mut UnixStream, pid: i32) -> Result<(), Failed> {
    let mut frame = Vec::new();
    Event::Launched(wire::Launched { pid }).put(&mut frame, 0);
    stream.write_all(&frame).step("report the launch")
}

fn fail(stream: &mut UnixStream, failed: Failed) -> ExitCode {
    let mut frame = Vec::new();
    Event::SetupError(wire::SetupError {
        step: failed.step,
        errno: failed.errno,
    })
    .put(&mut frame, 0);
    // Nobody is left to tell when this fails.
    let _ = stream.write_all(&frame);
    ExitCode::FAILURE
}

/// Hello, set-up and filter, in this order; anything else is not our harness.
fn read_orders(stream: &mut UnixStream) -> Option<(Box<Setup>, Bytes, wire::Decoder)> {
    let mut decoder = wire::Decoder::new(wire::MAX_REQUEST);
    let mut next = || {
        loop {
            if let Some(frame) = decoder.next().ok()? {
                return Request::read(&frame).ok();
            }
            let mut chunk = [0; 16384];
            let n = stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
            decoder.buffer().extend_from_slice(&chunk[..n]);
        }
    };
    let Request::Hello(wire::Hello {
        version: wire::VERSION,
    }) = next()?
    else {
        return None;
    };
    let Request::Setup(setup) = next()? else {
        return None;
    };
    let Request::Filter(filter) = next()? else {
        return None;
    };
    Some((setup, filter, decoder))
}

/// The protocol's stream, moved off descriptor 0 so that no command inherits it.
fn stream() -> UnixStream {
    // SAFETY: fcntl with F_DUPFD_CLOEXEC takes no pointers; descriptor 0 is the socket that the
    // harness passed, and nothing else in this process uses it.
    let fd = unsafe { libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 3) };
    let fd = check(fd.into()).map_or(0, |_| fd);
    // SAFETY: `fd` is open and owned by nobody else (a fresh duplicate, or descriptor 0 itself).
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    if fd != 0
        && let Ok(null) = std::fs::File::open("/dev/null")
    {
        // SAFETY: both descriptors are open; dup2 replaces descriptor 0, which nobody owns.
        unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&null), 0) };
    }
    UnixStream::from(owned)
}
