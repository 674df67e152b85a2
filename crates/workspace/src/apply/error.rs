//! What can go wrong on disk.

use std::io;
use std::path::PathBuf;

/// Why a plan could not be put on disk, or a journal not be worked off.
#[derive(Debug, thiserror::Error)]
pub enum ApplyIoError {
    /// The root is no directory we can open.
    #[error("cannot open the work tree {root}")]
    Open {
        /// The root as given.
        root: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be written or removed. Nothing was changed.
    #[error("cannot change {path}; nothing was changed")]
    Change {
        /// The file, relative to the root.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The journal could not be written. Nothing was changed.
    #[error("cannot keep the journal {path}; nothing was changed")]
    Journal {
        /// The journal or its directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Some files have their new text and some do not yet; the journal says the rest.
    #[error(
        "stopped half-way at {path}; the journal {journal} has the rest and is finished by the next patch or recovery"
    )]
    HalfWay {
        /// The file, relative to the root.
        path: String,
        /// The journal.
        journal: PathBuf,
        /// Why.
        source: io::Error,
    },
}
