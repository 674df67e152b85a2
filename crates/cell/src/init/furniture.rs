//! What every cell has: devices, terminals, scratch places, /proc.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode};
use rustix::mount::UnmountFlags;

use super::mounts::Masks;
use super::tree::{
    READ_ONLY, TAME, attach, clone_tree, cover, filesystem, open_beneath, set_attributes,
};
use super::{Failed, Step};
use crate::wire::Setup;

/// What every cell hides of /proc: files, then directories that stay readable but not writable.
const PROC_MASKED: [&str; 13] = [
    "acpi",
    "asound",
    "interrupts",
    "latency_stats",
    "scsi",
    "kcore",
    "keys",
    "key-users",
    "sysrq-trigger",
    "timer_list",
    "kallsyms",
    "kmsg",
    "sched_debug",
];

const PROC_READ_ONLY: [&str; 4] = ["sys", "irq", "bus", "fs"];

/// The device nodes every program expects, as detached copies of the host's.
pub(super) fn devices() -> Result<Vec<(&'static str, OwnedFd)>, Failed> {
    let mut devices = Vec::new();
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let place = open_beneath(CWD, &Path::new("/dev").join(name)).step("open a device")?;
        let tree = clone_tree(place.as_fd()).step("bind a device")?;
        set_attributes(&tree, "", libc::AT_EMPTY_PATH, |attr| {
            attr.attr_set = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC;
        })
        .step("restrict a device")?;
        devices.push((name, tree));
    }
    Ok(devices)
}

pub(super) fn attach_devices(
    root: BorrowedFd<'_>,
    devices: Vec<(&str, OwnedFd)>,
) -> Result<(), Failed> {
    for (name, tree) in devices {
        attach(root, &Path::new("/dev").join(name), tree.as_fd(), false)?;
    }
    // Terminals belong to whoever opens them.
    let pts = filesystem(
        "devpts",
        &[("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0600")],
        libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC,
    )?;
    attach(root, Path::new("/dev/pts"), pts.as_fd(), true)?;
    for (name, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        rustix::fs::symlinkat(target, root, format!("dev/{name}")).step("link a device")?;
    }
    Ok(())
}

/// Where the whole scratch is while the cell is built.
const WHOLE: &str = ".scratch";

/// The places that a cell may write besides its trees; nothing of them outlives it. They are parts
/// of one file system, so that the limits hold for all of them together.
///
/// Gives the whole, which stays attached until [`hide_scratch`].
pub(super) fn scratch(root: BorrowedFd<'_>, setup: &Setup) -> Result<OwnedFd, Failed> {
    let step = "make a scratch directory";
    let size = setup.limits.scratch_bytes.to_string();
    let inodes = setup.limits.scratch_inodes.to_string();
    let options = [("mode", "755"), ("size", &size), ("nr_inodes", &inodes)];
    let whole = filesystem("tmpfs", &options, TAME)?;
    attach(root, Path::new(WHOLE), whole.as_fd(), true)?;
    let places = [
        (Path::new("/tmp"), "tmp", 0o1777),
        (Path::new("/run"), "run", 0o755),
        (Path::new("/dev/shm"), "shm", 0o1777),
        (setup.home.as_path(), "home", 0o700),
    ];
    let (uid, gid) = setup.owner_here();
    for (at, name, mode) in places {
        rustix::fs::mkdirat(&whole, name, Mode::from(0o700)).step(step)?;
        rustix::fs::chmodat(&whole, name, Mode::from(mode), AtFlags::empty()).step(step)?;
        rustix::fs::chownat(&whole, name, Some(uid), Some(gid), AtFlags::empty()).step(step)?;
        let place = open_beneath(root, &Path::new(WHOLE).join(name)).step(step)?;
        let tree = clone_tree(place.as_fd()).step(step)?;
        attach(root, at, tree.as_fd(), true)?;
    }
    Ok(whole)
}

/// Takes the whole scratch out of sight; its parts stay.
pub(super) fn hide_scratch(root: BorrowedFd<'_>) -> Result<(), Failed> {
    let step = "hide the scratch directory";
    rustix::process::fchdir(root).step(step)?;
    rustix::mount::unmount(WHOLE, UnmountFlags::DETACH).step(step)?;
    rustix::fs::unlinkat(root, WHOLE, AtFlags::REMOVEDIR).step(step)
}

pub(super) fn attach_proc(
    root: BorrowedFd<'_>,
    proc: &OwnedFd,
    masks: &Masks,
) -> Result<(), Failed> {
    attach(root, Path::new("/proc"), proc.as_fd(), true)?;
    for name in PROC_MASKED {
        // What this kernel doesn't have needs no mask.
        if let Ok(target) = open_beneath(root, &Path::new("/proc").join(name)) {
            masks.cover(target.as_fd()).step("mask a file of /proc")?;
        }
    }
    for name in PROC_READ_ONLY {
        if let Ok(target) = open_beneath(root, &Path::new("/proc").join(name)) {
            let tree = clone_tree(target.as_fd()).step("bind a part of /proc")?;
            set_attributes(
                &tree,
                "",
                libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
                |attr| {
                    attr.attr_set = READ_ONLY;
                },
            )
            .step("make a part of /proc read-only")?;
            cover(tree.as_fd(), target.as_fd()).step("cover a part of /proc")?;
        }
    }
    Ok(())
}
