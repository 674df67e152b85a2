//! Tasks and attempts are made.

use async_trait::async_trait;
use recto_protocol::ports::tasks::Submitted;
use recto_protocol::task::{NewTask, State, TaskSpec, title_of};
use recto_protocol::{AttemptId, TaskId};

use super::log::{self, state_changed};
use super::read::{json, to_json};
use super::{amend, inbox};
use crate::sql::{Connection, Failure, Lock, Operation, values};

/// Makes a task with its attempts. Gives none when the id is another task's.
pub(super) struct Submit {
    pub(super) id: TaskId,
    pub(super) new: NewTask,
    pub(super) at: i64,
}

#[async_trait]
impl Operation for Submit {
    const ACTION: &'static str = "hand in a task";
    type Output = Option<Submitted>;

    async fn run(&self, on: &mut Connection<'_>) -> Result<Option<Submitted>, Failure> {
        // What stood in the way may be removed before it is looked at: then it goes once more.
        loop {
            if self.insert(on).await? {
                return self.make_attempts(on).await.map(Some);
            }
            if let Some(known) = self.known(on).await? {
                return Ok(Some(known));
            }
            let query = "select id from task where id = $1";
            if on.fetch_one(query, values![&self.id]).await?.is_some() {
                return Ok(None);
            }
        }
    }
}

impl Submit {
    /// Makes the task, unless there is one by its id or key.
    async fn insert(&self, on: &mut Connection<'_>) -> Result<bool, Failure> {
        let spec = &self.new.spec;
        let title = match &self.new.title {
            Some(title) => title.clone(),
            None => title_of(&spec.prompt),
        };
        let labels = amend::sorted(&self.new.labels);
        let inserted = on
            .execute(
                "insert into task (id, spec, repository, title, labels, archived, created_at, \
                 submit_key, words) values ($1, $2, $3, $4, $5, 0, $6, $7, $8) \
                 on conflict do nothing",
                values![
                    &self.id,
                    to_json(spec),
                    &spec.repository,
                    &title,
                    to_json(&labels),
                    self.at,
                    self.new.key.clone(),
                    amend::task_words(&title, spec),
                ],
            )
            .await?;
        if inserted > 0 {
            amend::put_labels(on, &self.id, &labels).await?;
        }
        Ok(inserted > 0)
    }

    /// The task that the key made before.
    async fn known(&self, on: &mut Connection<'_>) -> Result<Option<Submitted>, Failure> {
        let Some(key) = &self.new.key else {
            return Ok(None);
        };
        let query = "select t.id as task, a.id as attempt from task t \
            join attempt a on a.task = t.id where t.submit_key = $1 order by a.number";
        let rows = on.fetch(query, values![key]).await?;
        let Some(first) = rows.first() else {
            return Ok(None);
        };
        let attempts = rows.iter().map(|row| Ok(AttemptId(row.text("attempt")?)));
        Ok(Some(Submitted {
            task: TaskId(first.text("task")?),
            attempts: attempts.collect::<Result<_, Failure>>()?,
            is_known: true,
        }))
    }

    async fn make_attempts(&self, on: &mut Connection<'_>) -> Result<Submitted, Failure> {
        let mut attempts = Vec::new();
        for number in 1..=self.new.spec.attempts {
            let prompt = &self.new.spec.prompt;
            attempts.push(make_attempt(on, &self.id, number, prompt, self.at).await?);
        }
        Ok(Submitted {
            task: self.id.clone(),
            attempts,
            is_known: false,
        })
    }
}

/// Makes one more attempt. Gives none when there is no such task.
pub(super) struct AddAttempt {
    pub(super) task: TaskId,
    pub(super) at: i64,
}

#[async_trait]
impl Operation for AddAttempt {
    const ACTION: &'static str = "add an attempt";
    type Output = Option<AttemptId>;

    async fn run(&self, on: &mut Connection<'_>) -> Result<Option<AttemptId>, Failure> {
        // The lock is on the number that comes next.
        let query = "select spec from task where id = $1";
        let rows = on
            .fetch_locked(Lock::Exclusive, query, values![&self.task])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let name = format!("task {}", self.task);
        let spec: TaskSpec = json(&row.text("spec")?, "specification", &name)?;
        let query = "select coalesce(max(number), 0) as last from attempt where task = $1";
        let last = on.fetch_one(query, values![&self.task]).await?;
        let last = last.map(|row| row.number("last")).transpose()?.unwrap_or(0);
        let number = u32::try_from(last + 1).unwrap_or(u32::MAX);
        let made = make_attempt(on, &self.task, number, &spec.prompt, self.at).await?;
        Ok(Some(made))
    }
}

/// Makes an attempt that waits for a worker, with the prompt in its inbox.
async fn make_attempt(
    on: &mut Connection<'_>,
    task: &TaskId,
    number: u32,
    prompt: &str,
    at: i64,
) -> Result<AttemptId, Failure> {
    let id = AttemptId::of(task, number);
    let line = state_changed(0, at, State::Queued, "").to_line();
    on.execute(
        "insert into attempt (id, task, number, state, reason, updated_at, queued_at, epoch, \
         records, bytes, messages, taken, standing) \
         values ($1, $2, $3, 'queued', '', $4, $4, 0, 1, $5, 1, 0, '{}')",
        values![&id, task, number, at, log::length(&line)],
    )
    .await?;
    log::insert(on, &id, 0, 0, &[line]).await?;
    inbox::begin(on, &id, prompt, at).await?;
    Ok(id)
}
