//! Writing a work tree down.

use async_trait::async_trait;

use crate::record::Checkpointed;

/// Writes one work tree down, as a tree object.
#[async_trait]
pub trait Checkpoints: Send + Sync {
    /// Writes the whole work tree down as it is now. Cheap where little has changed since the last
    /// time.
    ///
    /// # Errors
    /// For people: why it could not be written. The work goes on without.
    async fn write(&self) -> Result<Checkpointed, String>;
}
