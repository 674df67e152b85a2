//! A started program: its end to the microsecond, its CPU, and that it never outlives the measurement.
//!
//! With `interrupt` the only unsafe code of this crate. std can't wait with a time limit and tells no CPU time, and rustix has no `wait4`.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::interrupt;
use crate::bench::tree;

/// How a program ended.
pub(super) struct Ended {
    pub(super) at: Instant,
    /// User and system time of the process and all descendants that were waited for.
    pub(super) cpu: Duration,
    /// As the kernel tells it; 0 when all went well.
    pub(super) status: i32,
}

/// A program that runs. Dropped before its end, it is killed with all that it started.
pub(super) struct Process {
    pid: i32,
    handle: OwnedFd,
    pub(super) started: Instant,
    reaped: bool,
}

impl Process {
    pub(super) fn start(command: &mut Command) -> anyhow::Result<Self> {
        if interrupt::happened() {
            bail!("interrupted");
        }
        let started = Instant::now();
        // Dropping std's handle neither kills nor waits, so that the process is this type's alone.
        let child = command
            .spawn()
            .with_context(|| format!("could not start {}", command.get_program().display()))?;
        let pid = i32::try_from(child.id())?;
        // SAFETY: the call takes two numbers; the child is not waited for yet, so its pid is its own.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = i32::try_from(fd)?;
        if fd < 0 {
            return Err(io::Error::last_os_error()).context("could not open the process");
        }
        // SAFETY: the kernel has just given this descriptor to us, and nobody else knows it.
        let handle = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self {
            pid,
            handle,
            started,
            reaped: false,
        })
    }

    /// Waits at most so long, and says whether it has ended. It stays a zombie until `finish`.
    pub(super) fn has_ended(&self, patience: Duration) -> bool {
        let mut entry = libc::pollfd {
            fd: self.handle.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let patience = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the pointer is to one entry, which is what the count says, and it lives through the call.
        let ready = unsafe { libc::poll(&raw mut entry, 1, patience) };
        ready > 0
    }

    /// Waits for the end, and kills the program when `limit` has passed.
    pub(super) fn finish(mut self, limit: Duration) -> anyhow::Result<Ended> {
        if !self.has_ended(limit) {
            bail!("it has not ended after {} s", limit.as_secs());
        }
        let at = Instant::now();
        let (_, status, cpu) = wait(self.pid, 0).context("could not wait for the process")?;
        self.reaped = true;
        Ok(Ended { at, cpu, status })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.reaped {
            let below = tree::descendants(self.pid);
            // From the top: who is gone can't start another one.
            kill(self.pid);
            below.into_iter().for_each(kill);
            let _ = wait(self.pid, 0);
        }
    }
}

/// Makes this process the parent of orphans, so that nothing a program leaves behind gets lost from sight.
pub(super) fn adopt_orphans() {
    // SAFETY: the call takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
}

/// Waits for the orphans of the last program, kills those that stay, and returns their CPU and how many were killed.
///
/// Only for moments when no program runs: it takes every child of this process.
pub(super) fn sweep() -> (Duration, usize) {
    let mut cpu = Duration::ZERO;
    let mut killed = 0;
    let patience = Instant::now() + Duration::from_millis(500);
    loop {
        while let Some((_, _, more)) = wait(-1, libc::WNOHANG) {
            cpu += more;
        }
        let left = tree::descendants(tree::own());
        if left.is_empty() {
            return (cpu, killed);
        }
        if Instant::now() > patience {
            killed += left.len();
            left.iter().for_each(|&pid| kill(pid));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Kills every program that runs below this process, also one that is being started in this moment.
pub(super) fn kill_all() {
    for _ in 0..5 {
        tree::descendants(tree::own()).into_iter().for_each(kill);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A file for a program's output.
pub(super) fn log(path: &std::path::Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("could not make {}", path.display()))
}

fn kill(pid: i32) {
    // SAFETY: the call takes numbers only. The pid is of a child or descendant that was not waited for.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// `wait4`: the pid, the status, and the CPU time. `None` when there is nobody to wait for.
fn wait(pid: i32, flags: i32) -> Option<(i32, i32, Duration)> {
    let mut status = 0;
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to locals that live through the call.
    let found = unsafe { libc::wait4(pid, &raw mut status, flags, &raw mut usage) };
    let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
    (found > 0).then_some((found, status, cpu))
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let micros = u64::try_from(time.tv_usec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::Process;

    #[test]
    fn the_cpu_of_reaped_descendants_counts() {
        let busy = "bash -c 'i=0; while ((i < 100000)); do ((i += 1)); done'; exit 3";
        let process = Process::start(Command::new("bash").args(["-c", busy])).unwrap();
        let ended = process.finish(Duration::from_secs(60)).unwrap();
        assert!(ended.cpu > Duration::from_millis(20), "{:?}", ended.cpu);
        assert_eq!(ended.status, 3 << 8);
    }

    #[test]
    fn a_program_that_stays_is_ended() {
        let process = Process::start(Command::new("sleep").arg("60")).unwrap();
        let pid = process.pid;
        assert!(process.finish(Duration::from_millis(20)).is_err());
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}
