//! Ending all of a command.

use std::collections::{BTreeMap, BTreeSet};

use super::{Watch, send};

impl Watch {
    /// Kills all processes of a command, or those that belong to none, right after a census. Returns
    /// how many.
    pub(super) fn kill_all_of(&mut self, owner: Option<u32>, leaders: &BTreeMap<i32, u32>) -> u32 {
        if owner.is_some() && self.is_alone(owner) {
            return self.kill_everybody();
        }
        let stopped = self.stop_all_of(owner, leaders);
        for pid in &stopped {
            self.kill(*pid);
        }
        stopped.len() as u32
    }

    /// Whether all that the last census saw belongs to one command. What belongs to none may be a
    /// server that an earlier command has left.
    fn is_alone(&self, owner: Option<u32>) -> bool {
        self.seen.iter().all(|process| process.owner == owner)
    }

    /// At one blow, so that nobody can start others meanwhile. Returns how many that are.
    fn kill_everybody(&mut self) -> u32 {
        let count = self.census.count().saturating_sub(1);
        // Everything of this pid namespace but PID 1.
        send(-1, libc::SIGKILL);
        self.doomed
            .extend(self.seen.iter().map(|process| process.pid));
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Stops them until no new ones appear, because what runs could start others meanwhile.
    fn stop_all_of(&mut self, owner: Option<u32>, leaders: &BTreeMap<i32, u32>) -> BTreeSet<i32> {
        let mut stopped = BTreeSet::new();
        loop {
            let new: Vec<i32> = self
                .seen
                .iter()
                .map(|process| process.pid)
                .filter(|pid| self.homes.get(pid).copied() == owner && !stopped.contains(pid))
                .collect();
            if new.is_empty() {
                return stopped;
            }
            for pid in new {
                send(pid, libc::SIGSTOP);
                stopped.insert(pid);
            }
            self.sight(leaders);
        }
    }
}
