//! Files made in the writable trees.

use std::collections::BTreeMap;

use super::super::made::Next;
use super::{Finding, Watch};
use crate::wire::{Act, LimitKind};

impl Watch {
    /// Whether files are being counted, a piece in each look.
    pub(super) fn look_at_files(&mut self, findings: &mut Vec<Finding>) -> bool {
        let next = self.made.look();
        if next == Next::Rest {
            return false;
        }
        // No account tells who makes files, but the kernel works for whoever does.
        let worked = self.living().map(|process| (process.pid, process.kernel));
        let worked: BTreeMap<i32, u64> = worked.collect();
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
}
