//! The root file system: a small read-only tmpfs with binds, built aside and then pivoted into.
//!
//! Sources are opened without following symbolic links and cloned as detached mounts first; what
//! is attached later comes from descriptors, never from a path resolved again.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

use super::{Failed, Step, check, namespaces::IdMaps};
use crate::wire::{Mount, MountKind, Setup};

const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;
const TAME: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;

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

/// Builds the cell's root, makes it `/`, and lets go of the host's.
pub(super) fn build(setup: &Setup, idmaps: &IdMaps) -> Result<(), Failed> {
    set_attributes(CWD, "/", libc::AT_RECURSIVE, |attr| {
        attr.propagation = libc::MS_PRIVATE
    })
    .step("make mounts private")?;
    let mut sources = Vec::with_capacity(setup.mounts.len());
    for mount in &setup.mounts {
        sources.push(source(mount, idmaps)?);
    }
    let proc = filesystem("proc", &[], TAME | libc::MOUNT_ATTR_NOEXEC)?;
    let devices = devices()?;

    let root = filesystem(
        "tmpfs",
        &[("mode", "755"), ("size", "16m"), ("nr_inodes", "20k")],
        TAME,
    )?;
    rustix::mount::move_mount(&root, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .step("attach the new root")?;
    let masks = Masks::new(root.as_fd())?;
    attach_devices(root.as_fd(), devices)?;
    scratch(root.as_fd(), setup)?;
    attach_proc(root.as_fd(), &proc, &masks)?;
    for (mount, source) in setup.mounts.iter().zip(sources) {
        place(root.as_fd(), mount, source, &masks)?;
    }
    for (path, content) in &setup.files {
        own_file(root.as_fd(), path, content)?;
    }
    masks.remove(root.as_fd());
    set_attributes(&root, "", libc::AT_EMPTY_PATH, |attr| {
        attr.attr_set = READ_ONLY
    })
    .step("make the root read-only")?;

    rustix::process::fchdir(&root).step("enter the new root")?;
    rustix::process::pivot_root(".", ".").step("pivot into the new root")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).step("let go of the old root")?;
    rustix::process::chdir("/").step("enter the new root")
}

/// A detached copy of what a bind shows, with its attributes; None for what has no source.
fn source(mount: &Mount, idmaps: &IdMaps) -> Result<Option<OwnedFd>, Failed> {
    let MountKind::Bind {
        source,
        writable,
        idmap,
    } = &mount.kind
    else {
        return Ok(None);
    };
    let name = |what: &str| format!("{what} {}", source.display());
    let place = open_beneath(CWD, source).step(&name("open"))?;
    let tree = clone_tree(place.as_fd()).step(&name("bind"))?;
    let owner = match idmap {
        Some(owner) => Some(
            idmaps
                .get(owner)
                .ok_or(rustix::io::Errno::INVAL)
                .step("idmap")?,
        ),
        None => None,
    };
    let recursive = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    set_attributes(&tree, "", recursive, |attr| {
        attr.attr_set = TAME | if *writable { 0 } else { READ_ONLY };
    })
    .step(&name("restrict"))?;
    if let Some(owner) = owner {
        set_attributes(&tree, "", recursive, |attr| {
            attr.attr_set = libc::MOUNT_ATTR_IDMAP;
            attr.userns_fd = owner.as_raw_fd() as u64;
        })
        .step(&name("idmap"))?;
    }
    Ok(Some(tree))
}

fn place(
    root: BorrowedFd<'_>,
    mount: &Mount,
    source: Option<OwnedFd>,
    masks: &Masks,
) -> Result<(), Failed> {
    let name = |what: &str| format!("{what} {}", mount.at.display());
    match (&mount.kind, source) {
        (MountKind::Bind { .. }, Some(tree)) => {
            let directory = is_directory(tree.as_fd()).step(&name("look at"))?;
            attach(root, &mount.at, tree.as_fd(), directory)
        }
        (MountKind::Bind { .. }, None) => Ok(()),
        (MountKind::Mask, _) => match open_beneath(root, &mount.at) {
            Ok(target) => masks.cover(target.as_fd()).step(&name("mask")),
            // Not shown, so nothing to hide.
            Err(_) => Ok(()),
        },
        (MountKind::Symlink { target }, _) => {
            let (parent, last) = parent(root, &mount.at)?;
            rustix::fs::symlinkat(target, &parent, last).step(&name("link"))
        }
    }
}

