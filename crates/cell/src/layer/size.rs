//! How much was written into a layer.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};

use super::WORK;

/// Directories open at a time; what lies deeper is not counted.
const DEEPEST: usize = 100;

/// What a layer takes up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerSize {
    /// Bytes on disk.
    pub bytes: u64,
    /// Files and directories.
    pub files: u64,
    /// Whether that is all; else it is more.
    pub complete: bool,
}

pub(super) fn measure(path: &Path, most: u64) -> io::Result<LayerSize> {
    let top = open(CWD, path)?;
    let mut size = LayerSize {
        complete: true,
        ..LayerSize::default()
    };
    let mut levels = vec![(Dir::read_from(&top)?, top)];
    loop {
        let levels_above = levels.len();
        let Some((entries, directory)) = levels.last_mut() else {
            break;
        };
        let Some(entry) = entries.next() else {
            levels.pop();
            continue;
        };
        let entry = entry?;
        let name = entry.file_name();
        // The kernel's own directory of each part is not what was written.
        let is_work = levels_above == 2 && name.to_bytes() == WORK.as_bytes();
        if name == c"." || name == c".." || is_work {
            continue;
        }
        let Ok(stat) = rustix::fs::statat(&*directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        size.files += 1;
        size.bytes += stat.st_blocks as u64 * 512;
        if size.files >= most {
            size.complete = false;
            break;
        }
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            match open(&*directory, name) {
                Ok(inner) if levels.len() < DEEPEST => {
                    levels.push((Dir::read_from(&inner)?, inner));
                }
                // Closed for us, or too deep.
                _ => size.complete = false,
            }
        }
    }
    Ok(size)
}

fn open<P: rustix::path::Arg>(
    parent: impl std::os::fd::AsFd,
    name: P,
) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}
