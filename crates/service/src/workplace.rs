//! Ports: the places that attempts work in.

use std::sync::Arc;

use async_trait::async_trait;
use recto_protocol::AttemptId;
use recto_protocol::ports::log::{Chunks, Log};
use recto_protocol::record::{Warning, WorkSettled};
use recto_protocol::settings::Settings;
use recto_protocol::task::{Repository, Task};
use recto_runtime::opening::Opening;
use recto_runtime::{Parts, Sink};

/// Makes, finds and removes the places of attempts on this machine.
#[async_trait]
pub trait Workplaces: Send + Sync {
    /// Looks whether a repository can be reached and read, before tasks name it.
    ///
    /// # Errors
    /// What is wrong with it.
    async fn probe(&self, repository: &Repository) -> Result<(), WorkplaceError>;

    /// Makes an attempt's place, or finds it as an earlier worker left it: the work tree on its
    /// branch, the environment, the cell. May be dropped at any moment; nothing is left running.
    ///
    /// # Errors
    /// [`WorkplaceError`]; the attempt fails with its words.
    async fn open(&self, job: Job) -> Result<Box<dyn Workplace>, WorkplaceError>;

    /// The outputs of an attempt's commands.
    ///
    /// # Errors
    /// When they can't be reached.
    fn chunks(&self, attempt: &AttemptId) -> Result<Arc<dyn Chunks>, WorkplaceError>;

    /// The difference between two commits or trees of an attempt's repository, as git writes it, at
    /// most `limit` bytes. With `is_binary`, such that it can be applied anywhere.
    ///
    /// # Errors
    /// When there is no such place or object.
    async fn difference(
        &self,
        attempt: &AttemptId,
        from: &str,
        to: &str,
        is_binary: bool,
        limit: u64,
    ) -> Result<Difference, WorkplaceError>;

    /// The attempts that have something on this machine.
    ///
    /// # Errors
    /// When that can't be read.
    async fn present(&self) -> Result<Vec<AttemptId>, WorkplaceError>;

    /// Removes everything of an attempt from this machine. Nothing is there afterwards, also if
    /// nothing was there before.
    ///
    /// # Errors
    /// What is left.
    async fn remove(&self, attempt: &AttemptId) -> Result<(), WorkplaceError>;
}

/// What a place is made for.
#[derive(Clone, Debug)]
pub struct Job {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its task.
    pub task: Task,
    /// The repository of the task.
    pub repository: Repository,
    /// The settings of its agent, where an earlier worker has begun.
    pub before: Option<Settings>,
}

/// The place of one attempt, with its cell running.
#[async_trait]
pub trait Workplace: Send + Sync {
    /// What its agent begins with, or is resumed with.
    fn opening(&self) -> Opening;

    /// The parts of its agent's driver. Asked for once.
    fn parts(&mut self, log: Box<dyn Log>, sink: Box<dyn Sink>) -> Parts;

    /// Things that users should know of how the place was made.
    fn warnings(&mut self) -> Vec<Warning>;

    /// Brings the agent's commits out of the cell, commits what it left, and says what there is. The
    /// cell must still live.
    ///
    /// # Errors
    /// When commits can't be brought home; they stay where they are, for the next time.
    async fn settle(&mut self) -> Result<Settled, WorkplaceError>;

    /// Ends the cell and everything in it. The place on disk stays.
    async fn close(&mut self);
}

/// What an attempt's work came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The commits; none where there is nothing to commit to.
    pub work: Option<WorkSettled>,
    /// Whether the place must be closed and opened anew before another turn.
    pub is_spent: bool,
    /// What users should know about it.
    pub warnings: Vec<Warning>,
}

/// A difference, as git writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// The patch. Paths and contents are the agent's, in any encoding.
    pub patch: Vec<u8>,
    /// Whether it was cut.
    pub is_cut: bool,
}

/// What is wrong with a place.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct WorkplaceError {
    /// For people: what happened, with causes, and what to do about it.
    pub message: String,
    /// Whether the same may succeed later, without anybody doing anything.
    pub is_transient: bool,
}

impl WorkplaceError {
    /// Something that stays wrong until somebody acts.
    pub fn lasting(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            is_transient: false,
        }
    }

    /// Something that may pass.
    pub fn passing(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            is_transient: true,
        }
    }
}
