//! Processors: work that has had much of them gives way to what has just begun, in this cell and
//! in others. It loses nothing where nobody else wants them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::census::Census;
use super::super::class;
use super::Watch;

/// What a command may use, in microseconds, before it gives way.
const MUCH: u64 = 500_000;
/// A command of more processes than this is left as it is: the limit on processes ends it soon, and
/// one of thousands that waits for its turn may hold a lock of the kernel that all wait for.
const CROWD: usize = 512;
/// How often in a row processes are looked for that started meanwhile; those of processes that
/// give way do as well.
const PASSES: u32 = 3;

/// What commands have used of processors, in microseconds.
#[derive(Default)]
pub(super) struct Spent {
    /// By processes that are gone.
    gone: BTreeMap<u32, u64>,
    /// By all, at the last look.
    before: BTreeMap<u32, u64>,
    /// By processes that PID 1 reaped and nobody knew.
    nobody: u64,
    /// The commands that give way.
    yielding: BTreeSet<u32>,
    /// The sessions that do.
    sessions: BTreeSet<i32>,
}

impl Watch {
    /// A process of a command, if it is known which, has ended after so many microseconds of work,
    /// its reaped children's included.
    pub(in super::super) fn reaped(&mut self, pid: i32, owner: Option<u32>, micros: u64) {
        match owner.or_else(|| self.homes.get(&pid).copied()) {
            Some(id) => *self.spent.gone.entry(id).or_default() += micros,
            None => self.spent.nobody += micros,
        }
    }

    /// Makes commands give way that have had much, after a census.
    pub(super) fn look_at_processors(&mut self, leaders: &BTreeMap<i32, u32>) {
        self.count_spent(leaders);
        for _ in 0..PASSES {
            if !self.lower() {
                return;
            }
            self.sight(leaders);
        }
    }

    fn count_spent(&mut self, leaders: &BTreeMap<i32, u32>) {
        let mut living: BTreeMap<u32, u64> = leaders.values().map(|id| (*id, 0)).collect();
        for process in &self.seen {
            if let Some(id) = process.owner {
                *living.entry(id).or_default() += process.worked;
            }
        }
        let spent = &mut self.spent;
        // Whose it was can't be told any more, so it is everybody's who runs.
        let nobody = std::mem::take(&mut spent.nobody);
        for id in leaders.values() {
            *spent.gone.entry(*id).or_default() += nobody;
        }
        spent.gone.retain(|id, _| living.contains_key(id));
        spent.before.retain(|id, _| living.contains_key(id));
        spent.yielding.retain(|id| living.contains_key(id));
        for (id, living) in living {
            let gone = spent.gone.entry(id).or_default();
            let before = spent.before.entry(id).or_default();
            // Who ignores its children's ends loses their accounts.
            *gone += before.saturating_sub(living + *gone);
            *before = living + *gone;
            if *before >= MUCH {
                spent.yielding.insert(id);
            }
        }
    }

    /// Lowers all processes of the commands that give way. Whether any was not lowered before.
    fn lower(&mut self) -> bool {
        let spent = &mut self.spent;
        let mut some = false;
        let mut sessions = BTreeSet::new();
        let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
        for id in self.seen.iter().filter_map(|process| process.owner) {
            *sizes.entry(id).or_default() += 1;
        }
        sizes.retain(|id, size| spent.yielding.contains(id) && *size <= CROWD);
        let yields = |id: Option<u32>| id.is_some_and(|id| sizes.contains_key(&id));
        for process in self.seen.iter().filter(|process| yields(process.owner)) {
            for thread in threads(&self.census, process.pid, process.threads) {
                some |= class::lower(thread);
            }
            let session = process.session;
            if spent.sessions.contains(&session) || class::lower_session(process.pid) {
                sessions.insert(session);
            }
        }
        // Those that are gone are forgotten: their numbers are used again.
        spent.sessions = sessions;
        some
    }
}

fn threads(census: &Census, pid: i32, count: u64) -> Vec<i32> {
    if count == 1 {
        vec![pid]
    } else {
        census.threads(pid)
    }
}
