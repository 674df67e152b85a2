//! The log of an ephemeral session: nothing of it outlives the process.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use recto_protocol::ports::log::{ChunkWriter, Chunks, Log, LogError};
use recto_protocol::{Body, ChunkId, Record, SessionId};

use crate::Clock;
use crate::chunk::Ids;
use crate::error::Context;
use crate::session::number;

/// A log that is not kept. Only the count of records is held, since whoever appends gets them back.
pub struct MemoryLog {
    next: u64,
    clock: Clock,
}

impl MemoryLog {
    /// Begins an empty log.
    pub fn new(clock: Clock) -> Self {
        Self { next: 0, clock }
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn append(&mut self, bodies: Vec<Body>) -> Result<Vec<Record>, LogError> {
        let records = number(bodies, self.next, (self.clock)());
        self.next += records.len() as u64;
        Ok(records)
    }
}

/// Chunks that are not kept.
///
/// They go to one file that has no name from the start, so that not even a kill leaves it behind; in
/// memory, a few large outputs would cost more than the rest of the program.
pub struct MemoryChunks {
    ids: Mutex<Ids>,
    spool: Arc<Mutex<Spool>>,
}

impl MemoryChunks {
    /// No chunks yet. The session's id decides their ids.
    pub fn new(session: SessionId) -> Self {
        Self {
            ids: Mutex::new(Ids::after(session, 0)),
            spool: Arc::new(Mutex::new(Spool {
                file: None,
                end: 0,
                chunks: HashMap::new(),
            })),
        }
    }
}

impl Chunks for MemoryChunks {
    fn create(&self) -> Result<Box<dyn ChunkWriter>, LogError> {
        let claimed = lock(&self.ids).claim(|id| {
            let mut spool = lock(&self.spool);
            let free = !spool.chunks.contains_key(id);
            Ok(free.then(|| spool.chunks.insert(id.clone(), Vec::new())))
        });
        let (id, _) = claimed.context("make a chunk in", Path::new(SPOOL))?;
        Ok(Box::new(SpoolChunk {
            id,
            spool: Arc::clone(&self.spool),
        }))
    }

    fn read(&self, id: &ChunkId, offset: u64, limit: u64) -> Result<Vec<u8>, LogError> {
        let spool = lock(&self.spool);
        let extents = spool
            .chunks
            .get(id)
            .ok_or_else(|| LogError::NoChunk(id.clone()))?;
        Ok(spool
            .read(extents, offset, limit)
            .context("read", Path::new(SPOOL))?)
    }
}

/// How errors name the spool.
const SPOOL: &str = "the temporary file for outputs";

/// All chunks in one file: a file each would use up the descriptors of a long session.
struct Spool {
    file: Option<File>,
    end: u64,
    /// For each chunk, the parts of the file that are its bytes, in order: start and length.
    chunks: HashMap<ChunkId, Vec<(u64, u64)>>,
}

impl Spool {
    fn write(&mut self, id: &ChunkId, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        file.write_all_at(bytes, self.end)?;
        let length = bytes.len() as u64;
        let extents = self.chunks.entry(id.clone()).or_default();
        match extents.last_mut() {
            Some((start, count)) if *start + *count == self.end => *count += length,
            _ => extents.push((self.end, length)),
        }
        self.end += length;
        Ok(())
    }

    fn read(&self, extents: &[(u64, u64)], mut skip: u64, mut limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let Some(file) = &self.file else {
            return Ok(bytes);
        };
        for (start, length) in extents {
            let skipped = skip.min(*length);
            skip -= skipped;
            let taken = (length - skipped).min(limit);
            limit -= taken;
            let at = bytes.len();
            bytes.resize(at + usize::try_from(taken).unwrap_or(0), 0);
            file.read_exact_at(&mut bytes[at..], start + skipped)?;
        }
        Ok(bytes)
    }
}

struct SpoolChunk {
    id: ChunkId,
    spool: Arc<Mutex<Spool>>,
}

impl ChunkWriter for SpoolChunk {
    fn id(&self) -> ChunkId {
        self.id.clone()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        let written = lock(&self.spool).write(&self.id, bytes);
        Ok(written.context("write", Path::new(SPOOL))?)
    }
}

/// A panic while the lock was held leaves whole extents or none, so the spool stays usable.
fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
