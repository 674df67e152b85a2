//! The cell's own watcher: holds the limits that no control group holds here, and notices those
//! that one does.
//!
//! It looks while processes run, the sooner the nearer a limit is: so soon that what was free at
//! the last look can't have been used up since. Nothing runs, no look.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::census::{self, Census, Seen, Written};
use super::made::{Made, Next};
use super::room::Room;
use crate::wire::{Act, Cgroup, LimitKind, Limits, Reached};

/// How much memory or disk one core is taken to fill in a second; more than measured (2.5 GB/s).
const PACE: u64 = 4 << 30;
/// Looks are never further apart …
const SELDOM: Duration = Duration::from_millis(500);
/// … or nearer.
const OFTEN: Duration = Duration::from_millis(4);
/// Of a core's time that looks may take: a hundredth, or near a limit a tenth.
const SHARE: u32 = 100;
const SHARE_NEAR: u32 = 10;
/// How long no further process can be started before the command that holds most is killed.
const FULL: Duration = Duration::from_secs(2);
/// What a process writes between two looks without being taken for one that fills a disk.
const LITTLE: u64 = 1 << 20;

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
    /// How long the kernel had worked for each process at the last look that asked.
    worked: BTreeMap<i32, u64>,
    ooms: u64,
    refusals: u64,
    full: Option<Instant>,
    told_full: bool,
}

/// Memory counted exactly, which takes long, and how far a quick count was off then.
#[derive(Default)]
struct Precise {
    at: Option<Instant>,
    quick: u64,
    exact: u64,
}

