//! Chunk ids and chunk files.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use recto_protocol::ports::log::{ChunkWriter, Chunks, LogError};
use recto_protocol::{ChunkId, SessionId};
use sha2::{Digest, Sha256};

use crate::error::Context;
use crate::file;
use crate::layout::is_chunk_id;

/// Ids tried before giving up: more than one session can use.
const TRIES: u64 = 1 << 20;

/// The SHA-256 of bytes, as lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The ids of one session's chunks, in an order that only the session's id decides.
#[derive(Debug)]
pub(crate) struct Ids {
    session: SessionId,
    counter: u64,
}

impl Ids {
    /// Goes on after `taken` chunks. Starting too low costs tries, nothing else.
    pub(crate) fn after(session: SessionId, taken: u64) -> Self {
        Self {
            session,
            counter: taken,
        }
    }

    /// Takes the next id for which `claim` gives something: it answers none when the id is taken.
    pub(crate) fn claim<T>(
        &mut self,
        mut claim: impl FnMut(&ChunkId) -> io::Result<Option<T>>,
    ) -> io::Result<(ChunkId, T)> {
        for _ in 0..TRIES {
            let hash = Sha256::digest(format!("{}:{}", self.session, self.counter));
            self.counter += 1;
            let id = ChunkId(format!("{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2]));
            if let Some(claimed) = claim(&id)? {
                return Ok((id, claimed));
            }
        }
        Err(io::Error::other("no chunk id is free"))
    }
}

/// One session's chunks as files of one directory, each named by its id.
///
/// Ids are claimed by making the file, so several processes may write into one directory.
#[derive(Debug)]
pub struct ChunkFiles {
    directory: PathBuf,
    ids: Mutex<Ids>,
}

impl ChunkFiles {
    /// The chunks in `directory`, which exists. The session's id decides the ids of new ones.
    pub fn open(directory: &Path, session: SessionId) -> Self {
        let taken = std::fs::read_dir(directory).map_or(0, |entries| entries.count() as u64);
        Self {
            directory: directory.to_owned(),
            ids: Mutex::new(Ids::after(session, taken)),
        }
    }
}

impl Chunks for ChunkFiles {
    fn create(&self) -> Result<Box<dyn ChunkWriter>, LogError> {
        let chunks = &self.directory;
        // A counter that a panic left behind is a counter like any other.
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let claimed = ids.claim(|id| match file::create_new(&chunks.join(id.as_str())) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error),
        });
        let (id, file) = claimed.context("make a chunk in", chunks)?;
        Ok(Box::new(FileChunk {
            path: chunks.join(id.as_str()),
            id,
            file,
        }))
    }

    fn read(&self, id: &ChunkId, offset: u64, limit: u64) -> Result<Vec<u8>, LogError> {
        let missing = || LogError::NoChunk(id.clone());
        // Nothing else ever becomes a path.
        if !is_chunk_id(id.as_str()) {
            return Err(missing());
        }
        let path = self.directory.join(id.as_str());
        let bytes = file::open(&path).and_then(|file| file::read_at(&file, offset, limit));
        match bytes {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing()),
            bytes => Ok(bytes.context("read", &path)?),
        }
    }
}

/// A chunk being written. Bytes go to the file as they come and are not synced: losing the end of
/// an output in a crash of the machine costs evidence, never the log.
struct FileChunk {
    id: ChunkId,
    path: PathBuf,
    file: File,
}

impl ChunkWriter for FileChunk {
    fn id(&self) -> ChunkId {
        self.id.clone()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        Ok(self.file.write_all(bytes).context("write", &self.path)?)
    }
}
