//! The log of one session, and the chunks that belong to it.

use async_trait::async_trait;

use crate::id::ChunkId;
use crate::record::{Body, Record};

/// An append-only log with one writer.
#[async_trait]
pub trait Log: Send + Sync {
    /// Appends records in one write and makes them durable. Returns them with their numbers.
    ///
    /// # Errors
    /// The system's reason. After an error nothing of `bodies` counts as written.
    async fn append(&mut self, bodies: Vec<Body>) -> Result<Vec<Record>, LogError>;

    /// Appends records in one write, durable against the end of this process at once, and against
    /// the end of the machine with the next [`Log::append`].
    ///
    /// # Errors
    /// As [`Log::append`].
    async fn append_relaxed(&mut self, bodies: Vec<Body>) -> Result<Vec<Record>, LogError> {
        self.append(bodies).await
    }
}

/// The outputs of one session's commands, kept whole.
pub trait Chunks: Send + Sync {
    /// Begins a chunk under a new id.
    ///
    /// # Errors
    /// The system's reason.
    fn create(&self) -> Result<Box<dyn ChunkWriter>, LogError>;

    /// Reads a part of a chunk: at most `limit` bytes from `offset`.
    ///
    /// # Errors
    /// The system's reason, or that there is no such chunk.
    fn read(&self, id: &ChunkId, offset: u64, limit: u64) -> Result<Vec<u8>, LogError>;
}

/// Takes one command's output as it comes.
pub trait ChunkWriter: Send {
    /// The chunk's id.
    fn id(&self) -> ChunkId;

    /// Appends bytes.
    ///
    /// # Errors
    /// The system's reason.
    fn write(&mut self, bytes: &[u8]) -> Result<(), LogError>;
}

/// Why a log could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Somebody else writes this log now.
    #[error("the log has another writer now")]
    Fenced,
    /// The store failed: whether the records were written is not known.
    #[error("the log's store failed")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no such chunk.
    #[error("there is no chunk {0}")]
    NoChunk(ChunkId),
}
