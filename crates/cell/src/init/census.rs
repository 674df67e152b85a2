//! Who is there: the processes of the cell and what they hold, read from a /proc of PID 1's own.
//!
//! In the cell's /proc, whoever may not be traced is not seen by PID 1 either. Here such a process
//! is listed, with what everybody may read of it: all but `io` and `smaps_rollup`.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;

/// A list of groups makes `status` long, but not this long.
const LONGEST: usize = 1 << 20;

/// One process at the time of a look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) session: i32,
    pub(super) threads: u64,
    /// Bytes of memory: its own, swapped, and shared memory that it has mapped.
    pub(super) memory: u64,
    /// Bytes it has caused to be written to disk, with those of its reaped children.
    pub(super) written: Written,
    pub(super) name: String,
    /// The command that it belongs to.
    pub(super) owner: Option<u32>,
}

/// An account of bytes written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Written {
    Known(u64),
    /// Not to be read by us: the process may not be traced.
    Hidden,
    /// It has ended meanwhile.
    #[default]
    Gone,
}

/// A /proc of the cell's processes.
pub(super) struct Census {
    proc: OwnedFd,
    buffer: Vec<u8>,
}

impl Census {
    /// `mount` is the mount itself, which can't be listed before it is opened.
    pub(super) fn open(mount: &OwnedFd) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::openat(mount, ".", flags, Mode::empty()).ok()?;
        let buffer = vec![0; 4096];
        Some(Self { proc, buffer })
    }

    /// All processes but PID 1 and zombies.
    pub(super) fn take(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        let Ok(entries) = Dir::read_from(&self.proc) else {
            return seen;
        };
        for entry in entries.flatten() {
            let pid = entry
                .file_name()
                .to_str()
                .ok()
                .and_then(|name| name.parse().ok());
            let Some(pid) = pid.filter(|pid| *pid > 1) else {
                continue;
            };
            // Whoever ends meanwhile is not there.
            let Some(mut process) = self
                .read(pid, "status")
                .ok()
                .and_then(|text| status(&String::from_utf8_lossy(text)))
            else {
                continue;
            };
            process.pid = pid;
            process.written = match self.read(pid, "io").map(written) {
                Ok(bytes) => bytes.map_or(Written::Gone, Written::Known),
                Err(Errno::ACCESS | Errno::PERM) => Written::Hidden,
                Err(_) => Written::Gone,
            };
            seen.push(process);
        }
        seen
    }

    /// Bytes of memory of a process, shared pages counted in parts.
    pub(super) fn proportional(&mut self, pid: i32) -> Option<u64> {
        let text = String::from_utf8_lossy(self.read(pid, "smaps_rollup").ok()?).into_owned();
        let parts = ["Pss_Anon:", "Pss_Shmem:", "SwapPss:"];
        let parts = parts.map(|key| kilobytes(&text, key));
        Some(parts.into_iter().flatten().sum())
    }

    /// Clock ticks that the kernel has worked for a process and its reaped children.
    pub(super) fn kernel_time(&mut self, pid: i32) -> Option<u64> {
        let text = String::from_utf8_lossy(self.read(pid, "stat").ok()?).into_owned();
        // The name may hold anything, but not after the last parenthesis.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let of = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(of(12)? + of(14)?)
    }

    fn read(&mut self, pid: i32, file: &str) -> rustix::io::Result<&[u8]> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let path = format!("{pid}/{file}");
        let file = rustix::fs::openat(self.proc.as_fd(), path, flags, Mode::empty())?;
        let mut length = 0;
        loop {
            let n = rustix::io::read(&file, &mut self.buffer[length..])?;
            length += n;
            // A file of /proc fills the buffer unless it ends.
            if length < self.buffer.len() || length >= LONGEST {
                return Ok(&self.buffer[..length]);
            }
            self.buffer.resize((length * 4).min(LONGEST), 0);
        }
    }
}

/// What a file `io` of /proc says was written to disk.
pub(super) fn written(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    field(text, "write_bytes:")?.parse().ok()
}

/// A number that a line of a file of counters begins with a word for; reads the file again.
pub(super) fn counter(file: &File, word: &str) -> Option<u64> {
    let mut buffer = [0; 1024];
    let n = rustix::io::pread(file, &mut buffer, 0).ok()?;
    let text = std::str::from_utf8(&buffer[..n]).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(word)?.strip_prefix(' '))?
        .trim()
        .parse()
        .ok()
}

/// Reads `status`; None for one that has ended.
fn status(text: &str) -> Option<Seen> {
    if matches!(field(text, "State:")?.as_bytes().first(), Some(b'Z' | b'X')) {
        return None;
    }
    let memory = ["RssAnon:", "RssShmem:", "VmSwap:"].map(|key| kilobytes(text, key));
    Some(Seen {
        pid: 0,
        parent: field(text, "PPid:")?.parse().ok()?,
        // One number for each pid namespace it is in; the last is ours.
        session: field(text, "NSsid:")?
            .split_whitespace()
            .last()?
            .parse()
            .ok()?,
        threads: field(text, "Threads:")?.parse().ok()?,
        memory: memory.into_iter().flatten().sum(),
        written: Written::Gone,
        name: field(text, "Name:")?.to_owned(),
        owner: None,
    })
}

fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let number: u64 = field(text, key)?.split_whitespace().next()?.parse().ok()?;
    Some(number.saturating_mul(1024))
}

/// The first line's rest that begins with a key. A process' name comes first in `status`, with line
/// breaks escaped, so it can't stand for another line.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(key))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tState:\\nZ\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t7\nPid:\t7\nPPid:\t3\n\
        NSsid:\t900\t5\nRssAnon:\t    100 kB\nRssFile:\t  900 kB\nRssShmem:\t   20 kB\nVmSwap:\t 4 kB\nThreads:\t3\n";

    #[test]
    fn a_status_is_read_and_a_name_cannot_pretend() {
        let expected = Seen {
            pid: 0,
            parent: 3,
            session: 5,
            threads: 3,
            memory: 124 * 1024,
            written: Written::Gone,
            name: "State:\\nZ".into(),
            owner: None,
        };
        assert_eq!(status(STATUS), Some(expected));
        assert_eq!(status(&STATUS.replace("S (sleeping)", "Z (zombie)")), None);
        assert_eq!(status("nonsense"), None);
    }

    #[test]
    fn counters_are_found_by_their_word() {
        use std::io::Write;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"oom 3\noom_kill 2\nmax 5\n").unwrap();
        assert_eq!(counter(&file, "oom_kill"), Some(2));
        assert_eq!(counter(&file, "max"), Some(5));
        assert_eq!(counter(&file, "none"), None);
        assert_eq!(
            written(b"rchar: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 1\n"),
            Some(4096)
        );
    }
}
