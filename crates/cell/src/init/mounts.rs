//! The root file system: a small read-only tmpfs with binds, built aside and then pivoted into.
//!
//! Sources are opened without following symbolic links and cloned as detached mounts first; what
//! is attached later comes from descriptors, never from a path resolved again.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::mount::{MoveMountFlags, UnmountFlags};

use super::furniture::{attach_devices, attach_proc, devices, hide_scratch, scratch};
use super::overlay::Overlays;
use super::tree::{
    READ_ONLY, TAME, attach, clone_tree, cover, filesystem, is_directory, open_beneath, parent,
    set_attributes,
};
use super::{Failed, Step, namespaces::IdMaps};
use crate::wire::{IdMap, Mount, MountKind, Setup};

/// What PID 1 keeps of building the root.
pub(super) struct Built {
    /// On layers, to be held as long as the cell lives.
    pub(super) locks: Vec<OwnedFd>,
    /// A /proc that is mounted nowhere and shows all processes, also those that hide.
    pub(super) processes: OwnedFd,
}

/// Builds the cell's root, makes it `/`, and lets go of the host's.
pub(super) fn build(setup: &Setup, idmaps: &IdMaps) -> Result<Built, Failed> {
    set_attributes(CWD, "/", libc::AT_RECURSIVE, |attr| {
        attr.propagation = libc::MS_PRIVATE
    })
    .step("make mounts private")?;
    let sources = opened(setup, idmaps)?;
    // Only its own processes are seen by whoever may not trace; PID 1 is seen by nobody.
    let options = [("hidepid", "invisible")];
    let proc = filesystem("proc", &options, TAME | libc::MOUNT_ATTR_NOEXEC)?;
    // PID 1 may not trace either, so it has its own, of processes alone.
    let options = [("subset", "pid")];
    let processes = filesystem("proc", &options, READ_ONLY | TAME | libc::MOUNT_ATTR_NOEXEC)?;
    let devices = devices()?;

    let root = new_root(Path::new("/"))?;
    let masks = Masks::new(root.as_fd())?;
    attach_devices(root.as_fd(), devices)?;
    let whole = scratch(root.as_fd(), setup)?;
    attach_proc(root.as_fd(), &proc, &masks)?;
    let locks = fill(&root, &whole, setup, sources, masks, idmaps)?;

    rustix::process::fchdir(&root).step("enter the new root")?;
    rustix::process::pivot_root(".", ".").step("pivot into the new root")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).step("let go of the old root")?;
    rustix::process::chdir("/").step("enter the new root")?;
    Ok(Built { locks, processes })
}

/// What the set-up's mounts show, for [`build_at`]; opened before anything is built.
pub(super) fn sources(setup: &Setup, idmaps: &IdMaps) -> Result<Vec<Vec<OwnedFd>>, Failed> {
    set_attributes(CWD, "/", libc::AT_RECURSIVE, |attr| {
        attr.propagation = libc::MS_PRIVATE
    })
    .step("make mounts private")?;
    opened(setup, idmaps)
}

/// Builds the root at a place, for a container runtime that enters it by itself and fills `places`
/// by itself: devices and /proc. Gives locks on the layers in use.
pub(super) fn build_at(
    at: &Path,
    setup: &Setup,
    sources: Vec<Vec<OwnedFd>>,
    idmaps: &IdMaps,
    places: &[PathBuf],
) -> Result<Vec<OwnedFd>, Failed> {
    let root = new_root(at)?;
    let masks = Masks::new(root.as_fd())?;
    for place in places {
        let (parent, last) = parent(root.as_fd(), place)?;
        rustix::fs::mkdirat(&parent, last, Mode::from(0o755)).step("make a place")?;
    }
    let whole = scratch(root.as_fd(), setup)?;
    fill(&root, &whole, setup, sources, masks, idmaps)
}

fn opened(setup: &Setup, idmaps: &IdMaps) -> Result<Vec<Vec<OwnedFd>>, Failed> {
    let mounts = setup.mounts.iter();
    mounts.map(|mount| sources_of(mount, idmaps)).collect()
}

