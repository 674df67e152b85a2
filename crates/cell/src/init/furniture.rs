//! What every cell has: devices, terminals, scratch places, /proc.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;

use super::mounts::Masks;
use super::tree::{
    READ_ONLY, TAME, attach, clone_tree, cover, filesystem, open_beneath, set_attributes,
};
use super::{Failed, Step};
use crate::wire::Setup;

/// What every cell hides of /proc: files, then directories that stay readable but not writable.
const PROC_MASKED: [&str; 8] = [
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

/// The places that a cell may write besides its trees; nothing of them outlives it.
pub(super) fn scratch(root: BorrowedFd<'_>, setup: &Setup) -> Result<(), Failed> {
    let (uid, gid) = (setup.uid.to_string(), setup.gid.to_string());
    let size = setup.limits.scratch_bytes.to_string();
    let inodes = setup.limits.scratch_inodes.to_string();
    let places = [
        (Path::new("/tmp"), "1777"),
        (Path::new("/run"), "755"),
        (Path::new("/dev/shm"), "1777"),
        (setup.home.as_path(), "700"),
    ];
    for (at, mode) in places {
        let options = [
            ("mode", mode),
            ("size", &size),
            ("nr_inodes", &inodes),
            ("uid", &uid),
            ("gid", &gid),
        ];
        let fs = filesystem("tmpfs", &options, TAME)?;
        attach(root, at, fs.as_fd(), true)?;
    }
    Ok(())
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
