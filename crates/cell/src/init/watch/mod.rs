//! The cell's own watcher: holds the limits that no control group holds here, and notices those
//! that one does.
//!
//! It looks while processes run, the sooner the nearer a limit is: so soon that what was free at
//! the last look can't have been used up since. Nothing runs, no look.

mod crowd;
mod disk;
mod files;
mod kill;
mod memory;
mod yielding;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::census::{self, Census, Seen};
use super::made::Made;
use super::room::Room;
use crate::wire::{Act, Cgroup, LimitKind, Limits, Reached};
use crowd::Crowd;
use disk::Disk;
use memory::Precise;
use yielding::Spent;

/// How much memory or disk one core is taken to fill in a second; more than measured (2.5 GB/s).
const PACE: u64 = 4 << 30;
/// Looks are never further apart …
const SELDOM: Duration = Duration::from_millis(500);
/// … or nearer.
const OFTEN: Duration = Duration::from_millis(4);
/// Of a core's time that looks may take: a hundredth, or near a limit a tenth.
const SHARE: u32 = 100;
const SHARE_NEAR: u32 = 10;

/// Files that PID 1 can open only while it is being made.
#[derive(Default)]
pub(super) struct Eyes {
    own_io: Option<File>,
    processes: Option<OwnedFd>,
    ooms: Option<File>,
    refusals: Option<File>,
}

impl Eyes {
    /// Opens the groups' counters; the host's files must be in sight.
    pub(super) fn outside(cgroup: &Cgroup) -> Self {
        let open = |path: &Option<std::path::PathBuf>| File::open(path.as_ref()?).ok();
        Self {
            own_io: None,
            processes: None,
            ooms: open(&cgroup.ooms),
            refusals: open(&cgroup.refusals),
        }
    }

    /// Takes the /proc that shows all processes, and opens what PID 1 may not once it can't be
    /// traced.
    pub(super) fn inside(&mut self, processes: OwnedFd) {
        self.processes = Some(processes);
        self.own_io = File::open("/proc/self/io").ok();
    }
}

/// A limit that was reached, and the command it is told to; None when no command's process did it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) owner: Option<u32>,
    pub(super) reached: Reached,
}

pub(super) struct Watch {
    limits: Limits,
    eyes: Eyes,
    census: Census,
    next: Option<Instant>,
    interval: Duration,
    pace: u64,
    /// The command that each process belongs to.
    homes: BTreeMap<i32, u32>,
    /// Killed, but not gone at the last look.
    doomed: BTreeSet<i32>,
    seen: Vec<Seen>,
    memory: Precise,
    disk: Disk,
    room: Room,
    made: Made,
    /// Clock ticks that the kernel had worked for each process at the last look that asked.
    worked: BTreeMap<i32, u64>,
    ooms: u64,
    crowd: Crowd,
    spent: Spent,
}

impl Watch {
    /// None where there is nothing to look at.
    pub(super) fn new(limits: Limits, mut eyes: Eyes) -> Option<Self> {
        let census = Census::open(&eyes.processes.take()?)?;
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        let room = Room::new(limits.trees.clone());
        let reserve = room
            .least()
            .map_or(0, |free| limits.disk_reserve.min(free / 2));
        let mut watch = Self {
            eyes,
            census,
            next: None,
            interval: SELDOM,
            pace: PACE * cores.min(8),
            homes: BTreeMap::new(),
            doomed: BTreeSet::new(),
            seen: Vec::new(),
            memory: Precise::default(),
            disk: Disk::keeping(reserve),
            room,
            made: Made::new(limits.trees.clone(), limits.files),
            worked: BTreeMap::new(),
            ooms: 0,
            crowd: Crowd::default(),
            spent: Spent::default(),
            limits,
        };
        // What setting up wrote is not the cell's.
        let written = watch.own_written();
        watch.disk.begin(written);
        watch.interval = watch.soon(0, 0, Duration::ZERO);
        Some(watch)
    }

    /// When to look next, given whether any process runs.
    pub(super) fn due(&mut self, running: bool) -> Option<Instant> {
        if !running {
            self.next = None;
            self.crowd.rest();
        } else if self.next.is_none() {
            self.next = Instant::now().checked_add(self.interval);
        }
        self.next.into_iter().chain(self.crowd.due()).min()
    }

    /// A command was started.
    pub(super) fn started(&mut self) {
        self.crowd.arm();
    }

    /// Looks at what is due. `leaders` are the running commands' processes and ids, `killed` those
    /// that were killed since the last look.
    pub(super) fn look(
        &mut self,
        leaders: &BTreeMap<i32, u32>,
        killed: &[(i32, u32)],
    ) -> Vec<Finding> {
        let now = Instant::now();
        let mut findings = Vec::new();
        if self.crowd.due().is_some_and(|due| due <= now) {
            self.check_processes(leaders, &mut findings);
        }
        if self.next.is_some_and(|due| due <= now) {
            findings.extend(self.look_at_all(leaders, killed));
        }
        findings
    }

    fn look_at_all(&mut self, leaders: &BTreeMap<i32, u32>, killed: &[(i32, u32)]) -> Vec<Finding> {
        let start = Instant::now();
        let mut findings = Vec::new();
        let before = self.sight(leaders);
        self.look_at_ooms(&before, killed, &mut findings);
        self.look_at_processes(leaders, &mut findings);
        self.look_at_processors(leaders);
        let memory = self.look_at_memory(&mut findings);
        let disk = self.look_at_disk(&mut findings);
        let counts = self.look_at_files(&mut findings);
        self.interval = self.soon(memory, disk, start.elapsed());
        if counts {
            self.interval = OFTEN;
        }
        self.next = Instant::now().checked_add(self.interval);
        findings
    }

