//! The store of tasks: what the service keeps, shared by all servers and workers.
//!
//! Two rules hold everything together. **A log has one writer**, known by its [`Lease`]: every write
//! of a worker names the lease and how long the log is, and a write that does not fit is refused, so
//! a worker that lost an attempt without noticing can't do harm. **A worker is alive while its beat
//! number rises**: nobody compares clocks.

use async_trait::async_trait;

use crate::id::{AttemptId, TaskId, WorkerId};
use crate::record::{Body, Record};
use crate::task::{
    Amendment, Filter, Message, NewMessage, NewTask, Repository, Standing, State, Task,
};

/// Keeps tasks, attempts, their logs and inboxes, and hands attempts to workers.
///
/// `at` is always the time in milliseconds since 1970-01-01 UTC. Reads see all writes that were
/// acknowledged before.
#[async_trait]
pub trait TaskStore: Send + Sync {
    // ---- repositories ----

    /// Makes a repository known, or changes where a known name leads.
    async fn put_repository(&self, repository: &Repository) -> Result<(), StoreError>;

    /// All repositories, by name.
    async fn repositories(&self) -> Result<Vec<Repository>, StoreError>;

    /// Forgets a repository. False when there is none by that name.
    async fn remove_repository(&self, name: &str) -> Result<bool, StoreError>;

    // ---- tasks ----

    /// Makes a task with its attempts, each `queued`, with the prompt as the first message of their
    /// inboxes and the first record of their logs. With a key that is known, gives the task that it
    /// made the first time.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when there is another task by this id.
    async fn submit(&self, id: &TaskId, new: &NewTask, at: i64) -> Result<Submitted, StoreError>;

    /// Makes one more attempt of a task, as [`TaskStore::submit`] makes them. None when there is no
    /// such task.
    async fn add_attempt(&self, task: &TaskId, at: i64) -> Result<Option<AttemptId>, StoreError>;

    /// One task.
    async fn task(&self, id: &TaskId) -> Result<Option<Task>, StoreError>;

    /// The ids that begin with a text, at most ten.
    async fn find(&self, prefix: &str) -> Result<Vec<TaskId>, StoreError>;

    /// One page of tasks, and the cursor of the next one. A cursor that is none is ignored.
    async fn tasks(&self, filter: &Filter) -> Result<(Vec<Task>, Option<String>), StoreError>;

    /// Changes a task's place in lists. False when there is no such task.
    async fn amend(&self, task: &TaskId, amendment: &Amendment) -> Result<bool, StoreError>;

    /// Removes a task, its attempts, logs and inboxes. False when there is no such task.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while a worker holds one of its attempts.
    async fn remove(&self, task: &TaskId) -> Result<bool, StoreError>;

    // ---- logs and inboxes ----

    /// Records of an attempt's log from number `from` on, at most `most` and at least one where
    /// there are any.
    async fn records(
        &self,
        attempt: &AttemptId,
        from: u64,
        most: u32,
    ) -> Result<Vec<Record>, StoreError>;

    /// Puts a message into an attempt's inbox and gives its number. A text for an attempt that has
    /// ended queues it again, with a record. A stop for an attempt that waits in the queue ends it.
    /// With a key that is known, gives the number from the first time. None when there is no such
    /// attempt.
    async fn send(
        &self,
        attempt: &AttemptId,
        message: &NewMessage,
        at: i64,
    ) -> Result<Option<u64>, StoreError>;

    /// Messages after number `after`, in order, without stops that were done when they came: those
    /// for attempts that waited in the queue or had ended.
    async fn inbox(&self, attempt: &AttemptId, after: u64) -> Result<Vec<Message>, StoreError>;

    // ---- workers ----

    /// Makes a worker known, with beat number 0.
    async fn join(&self, worker: &WorkerId, at: i64) -> Result<(), StoreError>;

    /// Tells that a worker lives: `beat` is greater than the last time.
    async fn beat(&self, worker: &WorkerId, beat: u64) -> Result<Beat, StoreError>;

