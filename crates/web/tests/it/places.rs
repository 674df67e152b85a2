//! Places that hold what a test puts there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use recto_protocol::ports::log::{ChunkWriter, Chunks, LogError};
use recto_protocol::task::Repository;
use recto_protocol::{AttemptId, ChunkId};
use recto_service::{Difference, Job, Workplace, WorkplaceError, Workplaces};

/// Places without a cell.
#[derive(Default)]
pub(crate) struct Places {
    pub(crate) chunks: Arc<Outputs>,
    pub(crate) removed: Mutex<Vec<AttemptId>>,
}

#[derive(Default)]
pub(crate) struct Outputs(pub(crate) Mutex<HashMap<String, Vec<u8>>>);

impl Chunks for Outputs {
    fn create(&self) -> Result<Box<dyn ChunkWriter>, LogError> {
        unreachable!("the API writes no output")
    }

    fn read(&self, id: &ChunkId, offset: u64, limit: u64) -> Result<Vec<u8>, LogError> {
        let chunks = self.0.lock().unwrap();
        let all = chunks
            .get(id.as_str())
            .ok_or_else(|| LogError::NoChunk(id.clone()))?;
        let rest = all.iter().skip(usize::try_from(offset).unwrap());
        Ok(rest
            .take(usize::try_from(limit).unwrap())
            .copied()
            .collect())
    }
}

#[async_trait]
impl Workplaces for Places {
    async fn probe(&self, repository: &Repository) -> Result<(), WorkplaceError> {
        match repository.url.as_str() {
            "/gone" => Err(WorkplaceError::lasting("there is nothing at /gone")),
            "/busy" => Err(WorkplaceError::passing("/secret/lock is taken")),
            "/panic" => panic!("a bug"),
            _ => Ok(()),
        }
    }

    async fn open(&self, _: Job) -> Result<Box<dyn Workplace>, WorkplaceError> {
        unreachable!("the API opens no place")
    }

    fn chunks(&self, _: &AttemptId) -> Result<Arc<dyn Chunks>, WorkplaceError> {
        Ok(self.chunks.clone())
    }

    async fn difference(
        &self,
        _: &AttemptId,
        from: &str,
        to: &str,
        is_binary: bool,
        _: u64,
    ) -> Result<Difference, WorkplaceError> {
        let mut patch = format!("{from}..{to} {is_binary} ").into_bytes();
        patch.push(0xff);
        Ok(Difference {
            patch,
            is_cut: is_binary,
        })
    }

    async fn present(&self) -> Result<Vec<AttemptId>, WorkplaceError> {
        Ok(Vec::new())
    }

    async fn remove(&self, attempt: &AttemptId) -> Result<(), WorkplaceError> {
        self.removed.lock().unwrap().push(attempt.clone());
        Ok(())
    }
}
