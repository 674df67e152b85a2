//! The free space of the file systems that a cell writes to: what no process' account hides.

use std::path::{Path, PathBuf};

/// Free bytes for each tree; None where that can't be told.
pub(super) struct Room {
    trees: Vec<PathBuf>,
    start: Vec<Option<u64>>,
    now: Vec<Option<u64>>,
}

impl Room {
    pub(super) fn new(trees: Vec<PathBuf>) -> Self {
        let start: Vec<_> = trees.iter().map(|tree| free(tree)).collect();
        Self {
            trees,
            now: start.clone(),
            start,
        }
    }

    /// Looks again. Returns how much less is free than at the last look.
    pub(super) fn look(&mut self) -> u64 {
        let now = self.trees.iter().map(|tree| free(tree)).collect();
        let before = std::mem::replace(&mut self.now, now);
        self.fallen_since(&before)
    }

    /// What is free where least is.
    pub(super) fn least(&self) -> Option<u64> {
        self.now.iter().flatten().copied().min()
    }

    /// How much less is free than at the start, where that is most.
    pub(super) fn fallen(&self) -> u64 {
        self.fallen_since(&self.start)
    }

    fn fallen_since(&self, before: &[Option<u64>]) -> u64 {
        let pairs = before.iter().zip(&self.now);
        let falls = pairs.filter_map(|(before, now)| Some((*before)?.saturating_sub((*now)?)));
        falls.max().unwrap_or(0)
    }
}

/// Bytes that are free on a directory's file system.
fn free(directory: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(directory).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}
