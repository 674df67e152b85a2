//! The thread that starts every cell of this process.
//!
//! PID 1 of a cell dies with the *thread* that is its parent (`PR_SET_PDEATHSIG`), so that thread
//! must live as long as the process: a runtime's worker or blocking thread would not.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use recto_protocol::policy::Access;
use recto_protocol::ports::cell::CellError;
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use tokio::sync::oneshot;

use super::doors::Doorway;
use super::gvisor;
use super::sweeper::Stubs;
use crate::cgroup::Cgroup;
use crate::plan::{Plan, StubPlan, plan};
use crate::seccomp;
use crate::spec::{Backend, CellSpec};
use crate::wire::{self, Event, Isolation, Request};

/// How long a cell that nobody has met may take to end.
const BURYING: Duration = Duration::from_secs(10);
/// More than a cell says before it is spoken to.
const MOST_SAID: u64 = 1 << 20;

/// A cell that has its orders and is building itself. Dropped, it is ended before its stubs go.
pub(super) struct Birth(pub(super) Option<Parts>);

pub(super) struct Parts {
    pub(super) stream: UnixStream,
    /// The launcher process; without isolation, the cell itself.
    pub(super) child: Child,
    pub(super) isolation: Isolation,
    /// What a container runtime prints before its container speaks.
    pub(super) complaints: Option<File>,
    /// Mount points that live as long as the cell.
    pub(super) stubs: Stubs,
    /// Doors that it opens.
    pub(super) doorway: Option<Doorway>,
}

impl Birth {
    /// What was born. None never: only this and the end take it.
    pub(super) fn take(mut self) -> Option<Parts> {
        self.0.take()
    }
}

impl Drop for Birth {
    fn drop(&mut self) {
        if let Some(parts) = self.0.take() {
            // Without a thread the stream's end ends the cell all the same, if later than its stubs.
            let _ = std::thread::Builder::new()
                .name("recto-cell-end".into())
                .spawn(move || bury(parts));
        }
    }
}

