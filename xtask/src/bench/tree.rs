//! The process tree below this process, and its memory.

use std::collections::HashMap;
use std::fs;

/// Memory of the whole tree, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// Pages in memory, shared ones counted in every process that has them.
    pub(super) rss: f64,
    /// The same with shared pages divided among those who share them.
    pub(super) pss: f64,
    pub(super) processes: usize,
}

impl Memory {
    /// The larger of each.
    pub(super) fn or_more(self, other: Self) -> Self {
        Self {
            rss: self.rss.max(other.rss),
            pss: self.pss.max(other.pss),
            processes: self.processes.max(other.processes),
        }
    }
}

/// This process. Orphans are below it too, for it adopts them.
pub(super) fn own() -> i32 {
    i32::try_from(std::process::id()).unwrap_or_default()
}

/// All processes below one.
pub(super) fn descendants(root: i32) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for pid in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = pid.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some((pid, parent)) = pid.and_then(|pid| Some((pid, parent(pid)?))) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = children.remove(&root).unwrap_or_default();
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(children.remove(&pid).unwrap_or_default());
        next += 1;
    }
    found
}

/// RSS and PSS of processes now. PSS makes the kernel walk all pages, which takes a while.
pub(super) fn memory(of: &[i32]) -> Memory {
    let mut sum = Memory::default();
    for pid in of {
        // Gone in the meantime, or a zombie: neither has memory.
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else {
            continue;
        };
        sum.rss += field(&text, "Rss:");
        sum.pss += field(&text, "Pss:");
        sum.processes += 1;
    }
    sum
}

/// RSS of the tree now, without the walk.
pub(super) fn rss() -> f64 {
    descendants(own())
        .iter()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok())
        .map(|text| field(&text, "VmRSS:"))
        .sum()
}

fn parent(pid: i32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, brackets and spaces too.
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

fn field(text: &str, name: &str) -> f64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kilobytes| kilobytes.parse::<f64>().ok())
        .map_or(0.0, |kilobytes| kilobytes * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_are_in_bytes_and_similar_names_are_not_taken() {
        let text = "Rss:      12 kB\nPss:       7 kB\nPss_Dirty: 3 kB\n";
        assert_eq!(field(text, "Pss:"), 7.0 * 1024.0);
        assert_eq!(field(text, "Swap:"), 0.0);
    }
}
