//! A pack as it arrives: in a file without a name, which a kill takes along.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};

use super::{ImportError, Limits};

/// A pack that comes out of a cell, with its first limits held.
#[derive(Debug)]
pub struct Spool {
    file: File,
    bytes: u64,
    limit: u64,
    objects: u32,
}

impl Spool {
    /// An empty one.
    ///
    /// # Errors
    /// The system's reason.
    pub fn new(limits: &Limits) -> Result<Self, ImportError> {
        Ok(Self {
            file: tempfile::tempfile().map_err(ImportError::Spool)?,
            bytes: 0,
            limit: limits.pack_bytes,
            objects: limits.objects,
        })
    }

    /// Takes in the next bytes.
    ///
    /// # Errors
    /// [`ImportError::TooMuch`] when it grows too large, or the system's reason.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.limit {
            return Err(ImportError::too_much("bytes in the pack", self.limit));
        }
        self.file.write_all(bytes).map_err(ImportError::Spool)
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file, at its beginning.
    pub(super) fn rewound(&self) -> Result<File, ImportError> {
        let rewind = || -> io::Result<File> {
            let mut file = self.file.try_clone()?;
            file.rewind()?;
            Ok(file)
        };
        rewind().map_err(ImportError::Spool)
    }

    /// How many objects the pack says it has. Git reserves memory for them before it reads any.
    pub(super) fn objects(&self) -> Result<u32, ImportError> {
        let mut header = [0; 12];
        self.rewound()?
            .read_exact(&mut header)
            .map_err(|_| ImportError::NoPack)?;
        let word = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_be_bytes(bytes)
        };
        if !header.starts_with(b"PACK") || word(4) != 2 {
            return Err(ImportError::NoPack);
        }
        if word(8) > self.objects {
            let limit = u64::from(self.objects);
            return Err(ImportError::too_much("objects in the pack", limit));
        }
        Ok(word(8))
    }
}