/// Ends a cell that nobody has met: the end of its stream makes it end itself.
fn bury(parts: Parts) {
    let Parts {
        stream,
        mut child,
        stubs,
        ..
    } = parts;
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.set_read_timeout(Some(BURYING));
    let mut said = Vec::new();
    // Until the last process that holds the other end is gone.
    let _ = stream.take(MOST_SAID).read_to_end(&mut said);
    let mut decoder = wire::Decoder::new(wire::MAX_EVENT);
    decoder.buffer().extend_from_slice(&said);
    while let Ok(Some(frame)) = decoder.next() {
        let Ok(Event::Launched(launched)) = Event::read(&frame) else {
            continue;
        };
        // PID 1 is our unreaped child, so its number is still its own.
        let init = Pid::from_raw(launched.pid).filter(|_| launched.pid as u32 != child.id());
        let pidfd = init.map(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()));
        if let Some(Ok(pidfd)) = pidfd {
            end_child(&pidfd);
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    drop(stubs);
}

/// Kills and reaps a process if it is our child.
fn end_child(pidfd: &OwnedFd) {
    let id = || WaitId::PidFd(pidfd.as_fd());
    let looking = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if rustix::process::waitid(id(), looking).is_ok() {
        let _ = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
        let _ = rustix::process::waitid(id(), WaitIdOptions::EXITED);
    }
}

/// Our child that builds a cell, until the cell is born.
struct Newborn(Option<Child>);

impl Drop for Newborn {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It has no orders, or not all, and has done nothing.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

struct Job {
    spec: Box<CellSpec>,
    reply: oneshot::Sender<Result<Birth, CellError>>,
}

/// Starts a cell and gives it its orders.
pub(super) async fn start(spec: CellSpec) -> Result<Birth, CellError> {
    static THREAD: OnceLock<Option<mpsc::Sender<Job>>> = OnceLock::new();
    let jobs = THREAD.get_or_init(|| {
        let (jobs, work) = mpsc::channel::<Job>();
        // Lives as long as the process, see above; it owns nothing that would need an end.
        let thread = std::thread::Builder::new()
            .name("recto-cells".into())
            .spawn(move || {
                for job in work {
                    // A caller that no longer waits: dropping it ends the cell.
                    let _ = job.reply.send(give_birth(&job.spec));
                }
            });
        thread.ok().map(|_| jobs)
    });
    let (reply, answer) = oneshot::channel();
    let job = Job {
        spec: Box::new(spec),
        reply,
    };
    let sent = jobs.as_ref().and_then(|jobs| jobs.send(job).ok());
    let lost = || {
        setup(
            "reach the launching thread",
            io::ErrorKind::BrokenPipe.into(),
        )
    };
    sent.ok_or_else(lost)?;
    answer.await.map_err(|_| lost())?
}

fn give_birth(spec: &CellSpec) -> Result<Birth, CellError> {
    let (mut stream, theirs) =
        UnixStream::pair().map_err(|error| setup("make a socket pair", error))?;
    let (alive, living) = io::pipe().map_err(|error| setup("make a pipe", error))?;
    let is_direct = spec.policy.access == Access::DangerFullAccess;
    let doors = spec
        .doors
        .as_ref()
        .filter(|doors| !is_direct && !doors.list.is_empty());
    let (doorway, outwards) = match doors.map(Doorway::new).transpose() {
        Ok(made) => made.unzip(),
        Err(error) => return Err(setup("make a socket pair", error)),
    };
    let mut complaints = None;
    if spec.backend == Backend::Gvisor && !is_direct {
        let file = rustix::fs::memfd_create("recto-complaints", MemfdFlags::CLOEXEC)
            .map_err(|error| setup("make a place for complaints", error.into()))?;
        complaints = Some(File::from(file));
    }
    // A container has no doors, and only a container complains.
    let third = match &complaints {
        Some(file) => {
            let copy = file.try_clone();
            let copy = copy.map_err(|error| setup("make a place for complaints", error))?;
            Some(OwnedFd::from(copy))
        }
        None => outwards,
    };
    let streams = [Some(theirs.into()), Some(living.into()), third];
    // Before the child, so that they go after it when anything fails.
    let mut stubs = Stubs::default();
    let child = spawn(spec, is_direct, streams).map_err(|error| setup("start cell-init", error))?;
    let mut child = Newborn(Some(child));
    // The new process loads while it is found out what it shall build.
    let Prepared {
        plan,
        inside,
        filter,
    } = prepare(spec)?;
    let Plan {
        setup: mut orders,
        stubs: planned,
        aftermath,
    } = plan;
    orders.parent = std::process::id() as i32;
    let isolation = orders.isolation;
    // It waits for its orders, so the stubs come in time.
    let cgroup = (spec.limits.cgroups && isolation != Isolation::Direct)
        .then(Cgroup::plan)
        .flatten();
    if !planned.is_empty() || !aftermath.is_empty() || cgroup.is_some() {
        let directories = cgroup.as_ref().map_or_else(Vec::new, Cgroup::directories);
        let paths = planned.iter().map(|stub| stub.path.clone()).collect();
        stubs = Stubs::announce(&spec.exe, paths, aftermath, directories, alive.into())
            .map_err(|error| setup("tell the sweeper of the cell", error))?;
        if let Some(cgroup) = cgroup {
            orders.limits.cgroup = cgroup.make(&orders.limits);
        }
        for StubPlan { path, owner } in planned {
            match stubs.make(&path, owner) {
                Ok(()) => {}
                // What the harness may not make, the cell may not either.
                Err(error) if is_forbidden(&error) => {
                    orders.mounts.retain(|mount| mount.at != path);
                }
                Err(error) => {
                    return Err(setup(&format!("protect {}", path.display()), error));
                }
            }
        }
    }
    let mut bytes = Vec::new();
    put_orders(&mut bytes, orders, filter);
    if let Some(inside) = inside {
        // The launcher takes its own and leaves these.
        let (inside, filter) = inside;
        put_orders(&mut bytes, inside, filter);
    }
    stream
        .write_all(&bytes)
        .map_err(|error| setup("send the orders", error))?;
    let parts = child.0.take().map(|child| Parts {
        stream,
        child,
        isolation,
        complaints,
        stubs,
        doorway,
    });
    Ok(Birth(parts))
}

/// Whether nobody like us may make anything there.
fn is_forbidden(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EROFS | libc::EACCES | libc::EPERM)
    )
}