/// An empty root over a directory.
fn new_root(at: &Path) -> Result<OwnedFd, Failed> {
    let options = [("mode", "755"), ("size", "16m"), ("nr_inodes", "20k")];
    let root = filesystem("tmpfs", &options, TAME)?;
    rustix::mount::move_mount(&root, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .step("attach the new root")?;
    Ok(root)
}

/// Puts the set-up's mounts and files into the root, and makes it read-only.
fn fill(
    root: &OwnedFd,
    whole: &OwnedFd,
    setup: &Setup,
    sources: Vec<Vec<OwnedFd>>,
    masks: Masks,
    idmaps: &IdMaps,
) -> Result<Vec<OwnedFd>, Failed> {
    let mut overlays = Overlays::new(whole.as_fd(), setup, idmaps.layers.as_ref());
    for (mount, sources) in setup.mounts.iter().zip(sources) {
        place(root.as_fd(), mount, sources, &masks, &mut overlays)?;
    }
    let locks = overlays.into_locks();
    hide_scratch(root.as_fd())?;
    for (path, content) in &setup.files {
        own_file(root.as_fd(), path, content)?;
    }
    masks.remove(root.as_fd());
    set_attributes(root, "", libc::AT_EMPTY_PATH, |attr| {
        attr.attr_set = READ_ONLY;
    })
    .step("make the root read-only")?;
    Ok(locks)
}

/// Detached copies of what a mount shows, with their attributes.
fn sources_of(mount: &Mount, idmaps: &IdMaps) -> Result<Vec<OwnedFd>, Failed> {
    match &mount.kind {
        MountKind::Bind {
            source: path,
            writable,
            idmap,
        } => Ok(vec![source(path, *writable, idmap.as_ref(), idmaps)?]),
        MountKind::Overlay { lowers, .. } => lowers
            .iter()
            .map(|(path, idmap)| source(path, false, idmap.as_ref(), idmaps))
            .collect(),
        MountKind::Mask | MountKind::Symlink { .. } => Ok(Vec::new()),
    }
}

fn source(
    source: &Path,
    writable: bool,
    idmap: Option<&IdMap>,
    idmaps: &IdMaps,
) -> Result<OwnedFd, Failed> {
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
        attr.attr_set = TAME | if writable { 0 } else { READ_ONLY };
    })
    .step(&name("restrict"))?;
    if let Some(owner) = owner {
        set_attributes(&tree, "", recursive, |attr| {
            attr.attr_set = libc::MOUNT_ATTR_IDMAP;
            attr.userns_fd = owner.as_raw_fd() as u64;
        })
        .step(&name("idmap"))?;
    }
    Ok(tree)
}

fn place(
    root: BorrowedFd<'_>,
    mount: &Mount,
    sources: Vec<OwnedFd>,
    masks: &Masks,
    overlays: &mut Overlays<'_>,
) -> Result<(), Failed> {
    let name = |what: &str| format!("{what} {}", mount.at.display());
    match &mount.kind {
        MountKind::Bind { .. } => sources.iter().try_for_each(|tree| {
            let directory = is_directory(tree.as_fd()).step(&name("look at"))?;
            attach(root, &mount.at, tree.as_fd(), directory)
        }),
        MountKind::Overlay { upper, .. } => {
            let tree = overlays.make(&sources, upper.as_ref(), &mount.at)?;
            attach(root, &mount.at, tree.as_fd(), true)
        }
        MountKind::Mask => match open_beneath(root, &mount.at) {
            Ok(target) => masks.cover(target.as_fd()).step(&name("mask")),
            // Not shown, so nothing to hide.
            Err(_) => Ok(()),
        },
        MountKind::Symlink { target } => {
            let (parent, last) = parent(root, &mount.at)?;
            rustix::fs::symlinkat(target, &parent, last).step(&name("link"))
        }
    }
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
pub(super) struct Masks {
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

    pub(super) fn cover(&self, target: BorrowedFd<'_>) -> rustix::io::Result<()> {
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
