//! Memory, where no control group holds it.

use std::time::{Duration, Instant};

use super::{Finding, Watch};
use crate::wire::{Act, LimitKind};

/// Memory counted exactly, which takes long, and how far a quick count was off then.
#[derive(Default)]
pub(super) struct Precise {
    at: Option<Instant>,
    quick: u64,
    exact: u64,
}

impl Watch {
    /// Returns what is still free.
    pub(super) fn look_at_memory(&mut self, findings: &mut Vec<Finding>) -> u64 {
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
