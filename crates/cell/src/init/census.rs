//! Who is there: the processes of the cell and what they hold, read from a /proc of PID 1's own.
//!
//! In the cell's /proc, whoever may not be traced is not seen by PID 1 either. Here such a process
//! is listed, with what everybody may read of it: all but `io` and `smaps_rollup`.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;

use super::stats;

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
    /// Microseconds that processors have worked for it and its reaped children …
    pub(super) worked: u64,
    /// … and clock ticks of the kernel's part in it.
    pub(super) kernel: u64,
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
    /// Microseconds in a clock tick.
    tick: u64,
    dead: u64,
}

impl Census {
    /// `mount` is the mount itself, which can't be listed before it is opened.
    pub(super) fn open(mount: &OwnedFd) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::openat(mount, ".", flags, Mode::empty()).ok()?;
        Some(Self {
            proc,
            buffer: vec![0; 4096],
            tick: 1_000_000 / stats::system(libc::_SC_CLK_TCK).max(1),
            dead: 0,
        })
    }

    /// All processes but PID 1 and zombies.
    pub(super) fn take(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        self.dead = 0;
        for pid in numbers(&self.proc).filter(|pid| *pid > 1) {
            let status = self.read(pid, "status").map(String::from_utf8_lossy);
            match status.ok().and_then(|text| status_of(&text)) {
                Some(State::Alive(mut process)) => {
                    process.pid = pid;
                    self.complete(&mut process);
                    seen.push(process);
                }
                Some(State::Dead) => self.dead += 1,
                // Whoever ends meanwhile is not there.
                None => {}
            }
        }
        seen
    }

    /// How many were zombies at the last census.
    pub(super) fn dead(&self) -> u64 {
        self.dead
    }

    /// How many processes there are, zombies included.
    pub(super) fn count(&self) -> u64 {
        numbers(&self.proc).count() as u64
    }

    /// The threads of a process.
    pub(super) fn threads(&self, pid: i32) -> Vec<i32> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let tasks = rustix::fs::openat(&self.proc, format!("{pid}/task"), flags, Mode::empty());
        tasks.map_or_else(|_| Vec::new(), |tasks| numbers(&tasks).collect())
    }

    /// Reads what `status` doesn't tell.
    fn complete(&mut self, process: &mut Seen) {
        process.written = match self.read(process.pid, "io").map(written) {
            Ok(bytes) => bytes.map_or(Written::Gone, Written::Known),
            Err(Errno::ACCESS | Errno::PERM) => Written::Hidden,
            Err(_) => Written::Gone,
        };
        let Some([user, kernel, user_children, kernel_children]) = self.ticks(process.pid) else {
            return;
        };
        process.kernel = kernel + kernel_children;
        let own = match user + kernel {
            // Less than a tick: there may be many such.
            0 => self.nanoseconds(process.pid).unwrap_or(0) / 1000,
            ticks => ticks * self.tick,
        };
        process.worked = own + (user_children + kernel_children) * self.tick;
    }

    /// Bytes of memory of a process, shared pages counted in parts.
    pub(super) fn proportional(&mut self, pid: i32) -> Option<u64> {
        let text = String::from_utf8_lossy(self.read(pid, "smaps_rollup").ok()?).into_owned();
        let parts = ["Pss_Anon:", "Pss_Shmem:", "SwapPss:"];
        let parts = parts.map(|key| kilobytes(&text, key));
        Some(parts.into_iter().flatten().sum())
    }

    /// Clock ticks that a process has worked, and the kernel for it; the same of its reaped children.
    fn ticks(&mut self, pid: i32) -> Option<[u64; 4]> {
        let text = String::from_utf8_lossy(self.read(pid, "stat").ok()?);
        // The name may hold anything, but not after the last parenthesis.
        let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut next = || fields.next()?.parse().ok();
        Some([next()?, next()?, next()?, next()?])
    }

    /// Nanoseconds that a process' first thread has worked.
    fn nanoseconds(&mut self, pid: i32) -> Option<u64> {
        let text = String::from_utf8_lossy(self.read(pid, "schedstat").ok()?);
        text.split_whitespace().next()?.parse().ok()
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

/// What a file `status` tells of.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Alive(Seen),
    /// It has ended, and nobody has asked how.
    Dead,
}

/// The names of a directory that are numbers.
fn numbers(directory: &OwnedFd) -> impl Iterator<Item = i32> + use<> {
    let entries = Dir::read_from(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str().ok()?.parse().ok())
}

/// Reads `status`.
fn status_of(text: &str) -> Option<State> {
    if matches!(field(text, "State:")?.as_bytes().first(), Some(b'Z' | b'X')) {
        return Some(State::Dead);
    }
    let memory = ["RssAnon:", "RssShmem:", "VmSwap:"].map(|key| kilobytes(text, key));
    Some(State::Alive(Seen {
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
        worked: 0,
        kernel: 0,
        name: field(text, "Name:")?.to_owned(),
        owner: None,
    }))
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
            worked: 0,
            kernel: 0,
            name: "State:\\nZ".into(),
            owner: None,
        };
        assert_eq!(status_of(STATUS), Some(State::Alive(expected)));
        let dead = STATUS.replace("S (sleeping)", "Z (zombie)");
        assert_eq!(status_of(&dead), Some(State::Dead));
        assert_eq!(status_of("nonsense"), None);
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
