//! Attempts are handed to workers.

use async_trait::async_trait;
use recto_protocol::ports::tasks::{Claim, Lease};
use recto_protocol::{AttemptId, TaskId, WorkerId};

use super::read::{columns, tasks};
use crate::sql::{Connection, Failure, Lock, Operation, Row, values};

/// Takes queued attempts for a worker, those first that have waited longest.
pub(super) struct Take {
    pub(super) worker: WorkerId,
    pub(super) most: u32,
}

#[async_trait]
impl Operation for Take {
    const ACTION: &'static str = "claim attempts";
    type Output = Vec<Claim>;

    async fn run(&self, on: &mut Connection<'_>) -> Result<Vec<Claim>, Failure> {
        // A worker that was given up would hold what it takes for ever. The lock keeps it from being
        // given up meanwhile.
        let query = "select id from worker where id = $1";
        let known = on
            .fetch_locked(Lock::Shared, query, values![&self.worker])
            .await?;
        if known.is_empty() {
            return Ok(Vec::new());
        }
        let query = "select id from attempt where state = 'queued' and worker is null \
            order by queued_at, id limit $1";
        let free = on
            .fetch_locked(Lock::ExclusiveOfFree, query, values![self.most])
            .await?;
        let mut claims = Vec::new();
        for row in free {
            claims.push(self.claim(on, AttemptId(row.text("id")?)).await?);
        }
        Ok(claims)
    }
}

impl Take {
    /// Takes an attempt whose row is locked.
    async fn claim(&self, on: &mut Connection<'_>, attempt: AttemptId) -> Result<Claim, Failure> {
        let update = "update attempt set worker = $2, epoch = epoch + 1 where id = $1 \
            returning task, epoch, records, taken";
        let row = on
            .fetch_one(update, values![&attempt, &self.worker])
            .await?;
        let row = row.ok_or(sqlx::Error::RowNotFound)?;
        let query = concat!(
            "select ",
            columns!(),
            " from task t join attempt a on a.task = t.id where t.id = $1 order by a.number"
        );
        let task = TaskId(row.text("task")?);
        let rows: Vec<Row> = on.fetch(query, values![&task]).await?;
        let task = tasks(&rows)?.pop().ok_or(sqlx::Error::RowNotFound)?;
        Ok(Claim {
            records: row.count("records")?,
            taken: row.count("taken")?,
            lease: Lease {
                attempt,
                epoch: row.count("epoch")?,
                worker: self.worker.clone(),
            },
            task,
        })
    }
}
