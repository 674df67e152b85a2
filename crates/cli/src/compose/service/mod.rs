//! The places of the service's attempts, made of the adapters.
//!
//! Below `$RECTO_HOME/service`: `mirrors/` holds one bare repository for each remote, `attempts/` a
//! directory for each attempt with its work tree, its outputs, its patches' journals, and what its
//! cell has changed in `.git` and not handed out yet.

mod checkpoints;
mod fetch;
mod place;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use recto_protocol::ports::log::Chunks;
use recto_protocol::task::Repository;
use recto_protocol::{AttemptId, SessionId};
use recto_service::{Difference, Job, Workplace, WorkplaceError, Workplaces};
use recto_store::ChunkFiles;
use recto_workspace::git::{DiffOptions, Git, Mirror, Oid, OpenOptions, Trusted, discover};

use super::git;
use super::home::{Home, make_private};
use crate::exit::Failure;
use fetch::Fetches;
pub use fetch::reach;
use place::Place;

/// All attempts' places on this machine.
pub struct Places {
    home: Home,
    data: PathBuf,
    fetches: Fetches,
}

impl Places {
    /// The places below the program's own directory, which must not be one that cells show.
    ///
    /// # Errors
    /// When it can't be made, or lies where all cells could see it.
    pub fn open(home: &Home) -> Result<Self, Failure> {
        let data = home.file("service");
        for directory in [data.clone(), data.join("mirrors"), data.join("attempts")] {
            make_private(&directory)
                .map_err(|error| Failure::unavailable(anyhow::anyhow!(error)))?;
        }
        let real = data.canonicalize().unwrap_or_else(|_| data.clone());
        if recto_cell::is_system_place(&real) {
            return Err(Failure::unavailable(anyhow::anyhow!(
                "{} lies in a directory that all cells can read",
                real.display()
            ))
            .hint("set RECTO_HOME to a directory elsewhere, such as /var/lib/recto"));
        }
        Ok(Self {
            fetches: Fetches::new(real.join("mirrors")),
            data: real,
            home: home.clone(),
        })
    }

    /// The directory of an attempt. Its id is the only text from outside that becomes a path.
    fn directory(&self, attempt: &AttemptId) -> Result<PathBuf, WorkplaceError> {
        match attempt.parts() {
            Some(_) => Ok(self.data.join("attempts").join(attempt.as_str())),
            None => Err(WorkplaceError::lasting("there is no such attempt")),
        }
    }

    fn git(&self) -> Result<Git, WorkplaceError> {
        git::find(&self.home, &[&self.data.join("attempts")]).map_err(told)
    }
}

#[async_trait]
impl Workplaces for Places {
    async fn probe(&self, repository: &Repository) -> Result<(), WorkplaceError> {
        let reach = reach(&self.home);
        let asked = Mirror::probe(&self.git()?, &repository.url, &reach).await;
        asked.map_err(|error| WorkplaceError::lasting(fetch::words(&repository.url, &error)))
    }

    async fn open(&self, job: Job) -> Result<Box<dyn Workplace>, WorkplaceError> {
        let directory = self.directory(&job.attempt)?;
        let git = self.git()?;
        let place = Place::open(&self.home, &git, &self.fetches, directory, job).await?;
        Ok(Box::new(place))
    }

    fn chunks(&self, attempt: &AttemptId) -> Result<Arc<dyn Chunks>, WorkplaceError> {
        let directory = self.directory(attempt)?.join("chunks");
        let id = SessionId(attempt.as_str().to_owned());
        Ok(Arc::new(ChunkFiles::open(&directory, id)))
    }

    async fn difference(
        &self,
        attempt: &AttemptId,
        from: &str,
        to: &str,
        is_binary: bool,
        limit: u64,
    ) -> Result<Difference, WorkplaceError> {
        let tree = self.directory(attempt)?.join("tree");
        let gone = || WorkplaceError::lasting("the attempt's work tree is not on this machine");
        let repository = discover(&tree).ok().flatten().ok_or_else(gone)?;
        let (from, to) = Oid::parse(from).zip(Oid::parse(to)).ok_or_else(gone)?;
        let trusted = Trusted::temporary(&self.git()?, &repository, OpenOptions::default())
            .map_err(|error| failed("look at the work tree", &error))?;
        let options = DiffOptions {
            limit,
            binary: is_binary,
            ..DiffOptions::default()
        };
        let diff = trusted.diff(&from, &to, options).await;
        let diff = diff.map_err(|error| failed("compare commits", &error))?;
        Ok(Difference {
            patch: diff.patch,
            is_cut: diff.truncated,
        })
    }

    async fn present(&self) -> Result<Vec<AttemptId>, WorkplaceError> {
        let entries = std::fs::read_dir(self.data.join("attempts"))
            .map_err(|error| failed("list the attempts' files", &error))?;
        let ids = entries.flatten().filter_map(|entry| {
            let id = AttemptId(entry.file_name().into_string().ok()?);
            id.parts().map(|_| id)
        });
        Ok(ids.collect())
    }

    async fn remove(&self, attempt: &AttemptId) -> Result<(), WorkplaceError> {
        let directory = self.directory(attempt)?;
        let removed = tokio::task::spawn_blocking(move || remove(&directory)).await;
        removed
            .unwrap_or_else(|_| Err(std::io::Error::other("the removal stopped unexpectedly")))
            .map_err(|error| failed("remove the attempt's files", &error))
    }
}

/// Removes a directory that a cell may have filled. What is below is never followed anywhere.
fn remove(directory: &Path) -> std::io::Result<()> {
    if let Ok(entries) = std::fs::read_dir(directory.join("layers")) {
        for entry in entries.flatten() {
            recto_cell::Layer::at(entry.path())
                .discard()
                .map_err(std::io::Error::other)?;
        }
    }
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A failure of this layer, as an attempt's user is told it.
fn told(failure: Failure) -> WorkplaceError {
    WorkplaceError::lasting(failure.message())
}

/// An error with its causes, as an attempt's user is told it.
fn failed(what: &str, error: &dyn std::error::Error) -> WorkplaceError {
    let mut message = format!("cannot {what}: {error}");
    let mut cause = error.source();
    while let Some(next) = cause {
        message.push_str(&format!(": {next}"));
        cause = next.source();
    }
    WorkplaceError::lasting(message)
}
