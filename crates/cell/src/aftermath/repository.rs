//! Disarms one repository: its directory is open, and nothing in it is followed.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid};

use super::{config, set_aside};

/// What makes git run programs wherever it stands: another configuration, a to-do list with
/// commands in it.
const ASIDE: [&str; 2] = ["config.worktree", "rebase-merge"];
/// Longest configuration that is read; a longer one is set aside whole.
const MOST: u64 = 256 << 10;

/// Leaves a repository without what makes git run programs. What can't be changed stays: then the
/// tree is not writable for the user either.
pub(super) fn disarm(git: &OwnedFd) {
    let Ok(stat) = rustix::fs::fstat(git) else {
        return;
    };
    if stat.st_mode & 0o300 != 0o300 {
        let _ = rustix::fs::fchmod(git, Mode::from_raw_mode(stat.st_mode | 0o700));
    }
    let owner = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    let mut disarmed = true;
    for name in ASIDE {
        disarmed &= set_aside(git, name);
    }
    if has_hooks(git) {
        disarmed &= set_aside(git, "hooks");
    }
    let text = small_file(git, "config");
    let kept = config::plain_part(text.as_deref().unwrap_or_default());
    let exists = rustix::fs::statat(git, "config", AtFlags::SYMLINK_NOFOLLOW).is_ok();
    if exists && text.as_deref() != Some(kept.as_str()) {
        disarmed &= set_aside(git, "config");
        write(git, &kept, owner);
    }
    if !disarmed {
        shut(git);
    }
}

/// Makes a repository that can't be disarmed one that git doesn't read.
pub(super) fn shut(git: &OwnedFd) {
    set_aside(git, "HEAD");
    let _ = rustix::fs::fchmod(git, Mode::empty());
}

/// Whether a repository has anything in place of hooks but examples.
fn has_hooks(git: &OwnedFd) -> bool {
    let Ok(stat) = rustix::fs::statat(git, "hooks", AtFlags::SYMLINK_NOFOLLOW) else {
        return false;
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let entries = rustix::fs::openat(git, "hooks", flags, Mode::empty()).and_then(Dir::new);
    let Ok(entries) = entries else {
        // A link, a file, or closed.
        return FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name().to_bytes();
        name != b"." && name != b".." && !name.ends_with(b".sample")
    })
}

/// The text of a plain file that is no longer than such a file ever is.
pub(super) fn small_file(directory: &OwnedFd, name: &str) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, name, flags, Mode::empty()).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_size as u64 > MOST
    {
        return None;
    }
    let mut text = String::new();
    std::fs::File::from(file)
        .take(MOST)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

fn write(git: &OwnedFd, text: &str, owner: (Uid, Gid)) {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::openat(git, "config", flags, Mode::from(0o644)) else {
        return;
    };
    // Only root can, and only root needs to: the file is the user's already otherwise.
    let _ = rustix::fs::fchown(&file, Some(owner.0), Some(owner.1));
    let _ = std::fs::File::from(file).write_all(text.as_bytes());
}
