//! The order of isolation: launcher, namespaces, PID 1, mounts, privileges, filter.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::ExitCode;

use bytes::Bytes;

use super::link::{Ends, Link};
use super::watch::Eyes;
use super::{Failed, Step, check, doors, landlock, mounts, namespaces, privileges, runtime, serve};
use crate::wire::{self, Event, Isolation, Request, Setup};

/// Reads what to build from the socket on descriptor 0, builds it and serves it.
pub(super) fn run(parent: i32, isolated: bool) -> ExitCode {
    // A session of its own: signals for the harness' terminal or group are not for the cell.
    let _ = rustix::process::setsid();
    privileges::usual_signals();
    let prepared = privileges::close_inherited().and_then(|()| {
        // Without isolation no PDEATHSIG: the end of the stream must leave time to kill what runs.
        if isolated {
            privileges::die_with_parent(Some(parent))
        } else {
            Ok(())
        }
    });
    let mut ends = match (away(0), away(0)) {
        (Ok(input), Ok(output)) => Ends { input, output },
        _ => return ExitCode::FAILURE,
    };
    if let Err(failed) = prepared {
        return fail(&mut ends.output, failed);
    }
    occupy(&[0]);
    let Some((setup, filter)) = read_orders(&mut ends.input) else {
        return ExitCode::from(2);
    };
    let result = match (setup.isolation, isolated) {
        (Isolation::Direct, false) => direct(&mut ends.output),
        (Isolation::User | Isolation::Root, true) => launch(&mut ends, &setup, &filter),
        _ => return ExitCode::from(2),
    };
    match result {
        Ok(Stage::Launcher) => ExitCode::SUCCESS,
        Ok(Stage::Inside(eyes)) => greet_and_serve(ends, *setup, eyes),
        Err(failed) => fail(&mut ends.output, failed),
    }
}

/// Serves on descriptors 0 and 1 in a place that somebody else has made: a container.
pub(super) fn run_inside() -> ExitCode {
    let _ = rustix::process::setsid();
    let closed = privileges::close_inherited();
    let mut ends = match (closed, away(0), away(1)) {
        (Ok(()), Ok(input), Ok(output)) => Ends { input, output },
        _ => return ExitCode::FAILURE,
    };
    occupy(&[0, 1, 2]);
    let Some((setup, filter)) = read_orders(&mut ends.input) else {
        return ExitCode::from(2);
    };
    if setup.isolation != Isolation::Given {
        return ExitCode::from(2);
    }
    match give_up(&setup, &filter) {
        Ok(()) => greet_and_serve(ends, *setup, Eyes::default()),
        Err(failed) => fail(&mut ends.output, failed),
    }
}

fn greet_and_serve(mut ends: Ends, setup: Setup, eyes: Eyes) -> ExitCode {
    let mut hello = Vec::new();
    Event::Hello(wire::Hello {
        version: wire::VERSION,
    })
    .put(&mut hello, 0);
    if ends.output.write_all(&hello).is_err() {
        return ExitCode::FAILURE;
    }
    let decoder = wire::Decoder::new(wire::MAX_REQUEST);
    serve::run(Link::new(ends, decoder), setup, eyes)
}

/// Which process a set-up function returned in.
enum Stage {
    Launcher,
    Inside(Eyes),
}

fn direct(stream: &mut File) -> Result<Stage, Failed> {
    // What commands leave behind becomes ours, so that kill-all and the end can find it.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).step("subreaper")?;
    launched(stream, rustix::process::getpid().as_raw_nonzero().get())?;
    Ok(Stage::Inside(Eyes::default()))
}

fn launch(ends: &mut Ends, setup: &Setup, filter: &[u8]) -> Result<Stage, Failed> {
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
        launched(&mut ends.output, pid)?;
        return Ok(Stage::Launcher);
    }
    privileges::die_with_parent(None)?;
    // Now, so that its root is the cell's own group.
    namespaces::unshare_cgroup()?;
    if let Some(runtime) = &setup.runtime {
        return runtime::become_it(runtime, setup, &idmaps, ends, filter)
            .map(|never| match never {});
    }
    let built = mounts::build(setup, &idmaps)?;
    for lock in built.locks {
        // Held until this process ends, whatever ends it.
        let _ = std::os::fd::IntoRawFd::into_raw_fd(lock);
    }
    eyes.inside(built.processes);
    if !setup.network_open {
        namespaces::loopback_up().step("bring up the loopback interface")?;
        doors::open(&setup.doors)?;
    }
    match (setup.isolation, setup.fake_root) {
        (Isolation::Root, true) => namespaces::become_fake_root(&idmaps)?,
        (Isolation::Root, false) => namespaces::become_cell_user(setup)?,
        (Isolation::User | Isolation::Direct | Isolation::Given, _) => {}
    }
    drop(idmaps);
    privileges::limits(&setup.limits)?;
    privileges::leave_a_part()?;
    privileges::drop_all(setup.fake_root, setup.may_set_ids)?;
    // Changing user or capabilities may have cleared it.
    privileges::die_with_parent(None)?;
    landlock::restrict(setup)?;
    privileges::filter(filter)?;
    Ok(Stage::Inside(eyes))
}

/// What is left to give up inside a container. What all of it may take is limited from outside.
fn give_up(setup: &Setup, filter: &[u8]) -> Result<(), Failed> {
    privileges::no_core_dumps()?;
    privileges::limits(&setup.limits)?;
    namespaces::become_user(setup)?;
    privileges::drop_what_is_left(setup.uid)?;
    if filter.is_empty() {
        // Somebody else's container has one already.
        return Ok(());
    }
    privileges::filter(filter)
}

fn launched(stream: &mut File, pid: i32) -> Result<(), Failed> {
    let mut frame = Vec::new();
    Event::Launched(wire::Launched { pid }).put(&mut frame, 0);
    stream.write_all(&frame).step("report the launch")
}

fn fail(stream: &mut File, failed: Failed) -> ExitCode {
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

/// Hello, set-up and filter, in this order; anything else is not our harness. Not a byte more is
/// read: what follows may be for another process.
fn read_orders(stream: &mut File) -> Option<(Box<Setup>, Bytes)> {
    let mut next = || {
        let mut decoder = wire::Decoder::new(wire::MAX_REQUEST);
        let mut header = [0; wire::HEADER];
        stream.read_exact(&mut header).ok()?;
        decoder.buffer().extend_from_slice(&header);
        if let Some(frame) = decoder.next().ok()? {
            return Request::read(&frame).ok();
        }
        // The decoder has accepted the length, so it is bounded.
        let mut payload = vec![0; wire::payload_length(&header)];
        stream.read_exact(&mut payload).ok()?;
        decoder.buffer().extend_from_slice(&payload);
        Request::read(&decoder.next().ok()??).ok()
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
    Some((setup, filter))
}

/// A descriptor of the stream, copied to where no command inherits it.
fn away(fd: i32) -> std::io::Result<File> {
    // SAFETY: fcntl with F_DUPFD_CLOEXEC takes no pointers; at worst the descriptor is not open,
    // which is an error.
    let copy = check(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) }.into())?;
    // SAFETY: the duplicate was just made and is owned by nobody else.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(copy as i32) }))
}

/// Puts the null device where the stream was.
fn occupy(fds: &[i32]) {
    let Ok(null) = File::options().read(true).write(true).open("/dev/null") else {
        return;
    };
    for fd in fds {
        // SAFETY: takes two numbers; the standard descriptors are owned by nobody in this process.
        unsafe { libc::dup2(null.as_raw_fd(), *fd) };
    }
}
