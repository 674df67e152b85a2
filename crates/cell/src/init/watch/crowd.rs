//! Processes and threads: the kernel refuses more than the limit, and whoever goes on trying is
//! ended, because a crowd that is refused all the time keeps the kernel busy for everybody.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::census;
use super::{Finding, Watch};
use crate::wire::{Act, LimitKind};

/// How long the limit may be reached, by whoever holds still, before the command that holds most
/// is killed.
const FULL: Duration = Duration::from_secs(2);
/// How often is looked whether the crowd still presses against the limit …
const CHECK: Duration = Duration::from_millis(50);
/// … and how often more it must have than not before the command is killed: a build that meets the
/// limit has ended, or waits, long before.
const PATIENCE: u32 = 5;
/// So many new processes between two checks, and there is another one.
const LIVELY: u64 = 16;

/// What is known of the cell's number of processes.
#[derive(Default)]
pub(super) struct Crowd {
    /// Refusals that the control group has counted.
    refusals: u64,
    /// The number that the last process got.
    last: u64,
    /// Since when the limit was reached at every look.
    full: Option<Instant>,
    /// How much more often it pressed than not.
    pressed: u32,
    /// When to check again; none while the limit is far.
    check: Option<Instant>,
    told: bool,
}

impl Crowd {
    /// When to check without a look.
    pub(super) fn due(&self) -> Option<Instant> {
        self.check
    }

    /// Checks soon, unless that is planned.
    pub(super) fn arm(&mut self) {
        if self.check.is_none() {
            self.check = Instant::now().checked_add(CHECK);
        }
    }

    /// Nothing runs, nothing is checked.
    pub(super) fn rest(&mut self) {
        self.check = None;
        self.pressed = 0;
    }

    /// How many processes were started since the last time.
    fn news(&mut self) -> u64 {
        let last = last_number();
        let before = std::mem::replace(&mut self.last, last);
        // Numbers begin anew at some time.
        last.checked_sub(before).unwrap_or(last)
    }
}

impl Watch {
    /// Looks how many there are, after a census.
    pub(super) fn look_at_processes(
        &mut self,
        leaders: &BTreeMap<i32, u32>,
        findings: &mut Vec<Finding>,
    ) {
        let most = self.limits.processes;
        // PID 1 counts as well, and so does whoever has ended and was not reaped.
        let threads = self.seen.iter().map(|process| process.threads);
        let count = 1 + self.census.dead() + threads.sum::<u64>();
        let refused = self.was_refused();
        if self.crowd.check.is_none() && (self.crowd.news() >= LIVELY || refused) {
            self.crowd.arm();
        }
        if count < most && !refused {
            self.crowd.full = None;
            self.crowd.told &= count >= near(most);
            return;
        }
        self.tell_refused(findings);
        let since = *self.crowd.full.get_or_insert_with(Instant::now);
        if since.elapsed() >= FULL {
            self.end_the_largest(leaders, findings);
        }
    }

    /// Looks whether the crowd presses against its limit, at little cost.
    pub(super) fn check_processes(
        &mut self,
        leaders: &BTreeMap<i32, u32>,
        findings: &mut Vec<Finding>,
    ) {
        let most = self.limits.processes;
        let news = self.crowd.news();
        // What `RLIMIT_NPROC` refuses nobody counts; but new ones come in masses though there is
        // hardly room, since whoever is refused ends, and others take its place.
        let presses = news >= LIVELY.max(most / 64) && self.census.count() >= most - most / 32;
        if self.was_refused() || presses {
            self.tell_refused(findings);
            self.crowd.pressed += 1;
        } else {
            self.crowd.pressed = self.crowd.pressed.saturating_sub(1);
        }
        if self.crowd.pressed >= PATIENCE {
            self.end_the_largest(leaders, findings);
        }
        self.crowd.check = None;
        if news >= LIVELY || self.crowd.pressed > 0 {
            self.crowd.arm();
        }
    }

    fn was_refused(&mut self) -> bool {
        let file = self.eyes.refusals.as_ref();
        let refusals = file.and_then(|file| census::counter(file, "max"));
        let refusals = refusals.unwrap_or(0);
        let before = std::mem::replace(&mut self.crowd.refusals, refusals);
        refusals > before
    }

    fn tell_refused(&mut self, findings: &mut Vec<Finding>) {
        if !std::mem::replace(&mut self.crowd.told, true) {
            let owner = self.holder(|process| process.threads);
            let most = self.limits.processes;
            findings.push(self.finding(owner, LimitKind::Processes, most, Act::Refused));
        }
    }

    fn end_the_largest(&mut self, leaders: &BTreeMap<i32, u32>, findings: &mut Vec<Finding>) {
        self.crowd.full = None;
        self.crowd.pressed = 0;
        self.sight(leaders);
        let owner = self.holder(|process| process.threads);
        let processes = self.kill_all_of(owner, leaders);
        let act = Act::KilledAll { processes };
        let most = self.limits.processes;
        findings.push(self.finding(owner, LimitKind::Processes, most, act));
    }
}

/// So many that the limit is near.
fn near(most: u64) -> u64 {
    most / 10 * 9
}

/// The number that the cell's last process got.
fn last_number() -> u64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let last = text.split_whitespace().last();
    last.and_then(|word| word.parse().ok()).unwrap_or(0)
}