#[derive(Default)]
struct Disk {
    /// What each process had written at the last look.
    by: BTreeMap<i32, u64>,
    sum: u64,
    /// Of processes that nobody reaped: their account is gone.
    lost: u64,
    /// What setting up wrote.
    before: u64,
    reserve: u64,
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
            disk: Disk {
                reserve,
                ..Disk::default()
            },
            room,
            made: Made::new(limits.trees.clone(), limits.files),
            worked: BTreeMap::new(),
            ooms: 0,
            refusals: 0,
            full: None,
            told_full: false,
            limits,
        };
        // What setting up wrote is not the cell's.
        watch.disk.sum = watch.own_written();
        watch.disk.before = watch.disk.sum;
        watch.disk.by.insert(1, watch.disk.sum);
        watch.interval = watch.soon(0, 0, Duration::ZERO);
        Some(watch)
    }

    /// When to look next, given whether any process runs.
    pub(super) fn due(&mut self, running: bool) -> Option<Instant> {
        if !running {
            self.next = None;
        } else if self.next.is_none() {
            self.next = Instant::now().checked_add(self.interval);
        }
        self.next
    }

    /// Looks at everything. `leaders` are the running commands' processes and ids, `killed` those
    /// that were killed since the last look.
    pub(super) fn look(
        &mut self,
        leaders: &BTreeMap<i32, u32>,
        killed: &[(i32, u32)],
    ) -> Vec<Finding> {
        let start = Instant::now();
        let mut findings = Vec::new();
        let before = self.sight(leaders);
        self.look_at_ooms(&before, killed, &mut findings);
        self.look_at_processes(leaders, &mut findings);
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
        let count = self
            .eyes
            .ooms
            .as_ref()
            .and_then(|file| census::counter(file, "oom_kill"));
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

    fn look_at_processes(&mut self, leaders: &BTreeMap<i32, u32>, findings: &mut Vec<Finding>) {
        let most = self.limits.processes;
        // PID 1 counts as well.
        let count = 1 + self.seen.iter().map(|process| process.threads).sum::<u64>();
        let refusals = self
            .eyes
            .refusals
            .as_ref()
            .and_then(|file| census::counter(file, "max"));
        let refused = refusals.is_some_and(|refusals| refusals > self.refusals);
        self.refusals = refusals.unwrap_or(0);
        if count < most && !refused {
            self.full = None;
            self.told_full &= count >= most / 10 * 9;
            return;
        }
        let owner = self.holder(|process| process.threads);
        if !self.told_full {
            self.told_full = true;
            findings.push(self.finding(owner, LimitKind::Processes, most, Act::Refused));
        }
        let since = *self.full.get_or_insert_with(Instant::now);
        if since.elapsed() >= FULL {
            self.full = None;
            let processes = self.kill_all_of(owner, leaders);
            let act = Act::KilledAll { processes };
            findings.push(self.finding(owner, LimitKind::Processes, most, act));
        }
    }

    /// Returns what is still free.
    fn look_at_memory(&mut self, findings: &mut Vec<Finding>) -> u64 {
        let most = self.limits.memory;
        if self.eyes.ooms.is_some() {
            return u64::MAX;
        }
        let scratch = used("/tmp").unwrap_or(0);
        let quick = scratch + self.living().map(|process| process.memory).sum::<u64>();
        let mut used = quick;
        if quick > most {
            used = self.count_exactly(quick, scratch);
        }
        while used > most {
            let Some((victims, act)) = self.victims(used - most) else {
                break;
            };
            let owner = self.homes.get(&victims[0].0).copied();
            for (pid, memory) in victims {
                self.kill(pid);
                used = used.saturating_sub(memory);
            }
            self.memory = Precise::default();
            findings.push(self.finding(owner, LimitKind::Memory, most, act));
        }
        most.saturating_sub(used)
    }

    /// Who must go for so much memory: the largest process if that is enough, else all of the
    /// command that holds most.
    fn victims(&self, excess: u64) -> Option<(Vec<(i32, u64)>, Act)> {
        let largest = self.living().max_by_key(|process| process.memory)?;
        let owner = self.holder(|process| process.memory);
        let of_owner: Vec<(i32, u64)> = self
            .living()
            .filter(|process| self.homes.get(&process.pid).copied() == owner)
            .map(|process| (process.pid, process.memory))
            .collect();
        if largest.memory >= excess || of_owner.len() <= 1 {
            let act = Act::Killed {
                pid: largest.pid,
                name: largest.name.clone(),
            };
            return Some((vec![(largest.pid, largest.memory)], act));
        }
        let processes = of_owner.len() as u32;
        Some((of_owner, Act::KilledAll { processes }))
    }

    /// Counts shared pages once. Takes milliseconds, so not at every look.
    fn count_exactly(&mut self, quick: u64, scratch: u64) -> u64 {
        let moved = quick.abs_diff(self.memory.quick) > self.limits.memory / 32;
        let old = self
            .memory
            .at
            .is_none_or(|at| at.elapsed() > Duration::from_secs(2));
        if moved || old {
            let pids: Vec<(i32, u64)> = self.living().map(|p| (p.pid, p.memory)).collect();
            let exact = pids
                .into_iter()
                // One that can't be looked into counts in full.
                .map(|(pid, memory)| self.census.proportional(pid).unwrap_or(memory))
                .sum::<u64>();
            self.memory = Precise {
                at: Some(Instant::now()),
                quick,
                exact: exact + scratch,
            };
        }
        (self.memory.exact + quick).saturating_sub(self.memory.quick)
    }

    /// Returns what may still be written.
    fn look_at_disk(&mut self, findings: &mut Vec<Finding>) -> u64 {
        let mut by: BTreeMap<i32, u64> = self
            .seen
            .iter()
            .filter_map(|process| {
                let bytes = match process.written {
                    Written::Known(bytes) => bytes,
                    // What it had written before it hid stays written.
                    Written::Hidden => *self.disk.by.get(&process.pid)?,
                    Written::Gone => return None,
                };
                Some((process.pid, bytes))
            })
            .collect();
        by.insert(1, self.own_written());
        // Reaped processes' bytes are their parents', so the sum falls only when some were lost.
        let sum: u64 = by.values().sum();
        let start = self.disk.by.is_empty();
        if sum < self.disk.sum && !start {
            self.disk.lost += self.disk.sum - sum;
        }
        let grown = sum.saturating_sub(self.disk.sum);
        let mut writers: Vec<(i32, u64)> = by
            .iter()
            .filter(|(pid, _)| **pid > 1 && !self.doomed.contains(pid))
            .map(|(pid, bytes)| (*pid, bytes - self.disk.by.get(pid).unwrap_or(&0).min(bytes)))
            .filter(|(_, bytes)| *bytes > 0)
            .collect();
        writers.sort_unstable_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        self.disk.sum = sum;
        self.disk.by = by;
        let total = sum + self.disk.lost;
        let mut left = self.limits.disk_bytes.saturating_sub(total);
        let fell = self.room.look();
        let free = self.room.least();
        let spare = free.map_or(u64::MAX, |free| free.saturating_sub(self.disk.reserve));
        let hidden = self.hidden();
        if !hidden.is_empty() {
            let fallen = self.room.fallen();
            let known = total.saturating_sub(self.disk.before);
            left = left.min(self.limits.disk_bytes.saturating_sub(fallen));
            // Nobody's account tells who took the room, so it is whoever has none.
            let reached = if fallen > self.limits.disk_bytes && fallen > known + LITTLE {
                Some((LimitKind::Disk, self.limits.disk_bytes))
            } else if spare == 0 && fell > grown {
                Some((LimitKind::DiskFree, self.disk.reserve))
            } else {
                None
            };
            if let Some((kind, size)) = reached {
                self.kill_hidden(hidden, kind, size, findings);
                return left.min(spare);
            }
        }
        let reached = if total >= self.limits.disk_bytes && grown > 0 {
            Some((LimitKind::Disk, self.limits.disk_bytes))
        } else if spare == 0 && grown > LITTLE {
            Some((LimitKind::DiskFree, self.disk.reserve))
        } else {
            None
        };
        if let (Some((kind, size)), Some((pid, _))) = (reached, writers.first()) {
            let name = self.name(*pid);
            self.kill(*pid);
            let owner = self.homes.get(pid).copied();
            findings.push(self.finding(owner, kind, size, Act::Killed { pid: *pid, name }));
        }
        left.min(spare)
    }

    /// Living processes whose account can't be read, by the command they belong to.
    fn hidden(&self) -> BTreeMap<Option<u32>, Vec<i32>> {
        let mut hidden: BTreeMap<_, Vec<i32>> = BTreeMap::new();
        for process in self.living().filter(|p| p.written == Written::Hidden) {
            hidden.entry(process.owner).or_default().push(process.pid);
        }
        hidden
    }

    fn kill_hidden(
        &mut self,
        hidden: BTreeMap<Option<u32>, Vec<i32>>,
        kind: LimitKind,
        size: u64,
        findings: &mut Vec<Finding>,
    ) {
        for (owner, pids) in hidden {
            for pid in &pids {
                self.kill(*pid);
            }
            let act = match pids[..] {
                [pid] => Act::Killed {
                    pid,
                    name: self.name(pid),
                },
                _ => Act::KilledAll {
                    processes: pids.len() as u32,
                },
            };
            findings.push(self.finding(owner, kind, size, act));
        }
    }

    /// Whether files are being counted, a piece in each look.
    fn look_at_files(&mut self, findings: &mut Vec<Finding>) -> bool {
        let next = self.made.look();
        if next == Next::Rest {
            return false;
        }
        // No account tells who makes files, but the kernel works for whoever does.
        let pids: Vec<i32> = self.living().map(|process| process.pid).collect();
        let worked: BTreeMap<i32, u64> = pids
            .into_iter()
            .filter_map(|pid| Some((pid, self.census.kernel_time(pid)?)))
            .collect();
        if next == Next::Stop {
            let since = |(pid, ticks): (&i32, &u64)| {
                let before = self.worked.get(pid).copied().unwrap_or(0);
                (ticks.saturating_sub(before), *pid)
            };
            if let Some((_, pid)) = worked.iter().map(since).max() {
                let name = self.name(pid);
                self.kill(pid);
                let owner = self.homes.get(&pid).copied();
                let act = Act::Killed { pid, name };
                findings.push(self.finding(owner, LimitKind::Files, self.limits.files, act));
            }
            self.worked = worked;
        } else if self.worked.is_empty() {
            self.worked = worked;
        }
        next == Next::Count
    }

    fn own_written(&self) -> u64 {
        let mut buffer = [0; 512];
        let file = self.eyes.own_io.as_ref();
        file.and_then(|file| rustix::io::pread(file, &mut buffer, 0).ok())
            .and_then(|n| census::written(&buffer[..n]))
            .unwrap_or(0)
    }

    /// Kills all processes of a command, or those that belong to none: all are stopped first, until
    /// no new ones appear, because what runs could start others meanwhile.
    fn kill_all_of(&mut self, owner: Option<u32>, leaders: &BTreeMap<i32, u32>) -> u32 {
        let mut stopped = BTreeSet::new();
        loop {
            let new: Vec<i32> = self
                .seen
                .iter()
                .map(|process| process.pid)
                .filter(|pid| self.homes.get(pid).copied() == owner && !stopped.contains(pid))
                .collect();
            if new.is_empty() {
                break;
            }
            for pid in new {
                send(pid, libc::SIGSTOP);
                stopped.insert(pid);
            }
            self.sight(leaders);
        }
        for pid in &stopped {
            self.kill(*pid);
        }
        stopped.len() as u32
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

/// Bytes that are used on a directory's file system.
fn used(directory: &str) -> Option<u64> {
    let stat = rustix::fs::statvfs(directory).ok()?;
    Some(
        stat.f_blocks
            .saturating_sub(stat.f_bfree)
            .saturating_mul(stat.f_frsize),
    )
}
