//! The mount interface: detached mounts, their attributes, and where they are attached.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

use super::{Failed, Step, check};

pub(super) const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;
/// What no mount of a cell allows, devices aside.
pub(super) const TAME: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;

/// Attaches a detached mount at a path of the new root, making its mount point when it's missing.
pub(super) fn attach(
    root: BorrowedFd<'_>,
    at: &Path,
    tree: BorrowedFd<'_>,
    directory: bool,
) -> Result<(), Failed> {
    let name = || format!("mount {}", at.display());
    let (parent, last) = parent(root, at)?;
    let made = if directory {
        rustix::fs::mkdirat(&parent, last, Mode::from(0o755))
    } else {
        rustix::fs::mknodat(&parent, last, FileType::RegularFile, Mode::from(0o644), 0)
    };
    let target = match open_beneath(parent.as_fd(), Path::new(last)) {
        Ok(target) => target,
        Err(error) => return made.and(Err(error)).step(&name()),
    };
    cover(tree, target.as_fd()).step(&name())
}

pub(super) fn cover(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, "", target, "", flags)
}

/// Opens the directory that holds `path`, making what is missing on the way, and the last name.
pub(super) fn parent<'a>(
    root: BorrowedFd<'_>,
    path: &'a Path,
) -> Result<(OwnedFd, &'a str), Failed> {
    let name = || format!("make the parents of {}", path.display());
    let mut names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_str()),
        Component::RootDir | Component::CurDir => None,
        Component::ParentDir | Component::Prefix(_) => Some(None),
    });
    let mut next = names
        .next()
        .flatten()
        .ok_or(rustix::io::Errno::INVAL)
        .step(&name())?;
    let mut directory = root.try_clone_to_owned().step(&name())?;
    for following in names {
        directory = match open_beneath(directory.as_fd(), Path::new(next)) {
            Ok(inner) => inner,
            Err(_) => {
                rustix::fs::mkdirat(&directory, next, Mode::from(0o755)).step(&name())?;
                open_beneath(directory.as_fd(), Path::new(next)).step(&name())?
            }
        };
        next = following.ok_or(rustix::io::Errno::INVAL).step(&name())?;
    }
    Ok((directory, next))
}

/// Opens a path below a directory for use as a mount's source or place; no symbolic link in it.
pub(super) fn open_beneath(directory: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let below = if directory.as_raw_fd() == CWD.as_raw_fd() {
        path
    } else {
        path.strip_prefix("/").unwrap_or(path)
    };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(directory, below, flags, Mode::empty(), resolve)
}

pub(super) fn is_directory(fd: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) == FileType::Directory)
}

pub(super) fn clone_tree(place: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(place, "", flags)
}

/// A new file system, mounted nowhere yet. An empty option value is a flag.
pub(super) fn filesystem(
    kind: &str,
    options: &[(&str, &str)],
    attributes: u64,
) -> Result<OwnedFd, Failed> {
    let step = format!("make a {kind}");
    let fs = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).step(&step)?;
    for (key, value) in options {
        if value.is_empty() {
            rustix::mount::fsconfig_set_flag(&fs, *key).step(&step)?;
        } else {
            rustix::mount::fsconfig_set_string(&fs, *key, *value).step(&step)?;
        }
    }
    rustix::mount::fsconfig_create(&fs).step(&step)?;
    let attributes = MountAttrFlags::from_bits_retain(attributes as u32);
    rustix::mount::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes).step(&step)
}

/// `mount_setattr`, which rustix lacks.
pub(super) fn set_attributes(
    at: impl AsFd,
    path: &str,
    flags: libc::c_int,
    change: impl FnOnce(&mut libc::mount_attr),
) -> rustix::io::Result<()> {
    let path = CString::new(path).map_err(|_| rustix::io::Errno::INVAL)?;
    let mut attr = libc::mount_attr {
        attr_set: 0,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    change(&mut attr);
    // SAFETY: the path is NUL-terminated, the pointer and the size describe `attr`, and both live
    // until the call returns.
    let set = check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            at.as_fd().as_raw_fd(),
            path.as_ptr(),
            flags,
            std::ptr::from_ref(&attr),
            size_of::<libc::mount_attr>(),
        )
    });
    set.map(drop)
        .map_err(|e| rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO))
}
