//! Workers: who lives, and what becomes of the attempts of those who don't.

use async_trait::async_trait;
use recto_protocol::ports::tasks::{Beat, StoreError};
use recto_protocol::task::State;
use recto_protocol::{AttemptId, WorkerId};

use super::read::state;
use super::{inbox, log};
use crate::sql::{Connection, Database, Failure, Lock, Operation, Row, values};

const READ: &str = "read the workers";

/// Makes a worker known.
pub(super) struct Join {
    pub(super) worker: WorkerId,
    pub(super) at: i64,
}

#[async_trait]
impl Operation for Join {
    const ACTION: &'static str = "join as a worker";
    type Output = ();

    async fn run(&self, on: &mut Connection<'_>) -> Result<(), Failure> {
        let insert = "insert into worker (id, beat, joined_at) values ($1, 0, $2) \
            on conflict do nothing";
        on.execute(insert, values![&self.worker, self.at]).await?;
        Ok(())
    }
}

/// Tells that a worker lives.
pub(super) struct Tell {
    pub(super) worker: WorkerId,
    pub(super) beat: u64,
}

#[async_trait]
impl Operation for Tell {
    const ACTION: &'static str = "tell that a worker lives";
    type Output = Beat;

    async fn run(&self, on: &mut Connection<'_>) -> Result<Beat, Failure> {
        // Beats that overtook each other leave the greater one.
        let update = "update worker set beat = case when beat < $2 then $2 else beat end \
            where id = $1";
        if on.execute(update, values![&self.worker, self.beat]).await? == 0 {
            return Ok(Beat::default());
        }
        let query = "select a.id from attempt a where a.worker = $1 and a.messages > a.taken \
            and exists (select 1 from message m where m.attempt = a.id and m.number > a.taken \
            and m.kind <> 'done') order by a.id";
        let rows = on.fetch(query, values![&self.worker]).await?;
        let mail = rows.iter().map(|row| Ok(AttemptId(row.text("id")?)));
        Ok(Beat {
            is_alive: true,
            mail: mail.collect::<Result<_, Failure>>()?,
        })
    }
}

pub(super) async fn all(database: &Database) -> Result<Vec<(WorkerId, u64)>, StoreError> {
    let query = "select id, beat from worker order by joined_at, id";
    let rows = database.fetch(READ, query, vec![]).await?;
    let read = |row: &Row| Ok((WorkerId(row.text("id")?), row.count("beat")?));
    let workers: Result<_, Failure> = rows.iter().map(read).collect();
    workers.map_err(|failure| failure.told(READ))
}

/// Ends a worker whose beat number is still the same. Gives the attempts that are queued again.
pub(super) struct Expire {
    pub(super) worker: WorkerId,
    pub(super) beat: u64,
    pub(super) reason: String,
    pub(super) at: i64,
}

#[async_trait]
impl Operation for Expire {
    const ACTION: &'static str = "give up a worker";
    type Output = Vec<AttemptId>;

    async fn run(&self, on: &mut Connection<'_>) -> Result<Vec<AttemptId>, Failure> {
        let worker = || values![&self.worker];
        // While this lock is held, the worker claims nothing and beats no more.
        let query = "select beat from worker where id = $1";
        let rows = on.fetch_locked(Lock::Exclusive, query, worker()).await?;
        let Some(row) = rows.first() else {
            return Ok(Vec::new());
        };
        if row.count("beat")? != self.beat {
            return Ok(Vec::new());
        }
        let query = "select id, state, records, bytes, messages, taken from attempt \
            where worker = $1 order by id";
        let mut queued = Vec::new();
        for row in on.fetch_locked(Lock::Exclusive, query, worker()).await? {
            let attempt = AttemptId(row.text("id")?);
            if self.take_back(on, &attempt, &row).await? {
                queued.push(attempt);
            }
        }
        let delete = "delete from worker where id = $1";
        on.execute(delete, worker()).await?;
        Ok(queued)
    }
}

impl Expire {
    /// Takes an attempt from the worker. It is queued again, unless it had ended and only was not
    /// let go.
    async fn take_back(
        &self,
        on: &mut Connection<'_>,
        attempt: &AttemptId,
        row: &Row,
    ) -> Result<bool, Failure> {
        let update = "update attempt set worker = null, epoch = epoch + 1 where id = $1";
        on.execute(update, values![attempt]).await?;
        if state(row, attempt)?.has_ended() && !inbox::has_text(on, attempt, row).await? {
            return Ok(false);
        }
        log::enter(on, attempt, row, State::Queued, &self.reason, self.at).await?;
        Ok(true)
    }
}