/// The device nodes every program expects, as detached copies of the host's.
fn devices() -> Result<Vec<(&'static str, OwnedFd)>, Failed> {
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

fn attach_devices(root: BorrowedFd<'_>, devices: Vec<(&str, OwnedFd)>) -> Result<(), Failed> {
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
fn scratch(root: BorrowedFd<'_>, setup: &Setup) -> Result<(), Failed> {
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

fn attach_proc(root: BorrowedFd<'_>, proc: &OwnedFd, masks: &Masks) -> Result<(), Failed> {
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

/// A file of our own at `path`: made there, or laid over what a bind shows there.
fn own_file(root: BorrowedFd<'_>, path: &Path, content: &str) -> Result<(), Failed> {
    const TEMPORARY: &str = ".file";
    let existing = open_beneath(root, path);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let (file, covers) = match &existing {
        Ok(_) => (
            rustix::fs::openat(root, TEMPORARY, flags, Mode::from(0o644)),
            true,
        ),
        Err(_) => {
            let Ok((parent, last)) = parent(root, path) else {
                return Ok(());
            };
            match rustix::fs::openat(&parent, last, flags, Mode::from(0o644)) {
                // The place is a read-only bind that lacks the file: then nobody expects it.
                Err(rustix::io::Errno::ROFS | rustix::io::Errno::ACCESS) => return Ok(()),
                file => (file, false),
            }
        }
    };
    let file = file.step("make a file")?;
    std::io::Write::write_all(&mut std::fs::File::from(file), content.as_bytes())
        .step("write a file")?;
    if let (true, Ok(target)) = (covers, existing) {
        let made = open_beneath(root, Path::new(TEMPORARY)).step("open a file")?;
        let tree = clone_tree(made.as_fd()).step("bind a file")?;
        set_attributes(&tree, "", libc::AT_EMPTY_PATH, |attr| {
            attr.attr_set = READ_ONLY | TAME
        })
        .step("restrict a file")?;
        cover(tree.as_fd(), target.as_fd()).step("cover a file")?;
        rustix::fs::unlinkat(root, TEMPORARY, AtFlags::empty()).step("remove a file")?;
    }
    Ok(())
}

/// An empty directory and an empty file to lay over things.
struct Masks {
    directory: OwnedFd,
    file: OwnedFd,
}

impl Masks {
    const NAMES: [&str; 2] = [".mask-directory", ".mask-file"];

    fn new(root: BorrowedFd<'_>) -> Result<Self, Failed> {
        let [directory, file] = Self::NAMES;
        rustix::fs::mkdirat(root, directory, Mode::from(0o555)).step("make a mask")?;
        rustix::fs::mknodat(root, file, FileType::RegularFile, Mode::from(0o444), 0)
            .step("make a mask")?;
        Ok(Self {
            directory: open_beneath(root, Path::new(directory)).step("open a mask")?,
            file: open_beneath(root, Path::new(file)).step("open a mask")?,
        })
    }

    fn cover(&self, target: BorrowedFd<'_>) -> rustix::io::Result<()> {
        let mask = if is_directory(target)? {
            &self.directory
        } else {
            &self.file
        };
        let tree = clone_tree(mask.as_fd())?;
        set_attributes(&tree, "", libc::AT_EMPTY_PATH, |attr| {
            attr.attr_set = READ_ONLY | TAME
        })?;
        cover(tree.as_fd(), target)
    }

    fn remove(self, root: BorrowedFd<'_>) {
        // The clones keep what they show; the names would only puzzle people.
        let [directory, file] = Self::NAMES;
        let _ = rustix::fs::unlinkat(root, directory, AtFlags::REMOVEDIR);
        let _ = rustix::fs::unlinkat(root, file, AtFlags::empty());
    }
}

/// Attaches a detached mount at a path of the new root, making its mount point when it's missing.
fn attach(
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

fn cover(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, "", target, "", flags)
}

/// Opens the directory that holds `path`, making what is missing on the way, and the last name.
fn parent<'a>(root: BorrowedFd<'_>, path: &'a Path) -> Result<(OwnedFd, &'a str), Failed> {
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
fn open_beneath(directory: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let below = if directory.as_raw_fd() == CWD.as_raw_fd() {
        path
    } else {
        path.strip_prefix("/").unwrap_or(path)
    };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(directory, below, flags, Mode::empty(), resolve)
}

fn is_directory(fd: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) == FileType::Directory)
}

fn clone_tree(place: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(place, "", flags)
}

/// A new file system, mounted nowhere yet. An empty option value is a flag.
fn filesystem(kind: &str, options: &[(&str, &str)], attributes: u64) -> Result<OwnedFd, Failed> {
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
fn set_attributes(
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
