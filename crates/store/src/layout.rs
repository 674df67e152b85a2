//! Where a session's files are, and which texts may become a path.

use std::path::{Path, PathBuf};

use recto_protocol::{ChunkId, SessionId};

/// A text that is no session id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a session id")]
pub struct InvalidId(pub String);

/// Checks that an id is a UUID version 7 in its usual lower-case form.
///
/// Nothing else ever becomes a path, so an id cannot name a file outside the sessions.
///
/// # Errors
/// [`InvalidId`] for everything else.
pub fn check_id(id: &SessionId) -> Result<(), InvalidId> {
    let text = id.as_str().as_bytes();
    let fits = text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            14 => *byte == b'7',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(byte),
        });
    if fits {
        Ok(())
    } else {
        Err(InvalidId(id.as_str().chars().take(64).collect()))
    }
}

/// Whether an id is six lower-case hexadecimal digits, the only texts that name a chunk's file.
pub(crate) fn is_chunk_id(id: &str) -> bool {
    id.len() == 6
        && id
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The files of one session.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) dir: PathBuf,
}

impl Layout {
    /// The files of session `id` below `sessions`.
    pub(crate) fn of(sessions: &Path, id: &SessionId) -> Result<Self, InvalidId> {
        check_id(id)?;
        Ok(Self {
            dir: sessions.join(id.as_str()),
        })
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("log.jsonl")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub(crate) fn chunks(&self) -> PathBuf {
        self.dir.join("chunks")
    }

    /// The file of a chunk; none when the id is no chunk id.
    pub(crate) fn chunk(&self, id: &ChunkId) -> Option<PathBuf> {
        is_chunk_id(id.as_str()).then(|| self.chunks().join(id.as_str()))
    }

    /// Where the `n`th torn tail of the log is kept.
    pub(crate) fn torn(&self, n: u32) -> PathBuf {
        self.dir.join(format!("log.torn-{n}"))
    }
}
