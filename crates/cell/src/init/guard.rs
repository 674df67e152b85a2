//! Limits in the loop's terms: when to look, what to do about output and time, and who is told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::command::Command;
use super::link::Link;
use super::watch::{Finding, Watch};
use crate::wire::{Act, Exit, LimitKind, Limits, Reached};

/// What is kept for the next command when none runs.
const MAX_LATE: usize = 8;

pub(super) struct Guard {
    watch: Option<Watch>,
    output_bytes: u64,
    output_rate: u64,
    command_time: Option<Duration>,
    cell_time: Option<(u64, Instant)>,
    /// Any process but PID 1 is alive.
    running: bool,
    /// A command's process was reaped: what killed one in it is told before its end is.
    reaped: bool,
    /// Commands whose own process was killed.
    killed: Vec<(i32, u32)>,
    late: Vec<Reached>,
    over: bool,
}

impl Guard {
    pub(super) fn new(watch: Option<Watch>, limits: &Limits) -> Self {
        let end = |millis: u64| {
            Some((
                millis,
                Instant::now().checked_add(Duration::from_millis(millis))?,
            ))
        };
        Self {
            watch,
            output_bytes: limits.output_bytes,
            output_rate: limits.output_rate,
            command_time: limits.command_time.map(Duration::from_millis),
            cell_time: limits.cell_time.and_then(end),
            running: false,
            reaped: false,
            killed: Vec::new(),
            late: Vec::new(),
            over: false,
        }
    }

    /// Bytes per second that a command may print in the long run.
    pub(super) fn output_rate(&self) -> u64 {
        self.output_rate
    }

    /// A command was started.
    pub(super) fn started(&mut self) {
        self.running = true;
        if let Some(watch) = &mut self.watch {
            watch.started();
        }
    }

    /// A process has ended, after so many microseconds of work. It was the command's own if there
    /// is one.
    pub(super) fn died(&mut self, pid: i32, command: Option<u32>, micros: u64) {
        if let Some(watch) = &mut self.watch {
            watch.reaped(pid, command, micros);
        }
    }

    /// A command's process has ended.
    pub(super) fn ended(&mut self, id: u32, pid: i32, exit: Exit) {
        self.reaped = true;
        if exit == Exit::Signal(libc::SIGKILL) {
            self.killed.push((pid, id));
        }
    }

    /// Children were reaped.
    pub(super) fn reaped(&mut self, none_left: bool) {
        self.running &= !none_left;
    }

    /// The cell's time is up.
    pub(super) fn cell_is_over(&self) -> bool {
        self.over
    }

    /// When to look without an event.
    pub(super) fn due(&mut self, commands: &BTreeMap<u32, Command>) -> Option<Instant> {
        let running = self.running;
        let look = self.watch.as_mut().and_then(|watch| watch.due(running));
        let cell = self.cell_time.map(|(_, at)| at);
        let command = self.command_time.and_then(|time| {
            let ends = commands
                .values()
                .filter_map(|command| command.time_ends(time));
            ends.min()
        });
        [look, cell, command].into_iter().flatten().min()
    }

    /// Looks after everything that is due.
    pub(super) fn turn(&mut self, commands: &mut BTreeMap<u32, Command>, link: &mut Link) {
        let now = Instant::now();
        let mut findings = self.spent(commands, now);
        if let Some(watch) = &mut self.watch {
            if watch.due(self.running).is_some_and(|due| due <= now) {
                findings.extend(watch.look(&leaders(commands), &self.killed));
            } else if self.reaped && watch.has_news() {
                findings.extend(watch.look_for_ooms(&leaders(commands), &self.killed));
            }
        }
        self.reaped = false;
        self.killed.clear();
        for Finding { owner, reached } in findings {
            self.tell(owner, reached, commands, link);
        }
    }

    /// Tells a new command what happened when nobody was there to be told.
    pub(super) fn tell_late(
        &mut self,
        id: u32,
        commands: &mut BTreeMap<u32, Command>,
        link: &mut Link,
    ) {
        if let Some(command) = commands.get_mut(&id) {
            for reached in self.late.drain(..) {
                command.limited(&reached, link);
            }
        }
    }

    /// Commands that have printed or run enough, and a cell that has lived enough.
    fn spent(&mut self, commands: &mut BTreeMap<u32, Command>, now: Instant) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut spent = Vec::new();
        for (id, command) in commands.iter_mut() {
            let late = self
                .command_time
                .filter(|time| command.runs_longer_than(*time, now));
            let reached = if command.printed() > self.output_bytes {
                (LimitKind::Output, self.output_bytes)
            } else if let Some(time) = late {
                let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                (LimitKind::CommandTime, millis)
            } else {
                continue;
            };
            if command.give_up() {
                spent.push((*id, reached));
            }
        }
        for (id, (limit, size)) in spent {
            let leaders = leaders(commands);
            let found = self
                .watch
                .as_mut()
                .map_or(0, |watch| watch.kill_command(id, &leaders));
            // Whatever was found: the kernel knows the group.
            let group = commands.get(&id).map_or(0, Command::kill_group);
            let processes = found.max(group);
            let act = Act::KilledAll { processes };
            findings.push(Finding {
                owner: Some(id),
                reached: Reached { limit, size, act },
            });
        }
        if let Some((size, at)) = self.cell_time
            && at <= now
        {
            self.over = true;
            let act = Act::KilledAll {
                processes: commands.len() as u32,
            };
            let limit = LimitKind::CellTime;
            findings.push(Finding {
                owner: None,
                reached: Reached { limit, size, act },
            });
        }
        findings
    }

    /// Tells the command that it concerns; without one, those that run, or the next.
    fn tell(
        &mut self,
        owner: Option<u32>,
        reached: Reached,
        commands: &mut BTreeMap<u32, Command>,
        link: &mut Link,
    ) {
        if let Some(command) = owner.and_then(|id| commands.get_mut(&id))
            && command.limited(&reached, link)
        {
            return;
        }
        let mut told = false;
        for command in commands.values_mut() {
            told |= command.limited(&reached, link);
        }
        if !told && self.late.len() < MAX_LATE {
            self.late.push(reached);
        }
    }
}

/// The commands' processes that run.
fn leaders(commands: &BTreeMap<u32, Command>) -> BTreeMap<i32, u32> {
    commands
        .iter()
        .filter(|(_, command)| command.is_live())
        .map(|(id, command)| (command.pid, *id))
        .collect()
}
