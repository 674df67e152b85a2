//! Layers: directories that hold what cells have written over a read-only base.
//!
//! A layer has one part for each directory of the base that it covers: `<part>/upper` with the
//! changes, in the kernel's overlay format (user attributes and whiteouts), and `<part>/work`,
//! which the kernel needs. One cell at a time can write into a layer; it holds a lock on it.

mod remove;
mod size;

use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

pub(crate) use remove::tree as remove;
pub use size::LayerSize;

/// The directory of a part with what was written.
pub(crate) const UPPER: &str = "upper";
/// The directory of a part that the kernel works in.
pub(crate) const WORK: &str = "work";

/// File systems that can't take an overlay's writes, by their magic numbers.
const UNSUITABLE: [(u64, &str); 8] = [
    (0x794c_7630, "overlayfs"),
    (0x6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x4d44, "vfat"),
    (0x2011_bab0, "exfat"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "fuse"),
];

/// A directory that takes the writes of cells. Everything in it is hostile: hand it to a cell as a
/// layer, and to nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    directory: PathBuf,
}

/// Why a directory can't be a layer.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// It can't be made, looked at or removed.
    #[error("can't {what} the layer {path}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The layer's directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Its file system can't take an overlay's writes.
    #[error("the layer {path} lies on {kind}, which can't take an overlay's writes")]
    Unsuitable {
        /// The layer's directory.
        path: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },
    /// A living cell writes into it.
    #[error("the layer {path} is used by another cell")]
    InUse {
        /// The layer's directory.
        path: PathBuf,
    },
}

impl Layer {
    /// A layer that has been made before.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// Makes a layer, or takes the one that is there. Its directory is private to this user.
    ///
    /// # Errors
    /// When it can't be made, or lies on a file system that can't take an overlay's writes.
    pub fn make(directory: impl Into<PathBuf>) -> Result<Self, LayerError> {
        let layer = Self::at(directory);
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(&layer.directory)
            .map_err(|source| layer.io("make", source))?;
        // Layers are named by their real place, like everything that a cell shows.
        let real = std::fs::canonicalize(&layer.directory);
        let layer = Self::at(real.map_err(|source| layer.io("find", source))?);
        layer.check()?;
        Ok(layer)
    }

    /// The directory of the layer.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether anything has ever been written through it.
    pub fn is_used(&self) -> bool {
        std::fs::read_dir(&self.directory).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// How much was written: bytes on disk, files and directories. Looks at no more than `most`
    /// entries.
    ///
    /// # Errors
    /// When the layer isn't there.
    pub fn size(&self, most: u64) -> Result<LayerSize, LayerError> {
        size::measure(&self.directory, most).map_err(|source| self.io("measure", source))
    }

    /// Ends the writing: from now on the layer is a base for others. Its content stays as it is.
    ///
    /// # Errors
    /// When a cell still uses it, or the kernel's leftovers can't be removed.
    pub fn keep(&self) -> Result<(), LayerError> {
        let _lock = self.lock()?;
        for part in self.parts()? {
            remove::tree(&part.join(WORK)).map_err(|source| self.io("settle", source))?;
        }
        Ok(())
    }

    /// Removes the layer with everything in it, whatever a cell has made there.
    ///
    /// # Errors
    /// When a cell still uses it, or something can't be removed.
    pub fn discard(self) -> Result<(), LayerError> {
        let lock = self.lock()?;
        let removed = remove::tree(&self.directory);
        drop(lock);
        removed.map_err(|source| self.io("discard", source))
    }

    /// Whether its file system can take an overlay's writes, as far as that is known.
    pub(crate) fn check(&self) -> Result<(), LayerError> {
        let stat = rustix::fs::statfs(&self.directory)
            .map_err(|error| self.io("look at", error.into()))?;
        let kind = stat.f_type as u64 & 0xffff_ffff;
        match UNSUITABLE.into_iter().find(|(magic, _)| *magic == kind) {
            Some((_, kind)) => Err(LayerError::Unsuitable {
                path: self.directory.clone(),
                kind,
            }),
            None => Ok(()),
        }
    }

    fn parts(&self) -> Result<Vec<PathBuf>, LayerError> {
        let entries =
            std::fs::read_dir(&self.directory).map_err(|source| self.io("read", source))?;
        Ok(entries.flatten().map(|entry| entry.path()).collect())
    }

    /// Whether a cell writes into it, or one that has just been killed is still ending.
    pub fn is_in_use(&self) -> bool {
        matches!(self.lock(), Err(LayerError::InUse { .. }))
    }

    fn lock(&self) -> Result<std::fs::File, LayerError> {
        let flags = (rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::NOFOLLOW).bits();
        let mut options = std::fs::OpenOptions::new();
        let held = options
            .read(true)
            .custom_flags(flags as i32)
            .open(&self.directory)
            .map_err(|source| self.io("open", source))?;
        match rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(held),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LayerError::InUse {
                path: self.directory.clone(),
            }),
            Err(error) => Err(self.io("lock", error.into())),
        }
    }

    fn io(&self, what: &'static str, source: io::Error) -> LayerError {
        LayerError::Io {
            what,
            path: self.directory.clone(),
            source,
        }
    }
}

/// The name of the part for a directory: readable, and different for different paths.
pub(crate) fn part_of(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    // FNV-1a, since the name must be the same with every version of the program.
    let hash = path
        .as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let name: String = name
        .iter()
        .filter(|b| plain(b))
        .take(40)
        .map(|b| *b as char)
        .collect();
    format!("{name}-{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_after_their_places() {
        assert_eq!(part_of(Path::new("/usr")), "usr-89cd049c521d2dbc");
        assert_ne!(part_of(Path::new("/a/.git")), part_of(Path::new("/b/.git")));
    }

    #[test]
    fn a_layer_in_use_is_not_discarded() {
        let dir = tempfile::tempdir().unwrap();
        let layer = Layer::make(dir.path().join("layer")).unwrap();
        let held = layer.lock().unwrap();
        assert!(matches!(
            layer.clone().discard(),
            Err(LayerError::InUse { .. })
        ));
        drop(held);
        let directory = layer.directory().to_owned();
        layer.discard().unwrap();
        assert!(!directory.exists());
    }
}
