//! Bytes written to disk, and those that must stay free on it.

use std::collections::BTreeMap;

use super::super::census::{self, Written};
use super::{Finding, Watch};
use crate::wire::{Act, LimitKind};

/// What a process writes between two looks without being taken for one that fills a disk.
const LITTLE: u64 = 1 << 20;

/// Accounts of bytes written.
#[derive(Default)]
pub(super) struct Disk {
    /// What each process had written at the last look.
    by: BTreeMap<i32, u64>,
    sum: u64,
    /// Of processes that nobody reaped: their account is gone.
    lost: u64,
    /// What setting up wrote.
    before: u64,
    reserve: u64,
}

impl Disk {
    /// So many bytes must stay free.
    pub(super) fn keeping(reserve: u64) -> Self {
        Self {
            reserve,
            ..Self::default()
        }
    }

    /// What was written until now is not the cell's.
    pub(super) fn begin(&mut self, written: u64) {
        self.sum = written;
        self.before = written;
        self.by.insert(1, written);
    }
}

impl Watch {
    /// Returns what may still be written.
    pub(super) fn look_at_disk(&mut self, findings: &mut Vec<Finding>) -> u64 {
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

    /// Bytes that PID 1 and those whom it reaped have written.
    pub(super) fn own_written(&self) -> u64 {
        let mut buffer = [0; 512];
        let file = self.eyes.own_io.as_ref();
        file.and_then(|file| rustix::io::pread(file, &mut buffer, 0).ok())
            .and_then(|n| census::written(&buffer[..n]))
            .unwrap_or(0)
    }
}
