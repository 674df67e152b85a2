//! PID 1's loop: requests in, events out, children reaped. It never waits for one of them alone.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::child::Starter;
use super::command::Command;
use super::files::Files;
use super::guard::Guard;
use super::link::Link;
use super::watch::{Eyes, Watch};
use super::{family, stats};
use crate::wire::{
    Event, Exit, Isolation, KilledAll, Request, Setup, Spawn, SpawnError, SpawnStage,
};

/// How many are reaped in one turn: processes may end faster than that for ever.
const REAPS: u32 = 256;
/// More commands than any harness has under way; a bound for a broken one.
const MAX_COMMANDS: usize = 4096;

/// Serves until the stream ends, then takes everything along.
pub(super) fn run(link: Link, setup: Setup, eyes: Eyes) -> ExitCode {
    let direct = setup.isolation == Isolation::Direct;
    // A container's kernel lets commands end PID 1 by signals that the machine's keeps from it.
    let deaf = setup.isolation == Isolation::Given;
    let Ok(children) = child_signals(deaf) else {
        return ExitCode::FAILURE;
    };
    let Ok(starter) = Starter::new(setup.env, &setup.cwd, direct) else {
        return ExitCode::FAILURE;
    };
    // A container's limits are held by who made it.
    let watch = if direct || setup.isolation == Isolation::Given {
        None
    } else {
        let watch = Watch::new(setup.limits.clone(), eyes);
        if watch.is_none() {
            // Limits that nobody holds are no limits.
            return ExitCode::FAILURE;
        }
        watch
    };
    let mut init = Init {
        link,
        files: Files::new(&setup.work_tree),
        since: Instant::now(),
        starter,
        guard: Guard::new(watch, &setup.limits),
        commands: BTreeMap::new(),
        killing: Vec::new(),
        reaped: 0,
        more: false,
        direct,
    };
    super::pages::give_back_text();
    while init.turn(&children) {}
    if direct {
        init.kill();
        // Bounded: a process that can't be killed at once is init's (of the machine) to reap.
        let deadline = Instant::now() + Duration::from_secs(2);
        while !init.reap() && Instant::now() < deadline {
            init.kill();
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    ExitCode::SUCCESS
}

struct Init {
    link: Link,
    files: Files,
    since: Instant,
    starter: Starter,
    commands: BTreeMap<u32, Command>,
    /// Requests that wait until nothing is left alive.
    killing: Vec<u32>,
    reaped: u32,
    /// Some that have ended may not be reaped yet, and no signal will tell.
    more: bool,
    direct: bool,
    guard: Guard,
}

impl Init {
    /// Waits for something to do and does it. False when the stream has ended.
    fn turn(&mut self, children: &OwnedFd) -> bool {
        let mut poll = vec![
            PollFd::new(&self.link, PollFlags::IN),
            PollFd::new(children, PollFlags::IN),
        ];
        let mut watched = Vec::new();
        for (id, command) in &self.commands {
            if let Some(fd) = command.readable(&self.link) {
                poll.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
                watched.push((*id, true));
            }
            if let Some(fd) = command.writable() {
                poll.push(PollFd::from_borrowed_fd(fd, PollFlags::OUT));
                watched.push((*id, false));
            }
        }
        // After all that is watched for itself: whatever wakes us, `tell` sends what it can.
        if let Some(fd) = self.link.waiting() {
            poll.push(PollFd::from_borrowed_fd(fd, PollFlags::OUT));
        }
        let deadlines = self.commands.values().filter_map(Command::deadline);
        let deadline = deadlines.chain(self.guard.due(&self.commands)).min();
        let deadline = if self.more {
            Some(self.since)
        } else {
            deadline
        };
        let timeout = deadline.map(timeout);
        if let Err(error) = rustix::event::poll(&mut poll, timeout.as_ref()) {
            return error == rustix::io::Errno::INTR;
        }
        let ready: Vec<bool> = poll.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(poll);

        for ((id, output), _) in watched.iter().zip(&ready[2..]).filter(|(_, ready)| **ready) {
            if let Some(command) = self.commands.get_mut(id) {
                if *output {
                    command.read(&mut self.link)
                } else {
                    command.write(&mut self.link)
                }
            }
        }
        if ready[0] && !self.requests() {
            return false;
        }
        if ready[1] || self.more || !self.killing.is_empty() {
            drain(children);
            if self.direct && !self.killing.is_empty() {
                // Without a pid namespace a process may have forked behind the last kill's back.
                self.kill();
            }
            let none_left = self.reap();
            if none_left {
                self.tell_killed();
            }
        }
        self.guard.turn(&mut self.commands, &mut self.link);
        self.tell() && !self.guard.cell_is_over()
    }

    /// Tells ends and sends what is queued. Repeated while both go on: once nothing is unsent, no
    /// event would wake us for the rest.
    fn tell(&mut self) -> bool {
        loop {
            for command in self.commands.values_mut() {
                command.tell(&mut self.link);
            }
            if self.link.flush().is_err() {
                return false;
            }
            let more = self.commands.values().any(Command::is_telling);
            if !more || !self.link.has_room() {
                self.commands.retain(|_, command| !command.is_over());
                return true;
            }
        }
    }

    fn requests(&mut self) -> bool {
        let open = self.link.receive();
        loop {
            match self.link.next() {
                Ok(Some((id, request))) => {
                    if !self.request(id, request) {
                        return false;
                    }
                }
                Ok(None) => return open,
                Err(_) => return false,
            }
        }
    }

    /// Does what the harness asks. False for what it must not ask here.
    fn request(&mut self, id: u32, request: Request) -> bool {
        match request {
            Request::Hello(_) | Request::Setup(_) | Request::Filter(_) => return false,
            Request::Spawn(spawn) => {
                let event = match self.spawn(id, &spawn) {
                    Ok(pid) => Event::Started(crate::wire::Started { pid }),
                    Err(error) => Event::SpawnError(error),
                };
                self.link.event(id, &event);
                self.guard.tell_late(id, &mut self.commands, &mut self.link);
            }
            Request::Input(bytes) => {
                if let Some(command) = self.commands.get_mut(&id) {
                    return command.input(bytes, &mut self.link);
                }
                let refused = Event::InputTaken(crate::wire::InputTaken { ok: false });
                self.link.event(id, &refused);
            }
            Request::CloseInput => {
                if let Some(command) = self.commands.get_mut(&id) {
                    command.close_input(&mut self.link);
                }
            }
            Request::Resize(size) => {
                if let Some(command) = self.commands.get(&id) {
                    command.resize(size);
                }
            }
            Request::Signal(message) => {
                // Once the leader is reaped its number may be another's: the group is left alone.
                if let Some(command) = self.commands.get(&id).filter(|c| c.is_running()) {
                    // SAFETY: kill takes numbers only.
                    unsafe { libc::kill(-command.pid, message.signal) };
                }
            }
            Request::Pause | Request::Resume => {
                // It may have ended meanwhile.
                if let Some(command) = self.commands.get_mut(&id) {
                    command.pause(matches!(request, Request::Pause));
                }
            }
            Request::KillAll => {
                if self.killing.is_empty() {
                    self.reaped = 0;
                }
                self.killing.push(id);
                self.kill();
                if self.reap() {
                    self.tell_killed();
                }
            }
            Request::Stats => {
                let live = self.commands.values().filter(|c| c.is_live()).count();
                let reply = stats::count(live as u32, self.direct, self.since);
                self.link.event(id, &Event::Stats(reply));
            }
            Request::Stat(request) => self.link.event(id, &self.files.stat(&request)),
            Request::Read(request) => self.link.event(id, &self.files.read(&request)),
            Request::Write(request, bytes) => {
                self.link.event(id, &self.files.write(&request, &bytes));
            }
            Request::List(request) => self.link.event(id, &self.files.list(&request)),
            Request::MakeDirectory(request) => {
                self.link.event(id, &self.files.make_directory(&request));
            }
            Request::Remove(request) => self.link.event(id, &self.files.remove(&request)),
            Request::Rename(request) => self.link.event(id, &self.files.rename(&request)),
        }
        !self.link.is_full()
    }

    fn spawn(&mut self, id: u32, spawn: &Spawn) -> Result<i32, SpawnError> {
        if self.commands.contains_key(&id) || self.commands.len() >= MAX_COMMANDS {
            return Err(SpawnError {
                stage: SpawnStage::Request,
                errno: libc::EAGAIN,
            });
        }
        let started = self.starter.start(spawn)?;
        let pid = started.pid;
        let rate = self.guard.output_rate();
        self.commands
            .insert(id, Command::new(id, spawn, started, rate));
        self.guard.started();
        Ok(pid)
    }

    /// Reaps whoever has ended, some of them in one turn. True when no child is left.
    fn reap(&mut self) -> bool {
        self.more = false;
        for _ in 0..REAPS {
            let mut status = 0;
            // SAFETY: an all-zero rusage is valid: it holds numbers only.
            let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
            // SAFETY: both are valid places for the results.
            let pid = unsafe { libc::wait4(-1, &mut status, libc::WNOHANG, &mut usage) };
            if pid <= 0 {
                let error = std::io::Error::last_os_error();
                let none_left = pid < 0 && error.raw_os_error() == Some(libc::ECHILD);
                self.guard.reaped(none_left);
                return none_left;
            }
            self.reaped += 1;
            let exit = if libc::WIFSIGNALED(status) {
                Exit::Signal(libc::WTERMSIG(status))
            } else {
                Exit::Code(libc::WEXITSTATUS(status))
            };
            let command = self
                .commands
                .iter_mut()
                .find(|(_, c)| c.pid == pid && c.is_running());
            let id = command.as_ref().map(|(id, _)| **id);
            self.guard.died(pid, id, stats::worked(&usage));
            if let Some((id, command)) = command {
                command.end(exit);
                self.guard.ended(*id, pid, exit);
            }
        }
        self.more = true;
        false
    }

    /// SIGKILL for everything but PID 1.
    fn kill(&self) {
        if !self.direct {
            // SAFETY: kill takes numbers only. In this pid namespace, -1 is everything but us.
            unsafe { libc::kill(-1, libc::SIGKILL) };
            return;
        }
        for command in self.commands.values().filter(|c| c.is_running()) {
            // SAFETY: as above; the leader isn't reaped, so the group is the command's.
            unsafe { libc::kill(-command.pid, libc::SIGKILL) };
        }
        // What left its group is still our descendant, since we are its subreaper.
        for pid in family::descendants() {
            // SAFETY: as above; a descendant's number can't be reused while it is unreaped and its
            // parent is one of ours.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }

    fn tell_killed(&mut self) {
        for id in std::mem::take(&mut self.killing) {
            self.link.event(
                id,
                &Event::KilledAll(KilledAll {
                    reaped: self.reaped,
                }),
            );
        }
    }
}

/// How long to wait for an instant; a little longer than not at all.
fn timeout(at: Instant) -> Timespec {
    let left = at.saturating_duration_since(Instant::now());
    Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()).min(999_999_998) + 1,
    }
}

/// A descriptor that becomes readable when a child ends.
fn child_signals(deaf: bool) -> std::io::Result<OwnedFd> {
    // SAFETY: the sets are valid places that sigemptyset and sigfillset initialise; signalfd takes
    // one by pointer and returns a new descriptor that nobody else owns.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        let mut blocked = set;
        if deaf {
            libc::sigfillset(&mut blocked);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &blocked, std::ptr::null_mut());
        let fd = libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        super::check(fd.into())?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

fn drain(children: &OwnedFd) {
    let mut infos = [0u8; 1024];
    while rustix::io::read(children.as_fd(), &mut infos).is_ok_and(|n| n > 0) {}
}
