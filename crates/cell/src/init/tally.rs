//! Counting the files that were made in directories since a time, a piece at a time: a tree may hold
//! millions, and the loop that counts has other things to do.

use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, StatxFlags};

/// Entries looked at in one piece: some milliseconds.
const PIECE: u32 = 4000;

pub(super) struct Tally {
    /// Directories to look into.
    left: Vec<PathBuf>,
    /// In the middle of one.
    open: Option<Open>,
    /// Seconds since the epoch.
    since: i64,
    count: u64,
}

struct Open {
    path: PathBuf,
    entries: Dir,
    /// Entries came or went since then; else none of them is new, whatever lies below.
    changed: bool,
}

impl Tally {
    pub(super) fn new(trees: &[PathBuf], since: i64) -> Self {
        Self {
            left: trees.to_vec(),
            open: None,
            since,
            count: 0,
        }
    }

    /// Counts on. The number once everything is counted.
    pub(super) fn go_on(&mut self) -> Option<u64> {
        for _ in 0..PIECE {
            let Some(open) = &mut self.open else {
                let path = self.left.pop();
                let Some(path) = path else {
                    return Some(self.count);
                };
                self.open = Open::new(path, self.since);
                continue;
            };
            let Some(Ok(entry)) = open.entries.next() else {
                self.open = None;
                continue;
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let directory = entry.file_type() == FileType::Directory;
            if open.changed && open.is_new(name, self.since) {
                self.count += 1;
            }
            if directory {
                use std::os::unix::ffi::OsStrExt;
                self.left
                    .push(open.path.join(std::ffi::OsStr::from_bytes(name.to_bytes())));
            }
        }
        None
    }
}

impl Open {
    /// None for what is no directory any more, or can't be read.
    fn new(path: PathBuf, since: i64) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&path, flags, Mode::empty()).ok()?;
        // The change time, unlike others, can't be set.
        let changed = rustix::fs::fstat(&directory).is_ok_and(|stat| stat.st_ctime >= since);
        let entries = Dir::new(directory).ok()?;
        Some(Self {
            path,
            entries,
            changed,
        })
    }

    fn is_new(&self, name: &std::ffi::CStr, since: i64) -> bool {
        let Ok(directory) = self.entries.fd() else {
            return false;
        };
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let wanted = StatxFlags::BTIME | StatxFlags::CTIME;
        rustix::fs::statx(directory.as_fd(), name, flags, wanted).is_ok_and(|stat| {
            let birth = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
            let time = if birth {
                stat.stx_btime
            } else {
                stat.stx_ctime
            };
            time.tv_sec >= since
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(tally: &mut Tally) -> u64 {
        for _ in 0..1000 {
            if let Some(count) = tally.go_on() {
                return count;
            }
        }
        panic!("counts for ever");
    }

    #[test]
    fn files_and_directories_are_counted_everywhere_and_links_not_followed() {
        let tree = tempfile::tempdir().unwrap();
        let deep = tree.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        for i in 0..5000 {
            std::fs::write(deep.join(i.to_string()), "").unwrap();
        }
        std::os::unix::fs::symlink("/", tree.path().join("all")).unwrap();
        let trees = [tree.path().to_owned(), "/nonexistent".into()];
        assert_eq!(counted(&mut Tally::new(&trees, 0)), 5003);
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
        let later = later
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs() as i64;
        assert_eq!(counted(&mut Tally::new(&trees, later)), 0);
    }
}
