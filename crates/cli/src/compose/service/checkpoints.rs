//! An attempt's work tree, written down after each step.

use std::path::Path;

use async_trait::async_trait;
use recto_protocol::ports::checkpoints::Checkpoints;
use recto_protocol::record::Checkpointed;
use recto_workspace::git::{
    Git, OpenError, OpenOptions, Repository, Seed, SkipReason, Skipped, Trusted,
};
use tokio::sync::Mutex;

use super::failed;

/// Writes one work tree down. Trees are kept in the attempt's directory, out of its cell's reach.
pub(super) struct TreeCheckpoints {
    pub(super) trusted: Mutex<Trusted>,
    repository: Repository,
}

impl TreeCheckpoints {
    /// For a repository whose git directory no cell can write, so that its index can be trusted.
    pub(super) fn open(
        git: &Git,
        repository: &Repository,
        directory: &Path,
    ) -> Result<Self, OpenError> {
        let options = OpenOptions {
            seed: Seed::Index,
            ..OpenOptions::default()
        };
        Ok(Self {
            trusted: Mutex::new(Trusted::open(git, repository, directory, options)?),
            repository: repository.clone(),
        })
    }
}

#[async_trait]
impl Checkpoints for TreeCheckpoints {
    async fn write(&self) -> Result<Checkpointed, String> {
        let mut trusted = self.trusted.lock().await;
        let written = trusted.work_tree_tree().await;
        let written =
            written.map_err(|error| failed("write the work tree down", &error).message)?;
        let head = self.repository.head_commit().ok().flatten();
        Ok(Checkpointed {
            tree: written.tree.as_str().to_owned(),
            head: head.map(|commit| commit.as_str().to_owned()),
            skipped: written.skipped.iter().map(words).collect(),
        })
    }
}

/// A path that is left out, and why.
pub(super) fn words(skipped: &Skipped) -> String {
    let why = match skipped.reason {
        SkipReason::Repository => "a repository of its own",
        SkipReason::TooLarge => "too large",
        SkipReason::Unreadable => "not readable",
        SkipReason::Special => "no file",
    };
    format!("{} ({why})", skipped.path.display())
}
