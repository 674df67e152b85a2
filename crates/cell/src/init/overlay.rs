//! Overlays: a read-only base under a layer that takes the writes.
//!
//! Every directory is opened first and given to the kernel by descriptor. Kernels before 6.13 take
//! no descriptors as layers but follow `/proc/self/fd`, which leads to the same thing.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Gid, Mode, OFlags, Uid};

use super::tree::{READ_ONLY, TAME, attach, clone_tree, filesystem, open_beneath, set_attributes};
use super::{Failed, Step};
use crate::layer::{UPPER, WORK};
use crate::wire::{Setup, Upper};

/// How every overlay is mounted.
///
/// Lower directories may be hostile: a cell that writes a tree can leave attributes in it that mean
/// something to an overlay over it. None may lead elsewhere.
const OPTIONS: [(&str, &str); 4] = [
    ("userxattr", ""),
    ("redirect_dir", "nofollow"),
    ("metacopy", "off"),
    ("index", "off"),
];

/// An empty directory in the scratch.
const NOTHING: &str = "nothing";

/// What overlays need of the cell that is being built.
pub(super) struct Overlays<'a> {
    scratch: BorrowedFd<'a>,
    /// The cell's user, and the one to whom layers belong on disk.
    owner: (Uid, Gid),
    layer_owner: (Uid, Gid),
    /// Shows the latter as the former; None when they are the same.
    idmap: Option<&'a OwnedFd>,
    made: u32,
    /// Layers in use, each locked.
    layers: Vec<(PathBuf, OwnedFd)>,
}

impl<'a> Overlays<'a> {
    /// `scratch` is the whole of the cell's scratch, attached somewhere.
    pub(super) fn new(scratch: BorrowedFd<'a>, setup: &Setup, idmap: Option<&'a OwnedFd>) -> Self {
        let ids = |(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid));
        Self {
            scratch,
            owner: setup.owner_here(),
            layer_owner: if setup.layer_owner == (setup.uid, setup.gid) {
                setup.owner_here()
            } else {
                ids(setup.layer_owner)
            },
            idmap,
            made: 0,
            layers: Vec::new(),
        }
    }

    /// An overlay of detached lower directories, mounted nowhere yet.
    pub(super) fn make(
        &mut self,
        lowers: &[OwnedFd],
        upper: Option<&Upper>,
        at: &Path,
    ) -> Result<OwnedFd, Failed> {
        let name = |what: &str| format!("{what} the layers of {}", at.display());
        // A layer must be mounted somewhere while the overlay clones it. The whole scratch goes out
        // of sight later, and all that is attached there with it: one unmount instead of many,
        // each of which waits for every processor.
        for lower in lowers {
            self.made += 1;
            let place = PathBuf::from(format!("lower-{}", self.made));
            attach(self.scratch, &place, lower.as_fd(), true)?;
        }
        let mut paths: Vec<String> = lowers.iter().map(by_descriptor).collect();
        let nothing = match (lowers, upper) {
            // The kernel wants two layers.
            ([_], None) => Some(directory(self.scratch, NOTHING)?),
            _ => None,
        };
        paths.extend(nothing.iter().map(by_descriptor));
        let lower = paths.join(":");
        let mut options = vec![("lowerdir", lower.as_str())];
        options.extend(OPTIONS);
        let part = match upper {
            Some(upper) => Some(self.part(upper, &lowers[0]).map_err(|failed| Failed {
                step: format!("{}: {}", name("open"), failed.step),
                ..failed
            })?),
            None => None,
        };
        let paths = part
            .as_ref()
            .map(|(upper, work)| (by_descriptor(upper), by_descriptor(work)));
        if let Some((upper, work)) = &paths {
            options.extend([("upperdir", upper.as_str()), ("workdir", work.as_str())]);
        }
        let attributes = if part.is_some() {
            TAME
        } else {
            TAME | READ_ONLY
        };
        filesystem("overlay", &options, attributes).map_err(|failed| Failed {
            step: name("overlay"),
            ..failed
        })
    }

    /// The locks on the layers; they must be held as long as the cell lives.
    pub(super) fn into_locks(self) -> Vec<OwnedFd> {
        self.layers.into_iter().map(|(_, lock)| lock).collect()
    }

    /// The upper and the work directory, made when they are missing. The upper one looks like the
    /// directory that it covers, because that is what is seen.
    fn part(&mut self, upper: &Upper, like: &OwnedFd) -> Result<(OwnedFd, OwnedFd), Failed> {
        self.made += 1;
        let name = format!("layer-{}", self.made);
        let (whole, (uid, gid), idmap) = match upper {
            Upper::Scratch => (directory(self.scratch, &name)?, self.owner, None),
            Upper::Layer {
                directory: layer,
                part,
            } => {
                let whole = directory(self.layer(layer)?, part)?;
                (whole, self.layer_owner, self.idmap)
            }
        };
        let before = open_beneath(whole.as_fd(), Path::new(UPPER)).is_ok();
        let (upper, work) = parts(&whole)?;
        if !before {
            let stat = rustix::fs::fstat(like).step("look at the base")?;
            rustix::fs::chownat(&whole, UPPER, Some(uid), Some(gid), AtFlags::empty())
                .step("give the layer to the cell's user")?;
            let mode = Mode::from_raw_mode(stat.st_mode);
            rustix::fs::chmodat(&whole, UPPER, mode, AtFlags::empty())
                .step("give the layer its mode")?;
        }
        let Some(idmap) = idmap else {
            return Ok((upper, work));
        };
        let shown = clone_tree(whole.as_fd()).step("bind")?;
        set_attributes(&shown, "", libc::AT_EMPTY_PATH, |attr| {
            attr.attr_set = TAME | libc::MOUNT_ATTR_IDMAP;
            attr.userns_fd = idmap.as_raw_fd() as u64;
        })
        .step("idmap")?;
        attach(self.scratch, Path::new(&name), shown.as_fd(), true)?;
        parts(&shown)
    }

    /// Opens a layer, which no other cell may use meanwhile.
    fn layer(&mut self, path: &Path) -> Result<BorrowedFd<'_>, Failed> {
        if let Some(known) = self.layers.iter().position(|(other, _)| other == path) {
            return Ok(self.layers[known].1.as_fd());
        }
        let step = |what: &str| format!("{what} {}", path.display());
        let place = open_beneath(CWD, path).step(&step("open"))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let held = rustix::fs::openat(&place, ".", flags, Mode::empty()).step(&step("open"))?;
        rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive).step(&step("lock"))?;
        self.layers.push((path.to_owned(), held));
        Ok(self.layers[self.layers.len() - 1].1.as_fd())
    }
}

/// The upper and the work directory of a part of a layer.
fn parts(whole: &OwnedFd) -> Result<(OwnedFd, OwnedFd), Failed> {
    Ok((
        directory(whole.as_fd(), UPPER)?,
        directory(whole.as_fd(), WORK)?,
    ))
}

fn directory(parent: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Failed> {
    match rustix::fs::mkdirat(parent, name, Mode::from(0o700)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error).step(&format!("make {name}")),
    }
    open_beneath(parent, Path::new(name)).step(&format!("open {name}"))
}

fn by_descriptor(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}
