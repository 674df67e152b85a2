//! One command from its start to the end of its output.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};

use super::child::{self, Started};
use super::link::{CHUNK, Link};
use super::tail::Tail;
use crate::wire::{Dropped, Event, Exit, InputTaken, Reached, Resize, Spawn};

/// How long a command's output may stay open after its end, when background children hold it.
pub(super) const GRACE: Duration = Duration::from_millis(100);
/// How often one command is read from in one turn, so that none starves the others.
const READS: usize = 8;
/// What a command may print as fast as it can.
const FREE: u64 = 64 << 20;
/// How often a command is told of limits.
const MAX_LIMITED: u32 = 16;
/// Input that the harness may have under way for one command. It is told to wait for its answers.
const MAX_INPUT: usize = 4 << 20;

pub(super) struct Command {
    id: u32,
    pub(super) pid: i32,
    output: Option<OwnedFd>,
    input: Option<OwnedFd>,
    terminal: bool,
    waiting: VecDeque<Bytes>,
    close_input: bool,
    head: u64,
    tail_capacity: u64,
    offset: u64,
    tail: Tail,
    ended: Option<Ended>,
    phase: Phase,
    meter: Meter,
    since: Instant,
    /// Its reader is behind; what it prints is left in its pipe.
    paused: bool,
    given_up: bool,
    /// How often it was told of limits.
    limited: u32,
}

/// How much a command has printed, and when it may go on.
struct Meter {
    printed: u64,
    /// Since then, what it prints beyond [`FREE`] is held to the rate.
    since: Option<Instant>,
    rest_until: Option<Instant>,
    rate: u64,
}

/// The process is gone; its output may not be complete.
struct Ended {
    exit: Exit,
    deadline: Instant,
    /// What lay in the pipe at that time is the command's own.
    owed: usize,
}

/// How far the command's story has been told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// The kept end of the output is being sent, from here on.
    Telling(usize),
    /// Everything is told; what background children still say is thrown away.
    Told,
}

impl Command {
    pub(super) fn new(id: u32, spawn: &Spawn, started: Started, rate: u64) -> Self {
        Self {
            id,
            pid: started.pid,
            output: Some(started.output),
            input: started.input,
            terminal: started.terminal,
            waiting: VecDeque::new(),
            close_input: false,
            head: spawn.head,
            tail_capacity: spawn.tail,
            offset: 0,
            tail: Tail::default(),
            ended: None,
            phase: Phase::Running,
            meter: Meter {
                printed: 0,
                since: None,
                rest_until: None,
                rate,
            },
            since: Instant::now(),
            paused: false,
            given_up: false,
            limited: 0,
        }
    }

    /// Bytes it has printed.
    pub(super) fn printed(&self) -> u64 {
        self.meter.printed
    }

    /// Whether it still runs after so long.
    pub(super) fn runs_longer_than(&self, time: Duration, now: Instant) -> bool {
        self.is_running() && now.saturating_duration_since(self.since) >= time
    }

    /// When it has run for so long, if that will be acted on.
    pub(super) fn time_ends(&self, time: Duration) -> Option<Instant> {
        let acts = self.is_running() && !self.given_up;
        self.since.checked_add(time).filter(|_| acts)
    }

    /// Notes that it is to be killed for a limit. False when it is already, or has ended.
    pub(super) fn give_up(&mut self) -> bool {
        self.is_running() && !std::mem::replace(&mut self.given_up, true)
    }

    /// Kills its process group. Returns how many that are at least.
    pub(super) fn kill_group(&self) -> u32 {
        // SAFETY: kill takes numbers only; the caller knows that it runs, so the group is its own.
        unsafe { libc::kill(-self.pid, libc::SIGKILL) };
        1
    }

    /// Tells it of a limit, unless it has heard often enough. False when it hears nothing any more.
    pub(super) fn limited(&mut self, reached: &Reached, link: &mut Link) -> bool {
        if !self.is_live() {
            return false;
        }
        if self.limited < MAX_LIMITED {
            self.limited += 1;
            link.event(self.id, &Event::Reached(reached.clone()));
        }
        true
    }

