//! What the cell has taken, read from /proc and from what the kernel counted for reaped children.

use std::fs;
use std::time::Instant;

use crate::wire::StatsReply;

/// Counts everything now. One small read per process and figure.
pub(super) fn count(commands: u32, direct: bool, since: Instant) -> StatsReply {
    let own = std::process::id() as i32;
    let processes = if direct {
        super::family::descendants()
    } else {
        all_but(own)
    };
    let resident = resident(own);
    let (own_cpu, own_written) = usage(libc::RUSAGE_SELF);
    let (reaped_cpu, reaped_written) = usage(libc::RUSAGE_CHILDREN);
    let mut stats = StatsReply {
        commands,
        processes: u32::try_from(processes.len()).unwrap_or(u32::MAX),
        memory: resident,
        resident,
        cpu_ms: own_cpu + reaped_cpu,
        written: own_written + reaped_written,
        uptime_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    for pid in processes {
        stats.memory += self::resident(pid);
        stats.cpu_ms += cpu_ms(pid);
        stats.written += written(pid);
    }
    stats
}

/// Every process of this pid namespace but one.
fn all_but(own: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != own)
        .collect()
}

/// Processor time in milliseconds and bytes written, of this process or of its reaped children.
fn usage(whose: libc::c_int) -> (u64, u64) {
    // SAFETY: an all-zero rusage is valid: it holds numbers only.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a valid place for the result.
    if unsafe { libc::getrusage(whose, &mut usage) } != 0 {
        return (0, 0);
    }
    let blocks = u64::try_from(usage.ru_oublock).unwrap_or(0);
    // The kernel's unit, whatever the disk's is.
    (worked(&usage) / 1000, blocks * 512)
}

/// Microseconds of processor time that a usage tells.
pub(super) fn worked(usage: &libc::rusage) -> u64 {
    let micros = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    u64::try_from(micros(usage.ru_utime) + micros(usage.ru_stime)).unwrap_or(0)
}

/// Resident bytes of a process; zero when it has gone or /proc can't tell.
fn resident(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = text
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse::<u64>().ok());
    pages.unwrap_or(0) * system(libc::_SC_PAGESIZE)
}

/// Processor time of a process and of the children that it has reaped.
fn cpu_ms(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before may hold anything, also parentheses and spaces.
    let Some((_, fields)) = text.rsplit_once(')') else {
        return 0;
    };
    // Fields 14 to 17 of the line; the third is the first one here.
    let times = fields.split_whitespace().skip(11).take(4);
    let ticks: u64 = times.filter_map(|time| time.parse::<u64>().ok()).sum();
    ticks.saturating_mul(1000) / system(libc::_SC_CLK_TCK).max(1)
}

/// A constant of this system.
pub(super) fn system(name: libc::c_int) -> u64 {
    // SAFETY: takes a number and returns one.
    u64::try_from(unsafe { libc::sysconf(name) }).unwrap_or(0)
}

/// Bytes that a process has sent to storage; zero where that is not ours to read.
fn written(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}