/// What to build, for the launcher and for a container's inside, and the filter.
struct Prepared {
    plan: Plan,
    inside: Option<(wire::Setup, bytes::Bytes)>,
    filter: bytes::Bytes,
}

fn prepare(spec: &CellSpec) -> Result<Prepared, CellError> {
    let mut plan = plan(spec)?;
    let mut filter = if plan.setup.isolation == Isolation::Direct {
        bytes::Bytes::new()
    } else {
        seccomp::program(plan.setup.may_set_ids)?
    };
    let mut inside = None;
    if spec.backend == Backend::Gvisor && plan.setup.isolation != Isolation::Direct {
        let container = gvisor::contain(spec, &mut plan.setup)?;
        inside = Some((container, seccomp::container_program()?));
        filter = seccomp::runtime_program()?;
    }
    Ok(Prepared {
        plan,
        inside,
        filter,
    })
}

fn put_orders(out: &mut Vec<u8>, orders: wire::Setup, filter: bytes::Bytes) {
    let version = wire::VERSION;
    Request::Hello(wire::Hello { version }).put(out, 0);
    Request::Setup(Box::new(orders)).put(out, 0);
    Request::Filter(filter).put(out, 0);
}

/// The same binary again, with no environment and nothing but the stream, a pipe's write end, whose
/// closing tells that the cell's processes are gone, and the way that its doors or its complaints
/// come out.
fn spawn(spec: &CellSpec, is_direct: bool, streams: [Option<OwnedFd>; 3]) -> io::Result<Child> {
    let [stream, living, third] =
        streams.map(|stream| stream.map_or_else(Stdio::null, Stdio::from));
    let mode = if is_direct { "direct" } else { "cell" };
    Command::new(&spec.exe)
        .arg0("recto")
        .args(["cell-init", mode, &std::process::id().to_string()])
        .env_clear()
        .stdin(stream)
        .stdout(living)
        .stderr(third)
        .spawn()
}

pub(crate) fn setup(step: &str, source: io::Error) -> CellError {
    CellError::Setup {
        step: step.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_birth_that_nobody_takes_ends_before_its_stubs_go() {
        let sleeper = || {
            Command::new("sleep")
                .arg("1000")
                .stdin(Stdio::null())
                .spawn()
        };
        let (child, init) = (sleeper().unwrap(), sleeper().unwrap());
        let pidfd = Pid::from_raw(init.id() as i32)
            .map(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).unwrap())
            .unwrap();
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join(".recto");
        let mut stubs = Stubs::default();
        stubs.make(&path, None).unwrap();
        let (stream, mut theirs) = UnixStream::pair().unwrap();
        drop(Birth(Some(Parts {
            stream,
            child,
            isolation: Isolation::User,
            complaints: None,
            stubs,
            doorway: None,
        })));
        // Told to end; it does not yet.
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
        assert!(path.exists());
        let mut frame = Vec::new();
        let pid = init.id() as i32;
        Event::Launched(wire::Launched { pid }).put(&mut frame, 0);
        theirs.write_all(&frame).unwrap();
        drop(theirs);
        let mut end = [rustix::event::PollFd::new(
            &pidfd,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut end, None).unwrap();
        while path.exists() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn only_what_nobody_may_make_needs_no_protection() {
        for error in [libc::EROFS, libc::EACCES, libc::EPERM] {
            assert!(is_forbidden(&io::Error::from_raw_os_error(error)));
        }
        for error in [libc::ENOSPC, libc::EDQUOT, libc::EBUSY, libc::EMFILE] {
            assert!(!is_forbidden(&io::Error::from_raw_os_error(error)));
        }
        // Our own words, whatever the reason.
        assert!(!is_forbidden(&io::Error::other("no locks")));
    }
}