    /// The descriptor to watch for output, if it may be read now.
    pub(super) fn readable(&self, link: &Link) -> Option<BorrowedFd<'_>> {
        let wanted = match self.phase {
            Phase::Running if self.meter.rests() => false,
            // What is not sent holds nobody up.
            Phase::Running => self.head == 0 || (link.has_room() && !self.paused),
            Phase::Telling(_) => false,
            Phase::Told => true,
        };
        self.output.as_ref().filter(|_| wanted).map(AsFd::as_fd)
    }

    /// The descriptor to watch for room for input, if input waits.
    pub(super) fn writable(&self) -> Option<BorrowedFd<'_>> {
        self.input
            .as_ref()
            .filter(|_| !self.waiting.is_empty())
            .map(AsFd::as_fd)
    }

    /// When to look again without an event.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.phase != Phase::Running {
            return None;
        }
        let ended = self.ended.as_ref().filter(|ended| ended.owed == 0);
        let rest = self.meter.rest_until.filter(|_| !self.paused);
        ended.map(|ended| ended.deadline).or(rest)
    }

    /// Still a command in the harness' eyes.
    pub(super) fn is_live(&self) -> bool {
        self.phase != Phase::Told
    }

    /// The end is being told, and more of it is to be sent.
    pub(super) fn is_telling(&self) -> bool {
        matches!(self.phase, Phase::Telling(_))
    }

    /// Whether the process itself runs, so that its id is its own.
    pub(super) fn is_running(&self) -> bool {
        self.ended.is_none()
    }

    /// Nothing is left to do for it.
    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Told && self.output.is_none()
    }

    /// Stops taking output that would be sent, or goes on.
    pub(super) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Reads output: the head goes to the link, the rest into the tail.
    pub(super) fn read(&mut self, link: &mut Link) {
        for _ in 0..READS {
            let Some(fd) = self.readable(link) else {
                return;
            };
            let told = self.phase == Phase::Told;
            let read = if told {
                let mut nowhere = [0; 16384];
                rustix::io::read(fd, &mut nowhere)
            } else if self.head > 0 {
                // `readable` borrowed all of self; take the descriptor alone.
                let Some(fd) = &self.output else { return };
                link.output_from(fd.as_fd(), self.id, self.offset, self.head)
            } else {
                let Some(fd) = &self.output else { return };
                self.tail.read(fd.as_fd(), self.tail_capacity)
            };
            match read {
                Ok(0) => self.output = None,
                Ok(n) => {
                    if !told && self.head > 0 {
                        self.head -= n as u64;
                        self.offset += n as u64;
                    }
                    if let Some(ended) = &mut self.ended {
                        ended.owed = ended.owed.saturating_sub(n);
                    } else {
                        self.meter.count(n as u64);
                    }
                }
                Err(rustix::io::Errno::AGAIN) => {
                    if let Some(ended) = &mut self.ended {
                        ended.owed = 0;
                    }
                    return;
                }
                Err(rustix::io::Errno::INTR) => {}
                // A terminal without processes says EIO: its end.
                Err(_) => self.output = None,
            }
        }
    }

    /// Notes that the process has been reaped.
    pub(super) fn end(&mut self, exit: Exit) {
        let owed = self.output.as_ref().map_or(0, |fd| {
            rustix::io::ioctl_fionread(fd).map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX))
        });
        self.ended = Some(Ended {
            exit,
            deadline: Instant::now() + GRACE,
            owed,
        });
    }

    /// Tells the end once it is known: the kept output, then the exit.
    pub(super) fn tell(&mut self, link: &mut Link) {
        if self.phase == Phase::Running && self.ended.as_ref().is_some_and(|ended| ended.owed > 0) {
            // What is owed is a guess for terminals: only a read tells that nothing is left.
            self.read(link);
        }
        let Some(ended) = &self.ended else { return };
        let exit = ended.exit;
        if self.phase == Phase::Running {
            let complete =
                self.output.is_none() || (ended.owed == 0 && Instant::now() >= ended.deadline);
            if !complete {
                return;
            }
            let dropped = self.tail.dropped(self.tail_capacity);
            if dropped > 0 {
                link.event(self.id, &Event::Dropped(Dropped { bytes: dropped }));
            }
            self.offset += dropped;
            self.phase = Phase::Telling(0);
        }
        while let Phase::Telling(from) = self.phase {
            if !link.has_room() {
                return;
            }
            let kept = self.tail.kept(self.tail_capacity, from);
            if kept.is_empty() {
                self.refuse_input(link);
                link.event(self.id, &Event::Exited(exit));
                self.phase = Phase::Told;
                self.tail = Tail::default();
                return;
            }
            let piece = &kept[..kept.len().min(CHUNK)];
            link.event(
                self.id,
                &Event::Output(self.offset, Bytes::copy_from_slice(piece)),
            );
            self.offset += piece.len() as u64;
            self.phase = Phase::Telling(from + piece.len());
        }
    }

    /// Takes input for the command. False when the harness sent more than it may.
    pub(super) fn input(&mut self, bytes: Bytes, link: &mut Link) -> bool {
        if self.input.is_none() || self.close_input || bytes.is_empty() {
            link.event(self.id, &Event::InputTaken(InputTaken { ok: false }));
            return true;
        }
        let waiting: usize = self.waiting.iter().map(Bytes::len).sum();
        self.waiting.push_back(bytes);
        self.write(link);
        waiting <= MAX_INPUT
    }

    /// Writes what waits, as far as the command takes it.
    pub(super) fn write(&mut self, link: &mut Link) {
        while let (Some(fd), Some(bytes)) = (&self.input, self.waiting.front_mut()) {
            match rustix::io::write(fd, bytes) {
                Ok(n) => {
                    bytes.advance(n);
                    if bytes.is_empty() {
                        self.waiting.pop_front();
                        link.event(self.id, &Event::InputTaken(InputTaken { ok: true }));
                    }
                }
                Err(rustix::io::Errno::AGAIN) => return,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => {
                    self.refuse_input(link);
                    return;
                }
            }
        }
        if self.close_input {
            self.input = None;
        }
    }

    /// Closes standard input once what waits is written. A terminal has no such end.
    pub(super) fn close_input(&mut self, link: &mut Link) {
        if !self.terminal {
            self.close_input = true;
            self.write(link);
        }
    }

    pub(super) fn resize(&self, size: Resize) {
        if let (true, Some(master)) = (self.terminal, &self.output) {
            // A size that the kernel refuses leaves the old one.
            let _ = child::resize(master, size);
        }
    }

    fn refuse_input(&mut self, link: &mut Link) {
        for _ in self.waiting.drain(..) {
            link.event(self.id, &Event::InputTaken(InputTaken { ok: false }));
        }
        self.input = None;
    }
}

impl Meter {
    fn rests(&self) -> bool {
        self.rest_until.is_some_and(|until| Instant::now() < until)
    }

    fn count(&mut self, bytes: u64) {
        self.printed = self.printed.saturating_add(bytes);
        let Some(beyond) = self.printed.checked_sub(FREE) else {
            return;
        };
        let since = *self.since.get_or_insert_with(Instant::now);
        // Years at most: the rate is at least one byte a second, and the total is bounded.
        let due = Duration::from_secs_f64(beyond as f64 / self.rate as f64);
        self.rest_until = since.checked_add(due);
    }
}
