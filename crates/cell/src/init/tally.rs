//! Counting the files that were made in directories since a time, a piece at a time: a tree may hold
//! millions, and the loop that counts has other things to do.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, StatxFlags};
use rustix::io::Errno;

/// Entries looked at in one piece: some milliseconds.
const PIECE: u32 = 4000;
const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

pub(super) struct Tally {
    /// Directories to look into.
    left: Vec<Place>,
    /// In the middle of one.
    open: Option<Open>,
    /// Seconds since the epoch.
    since: i64,
    count: u64,
}

/// A directory by its name in another: paths have a greatest length, trees have none.
struct Place {
    /// None for the trees themselves.
    parent: Option<Rc<OwnedFd>>,
    name: CString,
}

struct Open {
    directory: Rc<OwnedFd>,
    entries: Dir,
    /// Entries came or went since then; else none of them is new, whatever lies below.
    changed: bool,
}

/// What a directory is that can't be looked into.
enum Closed {
    /// Gone, or as closed to the cell: nothing in it is the cell's.
    Foreign,
    /// The cell may have filled it, and nobody can tell how much.
    Uncountable,
}

impl Tally {
    pub(super) fn new(trees: &[PathBuf], since: i64) -> Self {
        let place = |tree: &PathBuf| {
            Some(Place {
                parent: None,
                name: CString::new(tree.as_os_str().as_bytes()).ok()?,
            })
        };
        Self {
            left: trees.iter().filter_map(place).collect(),
            open: None,
            since,
            count: 0,
        }
    }

    /// Counts on. The number once everything is counted; more than any limit when something that
    /// the cell may have filled can't be.
    pub(super) fn go_on(&mut self) -> Option<u64> {
        for _ in 0..PIECE {
            let Some(open) = &mut self.open else {
                let Some(place) = self.left.pop() else {
                    return Some(self.count);
                };
                match Open::new(&place, self.since) {
                    Ok(open) => self.open = Some(open),
                    Err(Closed::Foreign) => {}
                    Err(Closed::Uncountable) => return Some(u64::MAX),
                }
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
            if open.changed && open.is_new(name, self.since) {
                self.count += 1;
            }
            if entry.file_type() == FileType::Directory {
                self.left.push(Place {
                    parent: Some(Rc::clone(&open.directory)),
                    name: name.to_owned(),
                });
            }
        }
        None
    }
}

impl Place {
    fn open(&self, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let parent = self.parent.as_ref().map_or(CWD, |parent| parent.as_fd());
        rustix::fs::openat(parent, &self.name, flags | DIRECTORY, Mode::empty())
    }

    /// Opens it to be listed and searched, with its state before.
    fn list(&self, since: i64) -> Result<(OwnedFd, Stat), Closed> {
        match self.open(OFlags::RDONLY) {
            Ok(directory) => {
                let stat = rustix::fs::fstat(&directory).map_err(|_| Closed::Foreign)?;
                if is_searchable(&directory) {
                    return Ok((directory, stat));
                }
            }
            Err(Errno::ACCESS) => {}
            Err(error) => return Err(closed(error)),
        }
        self.unlock(since)
    }

    /// The same for one whose mode keeps even its owner out. The cell may have filled it first, so
    /// the mode is changed, as the cell itself could.
    fn unlock(&self, since: i64) -> Result<(OwnedFd, Stat), Closed> {
        let place = self.open(OFlags::PATH).map_err(closed)?;
        let stat = rustix::fs::fstat(&place).map_err(closed)?;
        if stat.st_ctime < since {
            // Closed before the cell began, and since.
            return Err(Closed::Foreign);
        }
        // A descriptor of a mere place is changed through its name only.
        let name = format!("/proc/self/fd/{}", place.as_raw_fd());
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            let writable = rustix::fs::access(&name, rustix::fs::Access::WRITE_OK).is_ok();
            return Err(if writable {
                Closed::Uncountable
            } else {
                Closed::Foreign
            });
        }
        let mode = Mode::from_raw_mode(stat.st_mode) & (Mode::RWXU | Mode::RWXG | Mode::RWXO);
        rustix::fs::chmod(&name, mode | Mode::RUSR | Mode::XUSR).map_err(closed)?;
        let flags = OFlags::RDONLY | DIRECTORY;
        let directory = rustix::fs::openat(&place, ".", flags, Mode::empty()).map_err(closed)?;
        Ok((directory, stat))
    }
}

/// What an error says of a directory that is, or was, there.
fn closed(error: Errno) -> Closed {
    match error {
        // Closed again meanwhile.
        Errno::ACCESS | Errno::PERM => Closed::Uncountable,
        // Too deep for the number of descriptors.
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => Closed::Uncountable,
        // Gone, or something whose file system doesn't answer.
        _ => Closed::Foreign,
    }
}

fn is_searchable(directory: &OwnedFd) -> bool {
    rustix::fs::accessat(directory, ".", rustix::fs::Access::EXISTS, AtFlags::empty()).is_ok()
}

impl Open {
    fn new(place: &Place, since: i64) -> Result<Self, Closed> {
        let (directory, stat) = place.list(since)?;
        let entries = Dir::read_from(&directory).map_err(closed)?;
        Ok(Self {
            directory: Rc::new(directory),
            entries,
            // The change time, unlike others, can't be set.
            changed: stat.st_ctime >= since,
        })
    }

    fn is_new(&self, name: &CStr, since: i64) -> bool {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let wanted = StatxFlags::BTIME | StatxFlags::CTIME;
        match rustix::fs::statx(&self.directory, name, flags, wanted) {
            Ok(stat) => {
                let birth = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
                let time = if birth {
                    stat.stx_btime
                } else {
                    stat.stx_ctime
                };
                time.tv_sec >= since
            }
            // Closed again meanwhile: in a changed directory it may well be.
            Err(error) => error == Errno::ACCESS,
        }
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