    /// Whether the kernel has killed for memory since the last look.
    pub(super) fn has_news(&self) -> bool {
        let file = self.eyes.ooms.as_ref();
        let count = file.and_then(|file| census::counter(file, "oom_kill"));
        count.is_some_and(|count| count > self.ooms)
    }

    /// Looks whom the kernel has killed for memory; told before the end of what it killed.
    pub(super) fn look_for_ooms(
        &mut self,
        leaders: &BTreeMap<i32, u32>,
        killed: &[(i32, u32)],
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        let before = self.sight(leaders);
        self.look_at_ooms(&before, killed, &mut findings);
        findings
    }

    /// Kills everything of a command, also what left its session. Returns how many.
    pub(super) fn kill_command(&mut self, id: u32, leaders: &BTreeMap<i32, u32>) -> u32 {
        self.sight(leaders);
        self.kill_all_of(Some(id), leaders)
    }

    /// Takes a census and notes who belongs where. Returns who was there before.
    fn sight(&mut self, leaders: &BTreeMap<i32, u32>) -> Vec<Seen> {
        let mut seen = self.census.take();
        let pids: BTreeSet<i32> = seen.iter().map(|process| process.pid).collect();
        self.homes.retain(|pid, _| pids.contains(pid));
        self.doomed.retain(|pid| pids.contains(pid));
        // Parents are usually made before their children, so one pass in order nearly does; what
        // it misses is found at the next look.
        for process in &mut seen {
            let known = leaders
                .get(&process.pid)
                .or_else(|| leaders.get(&process.session))
                .or_else(|| self.homes.get(&process.pid))
                .or_else(|| self.homes.get(&process.parent));
            if let Some(id) = known.copied() {
                self.homes.insert(process.pid, id);
                process.owner = Some(id);
            }
        }
        std::mem::swap(&mut self.seen, &mut seen);
        seen
    }

    fn look_at_ooms(
        &mut self,
        before: &[Seen],
        killed: &[(i32, u32)],
        findings: &mut Vec<Finding>,
    ) {
        let count = self
            .eyes
            .ooms
            .as_ref()
            .and_then(|file| census::counter(file, "oom_kill"));
        let Some(count) = count.filter(|count| *count > self.ooms) else {
            return;
        };
        self.ooms = count;
        // The kernel kills the largest, which may have come and gone between two looks.
        let gone = before
            .iter()
            .filter(|old| !self.seen.iter().any(|new| new.pid == old.pid))
            .max_by_key(|old| old.memory);
        let (owner, pid, name) = match (killed.first(), gone) {
            (Some((pid, id)), gone) => {
                let name = gone
                    .filter(|gone| gone.pid == *pid)
                    .map(|gone| gone.name.clone());
                (Some(*id), *pid, name.unwrap_or_default())
            }
            (None, Some(gone)) => (gone.owner, gone.pid, gone.name.clone()),
            (None, None) => (None, 0, String::new()),
        };
        let act = Act::Killed { pid, name };
        findings.push(self.finding(owner, LimitKind::Memory, self.limits.memory, act));
    }

    /// The command that holds most of something.
    fn holder(&self, of: impl Fn(&Seen) -> u64) -> Option<u32> {
        let mut sums: BTreeMap<Option<u32>, u64> = BTreeMap::new();
        for process in self.living() {
            *sums
                .entry(self.homes.get(&process.pid).copied())
                .or_default() += of(process);
        }
        sums.into_iter()
            .max_by_key(|(_, sum)| *sum)
            .and_then(|(owner, _)| owner)
    }

    /// Whoever is not dying already.
    fn living(&self) -> impl Iterator<Item = &Seen> {
        self.seen
            .iter()
            .filter(|process| !self.doomed.contains(&process.pid))
    }

    fn name(&self, pid: i32) -> String {
        let process = self.seen.iter().find(|process| process.pid == pid);
        process.map_or_else(String::new, |process| process.name.clone())
    }

    fn kill(&mut self, pid: i32) {
        send(pid, libc::SIGKILL);
        self.doomed.insert(pid);
    }

    fn finding(&self, owner: Option<u32>, limit: LimitKind, size: u64, act: Act) -> Finding {
        Finding {
            owner,
            reached: Reached { limit, size, act },
        }
    }

    /// When to look again with so much memory and disk to spare after a look that took so long.
    fn soon(&self, memory: u64, disk: u64, took: Duration) -> Duration {
        let spare = if took.is_zero() {
            self.limits.memory.min(self.limits.disk_bytes)
        } else {
            memory.min(disk)
        };
        let safe = Duration::from_secs_f64(spare as f64 / self.pace as f64);
        let near = spare < self.limits.memory.min(self.limits.disk_bytes) / 2;
        let least = took * if near { SHARE_NEAR } else { SHARE };
        safe.min(SELDOM).max(OFTEN).max(least.min(SELDOM * 4))
    }
}

fn send(pid: i32, signal: libc::c_int) {
    // SAFETY: kill takes numbers only. The numbers are of this pid namespace, where nobody else's
    // processes are; PID 1 itself is never among them.
    unsafe { libc::kill(pid, signal) };
}
