//! Tasks in a database: SQLite for one machine, PostgreSQL for many.
//!
//! One file per group of operations; `docs/store.md` has the tables and the rules. Statements are
//! written once, for both databases ([`crate::sql`]).

mod amend;
mod claim;
mod inbox;
mod list;
mod log;
mod read;
mod repositories;
mod submit;
mod tokens;
mod words;
mod workers;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use recto_protocol::ports::tasks::{
    AppendError, Beat, Change, Claim, Lease, StoreError, Submitted, TaskStore,
};
use recto_protocol::task::{Amendment, Filter, Message, NewMessage, NewTask, Repository, Task};
use recto_protocol::{AttemptId, Body, Record, TaskId, WorkerId};

use crate::sql::{Database, OpenError};

/// The store of tasks. Copies are the same store.
#[derive(Clone)]
pub struct Tasks {
    database: Arc<Database>,
}

impl Tasks {
    /// Opens or creates a store in one file, whose directory there must be. Several processes may
    /// have it open at once, on one machine.
    ///
    /// # Errors
    /// [`OpenError`], with what to do about it.
    pub async fn sqlite(path: &Path) -> Result<Self, OpenError> {
        let database = Arc::new(Database::sqlite(path).await?);
        Ok(Self { database })
    }

    /// Opens a store in a PostgreSQL database, by its URL.
    ///
    /// # Errors
    /// [`OpenError`], with what to do about it.
    pub async fn postgres(url: &str) -> Result<Self, OpenError> {
        let database = Arc::new(Database::postgres(url).await?);
        Ok(Self { database })
    }

    /// Waits for what is being written and closes all connections; whatever comes later fails.
    /// Dropping the last copy closes them too, without waiting.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

#[async_trait]
impl TaskStore for Tasks {
    async fn put_repository(&self, repository: &Repository) -> Result<(), StoreError> {
        let put = repositories::Put(repository.clone());
        self.database.run(put).await
    }

    async fn repositories(&self) -> Result<Vec<Repository>, StoreError> {
        repositories::all(&self.database).await
    }

    async fn remove_repository(&self, name: &str) -> Result<bool, StoreError> {
        let remove = repositories::Remove(name.to_owned());
        self.database.run(remove).await
    }

    async fn submit(&self, id: &TaskId, new: &NewTask, at: i64) -> Result<Submitted, StoreError> {
        let submit = submit::Submit {
            id: id.clone(),
            new: new.clone(),
            at,
        };
        let taken = || StoreError::Taken(id.to_string());
        self.database.run(submit).await?.ok_or_else(taken)
    }

    async fn add_attempt(&self, task: &TaskId, at: i64) -> Result<Option<AttemptId>, StoreError> {
        let task = task.clone();
        self.database.run(submit::AddAttempt { task, at }).await
    }

    async fn task(&self, id: &TaskId) -> Result<Option<Task>, StoreError> {
        list::one(&self.database, id).await
    }

    async fn find(&self, prefix: &str) -> Result<Vec<TaskId>, StoreError> {
        list::find(&self.database, prefix).await
    }

    async fn tasks(&self, filter: &Filter) -> Result<(Vec<Task>, Option<String>), StoreError> {
        list::page(&self.database, filter).await
    }

    async fn amend(&self, task: &TaskId, amendment: &Amendment) -> Result<bool, StoreError> {
        let amend = amend::Amend {
            task: task.clone(),
            amendment: amendment.clone(),
        };
        self.database.run(amend).await
    }

    async fn remove(&self, task: &TaskId) -> Result<bool, StoreError> {
        match self.database.run(amend::Remove(task.clone())).await? {
            amend::Removal::Done => Ok(true),
            amend::Removal::None => Ok(false),
            amend::Removal::Busy => Err(StoreError::Busy(task.to_string())),
        }
    }

    async fn records(
        &self,
        attempt: &AttemptId,
        from: u64,
        most: u32,
    ) -> Result<Vec<Record>, StoreError> {
        log::read(&self.database, attempt, from, most).await
    }

    async fn send(
        &self,
        attempt: &AttemptId,
        message: &NewMessage,
        at: i64,
    ) -> Result<Option<u64>, StoreError> {
        let send = inbox::Send {
            attempt: attempt.clone(),
            message: message.clone(),
            at,
        };
        self.database.run(send).await
    }

    async fn inbox(&self, attempt: &AttemptId, after: u64) -> Result<Vec<Message>, StoreError> {
        inbox::read(&self.database, attempt, after).await
    }

    async fn join(&self, worker: &WorkerId, at: i64) -> Result<(), StoreError> {
        let worker = worker.clone();
        self.database.run(workers::Join { worker, at }).await
    }

    async fn beat(&self, worker: &WorkerId, beat: u64) -> Result<Beat, StoreError> {
        let worker = worker.clone();
        self.database.run(workers::Tell { worker, beat }).await
    }

    async fn workers(&self) -> Result<Vec<(WorkerId, u64)>, StoreError> {
        workers::all(&self.database).await
    }

    async fn expire(
        &self,
        worker: &WorkerId,
        beat: u64,
        reason: &str,
        at: i64,
    ) -> Result<Vec<AttemptId>, StoreError> {
        let expire = workers::Expire {
            worker: worker.clone(),
            beat,
            reason: reason.to_owned(),
            at,
        };
        self.database.run(expire).await
    }

    async fn claim(&self, worker: &WorkerId, most: u32) -> Result<Vec<Claim>, StoreError> {
        let worker = worker.clone();
        self.database.run(claim::Take { worker, most }).await
    }

    async fn append(
        &self,
        lease: &Lease,
        expect: u64,
        bodies: Vec<Body>,
        change: &Change,
        at: i64,
    ) -> Result<Vec<Record>, AppendError> {
        log::append(&self.database, lease, expect, bodies, change, at).await
    }
}