    /// All workers with their beat numbers.
    async fn workers(&self) -> Result<Vec<(WorkerId, u64)>, StoreError>;

    /// Ends a worker that does not beat any more, unless its number is another one than `beat`: its
    /// attempts are queued again, each with a record of `reason`, and their epochs rise, so nothing
    /// it still writes is taken. Gives those attempts. One that had ended, without a text that waits,
    /// only loses its worker.
    async fn expire(
        &self,
        worker: &WorkerId,
        beat: u64,
        reason: &str,
        at: i64,
    ) -> Result<Vec<AttemptId>, StoreError>;

    /// Takes up to `most` queued attempts for a worker, oldest first. Their epochs rise.
    async fn claim(&self, worker: &WorkerId, most: u32) -> Result<Vec<Claim>, StoreError>;

    /// Appends to an attempt's log, if the lease still holds and the log has `expect` records; and in
    /// the same step makes `change` of the attempt. Gives the records; where the attempt was queued
    /// again, the last one is that of the queue.
    ///
    /// # Errors
    /// [`AppendError`]; nothing is changed then, but for [`AppendError::Store`], after which the log
    /// must be read to know.
    async fn append(
        &self,
        lease: &Lease,
        expect: u64,
        bodies: Vec<Body>,
        change: &Change,
        at: i64,
    ) -> Result<Vec<Record>, AppendError>;
}

/// What became of a task that was handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The task.
    pub task: TaskId,
    /// Its attempts.
    pub attempts: Vec<AttemptId>,
    /// Whether it was handed in before under the same key.
    pub is_known: bool,
}

/// The right to write one attempt's log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The attempt.
    pub attempt: AttemptId,
    /// Rises with every claim, and is never used again.
    pub epoch: u64,
    /// Who holds it.
    pub worker: WorkerId,
}

/// An attempt that a worker took.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The right to write its log.
    pub lease: Lease,
    /// Its task.
    pub task: Task,
    /// Records in its log.
    pub records: u64,
    /// The number of the last message that its log has taken in; 0 for none.
    pub taken: u64,
}

/// What a worker is told when it tells that it lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// False when the worker was given up: it holds nothing any more and must stop.
    pub is_alive: bool,
    /// Attempts of this worker whose inboxes hold messages that their logs have not taken in.
    pub mail: Vec<AttemptId>,
}

/// What an append changes of the attempt besides its log. What is none stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The new state, and its reason.
    pub state: Option<(State, String)>,
    /// The number of the last message that the log has taken in now.
    pub taken: Option<u64>,
    /// What the log adds up to now.
    pub standing: Option<Standing>,
    /// The last final answer, for searching.
    pub answer: Option<String>,
    /// Whether the worker gives the attempt back.
    pub release: Release,
}

/// Whether a worker gives an attempt back, and what becomes of it then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Release {
    /// It keeps it.
    #[default]
    No,
    /// It has done all there was. A text that came meanwhile queues the attempt again at once; so does
    /// a state that only a worker could end (`preparing`, `running`).
    Done,
    /// It can do nothing, so texts wait until another one comes: else the same would fail for ever.
    Stuck,
}

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be reached, or answered with an error of its own. Trying again may help.
    #[error("the task store failed to {action}")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It holds something that this version can't read.
    #[error("the task store holds something unreadable: {what}")]
    Unreadable {
        /// What, and where.
        what: String,
    },
    /// There is another one by this id.
    #[error("{0} is taken")]
    Taken(String),
    /// A worker holds it.
    #[error("{0} is being worked on")]
    Busy(String),
}

/// Why records were not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The attempt is another worker's, or nobody's, by now.
    #[error("the attempt is no longer this worker's")]
    Fenced,
    /// The log has another length than the writer thinks.
    #[error("the log has {actual} records, not {expected}")]
    Conflict {
        /// What the writer expected.
        expected: u64,
        /// What there is.
        actual: u64,
    },
    /// The store failed: whether the records were written is not known.
    #[error(transparent)]
    Store(#[from] StoreError),
}
