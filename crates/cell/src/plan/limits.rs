//! The limits of a cell on this machine.

use std::path::PathBuf;
use std::time::Duration;

use crate::spec::Limits;
use crate::wire;

/// What a machine that doesn't tell its memory is taken to have.
const UNKNOWN_MEMORY: u64 = 4 << 30;

/// Decides what is left open. `trees` are the writable directories.
pub(super) fn decide(limits: &Limits, trees: Vec<PathBuf>) -> wire::Limits {
    let machine = machine_memory().unwrap_or(UNKNOWN_MEMORY);
    let memory = limits.memory.unwrap_or(machine / 4 * 3);
    let millis = |time: Option<Duration>| {
        time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    };
    wire::Limits {
        memory,
        millicores: limits.millicores,
        processes: limits.processes,
        open_files: limits.open_files,
        disk_bytes: limits.disk_bytes,
        disk_reserve: limits.disk_reserve,
        files: limits.files,
        output_bytes: limits.output_bytes,
        output_rate: limits.output_rate.max(1),
        command_time: millis(limits.command_time),
        cell_time: millis(limits.cell_time),
        // Memory that no kill gives back: it must leave room for processes.
        scratch_bytes: limits.scratch_bytes.min(memory / 2),
        scratch_inodes: limits.scratch_inodes,
        trees,
        cgroup: wire::Cgroup::default(),
    }
}

/// Bytes of memory of the machine.
fn machine_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}
