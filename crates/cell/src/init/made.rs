//! Files made by the cell: noticed by the file systems' own count of free ones, which others change
//! too, and then counted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::tally::Tally;

pub(super) struct Made {
    trees: Vec<PathBuf>,
    most: u64,
    /// Free files of each file system (by its number) at the start.
    start: BTreeMap<u64, u64>,
    since: i64,
    tally: Option<Tally>,
    /// How many fewer must be free for the next count.
    next: u64,
    over: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Rest,
    /// Look again soon: a count is under way.
    Count,
    /// Too many, and more since the last time.
    Stop,
}

impl Made {
    pub(super) fn new(trees: Vec<PathBuf>, most: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            start: free(&trees),
            trees,
            most,
            since: now.map_or(0, |now| now.as_secs() as i64),
            tally: None,
            next: most / 2,
            over: false,
        }
    }

    pub(super) fn look(&mut self) -> Next {
        if let Some(tally) = &mut self.tally {
            let Some(count) = tally.go_on() else {
                return Next::Count;
            };
            self.tally = None;
            self.over = count > self.most;
            let apart = self.most.saturating_sub(count) / 2;
            self.next = self
                .grown()
                .saturating_add(apart.max(self.most / 64).max(64));
            return if self.over { Next::Stop } else { Next::Rest };
        }
        let grown = self.grown();
        if grown <= self.next {
            return Next::Rest;
        }
        if self.over {
            self.next = grown.saturating_add(self.most / 64 + 64);
            return Next::Stop;
        }
        self.tally = Some(Tally::new(&self.trees, self.since));
        Next::Count
    }

    /// How many fewer files are free than at the start.
    fn grown(&self) -> u64 {
        let now = free(&self.trees);
        let fewer = self.start.iter().map(|(id, start)| {
            let now = now.get(id).copied().unwrap_or(*start);
            start.saturating_sub(now)
        });
        fewer.sum()
    }
}

/// Free files of the file systems that count them.
fn free(trees: &[PathBuf]) -> BTreeMap<u64, u64> {
    let stats = trees
        .iter()
        .filter_map(|tree| rustix::fs::statvfs(tree).ok());
    stats
        .filter(|stat| stat.f_files > 0)
        .map(|stat| (stat.f_fsid, stat.f_ffree))
        .collect()
}
