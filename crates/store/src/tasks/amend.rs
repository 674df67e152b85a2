//! A task's place in lists, and its end.

use async_trait::async_trait;
use recto_protocol::TaskId;
use recto_protocol::task::{Amendment, TaskSpec};

use super::read::{json, to_json};
use super::words::fold;
use crate::sql::{Connection, Failure, Lock, Operation, values};

/// Changes a task's place in lists. Gives false when there is no such task.
pub(super) struct Amend {
    pub(super) task: TaskId,
    pub(super) amendment: Amendment,
}

#[async_trait]
impl Operation for Amend {
    const ACTION: &'static str = "amend a task";
    type Output = bool;

    async fn run(&self, on: &mut Connection<'_>) -> Result<bool, Failure> {
        let query = "select spec from task where id = $1";
        let rows = on
            .fetch_locked(Lock::Exclusive, query, values![&self.task])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(false);
        };
        let Amendment {
            title,
            labels,
            archived,
        } = &self.amendment;
        if let Some(title) = title {
            let name = format!("task {}", self.task);
            let spec: TaskSpec = json(&row.text("spec")?, "specification", &name)?;
            let update = "update task set title = $2, words = $3 where id = $1";
            let words = task_words(title, &spec);
            on.execute(update, values![&self.task, title, words])
                .await?;
        }
        if let Some(labels) = labels {
            let labels = sorted(labels);
            let update = "update task set labels = $2 where id = $1";
            on.execute(update, values![&self.task, to_json(&labels)])
                .await?;
            let delete = "delete from label where task = $1";
            on.execute(delete, values![&self.task]).await?;
            put_labels(on, &self.task, &labels).await?;
        }
        if let Some(archived) = archived {
            let update = "update task set archived = $2 where id = $1";
            on.execute(update, values![&self.task, *archived]).await?;
        }
        Ok(true)
    }
}

/// Labels as they are kept: sorted, each once.
pub(super) fn sorted(labels: &[String]) -> Vec<String> {
    let mut labels = labels.to_vec();
    labels.sort();
    labels.dedup();
    labels
}

/// Makes a task findable by its labels.
pub(super) async fn put_labels(
    on: &mut Connection<'_>,
    task: &TaskId,
    labels: &[String],
) -> Result<(), Failure> {
    for label in labels {
        // Two that differ in a character that is not kept are one.
        let insert = "insert into label (word, task) values ($1, $2) on conflict do nothing";
        on.execute(insert, values![label, task]).await?;
    }
    Ok(())
}

/// What a task is found by, besides the answers of its attempts.
pub(super) fn task_words(title: &str, spec: &TaskSpec) -> String {
    fold(&format!("{title}\n{}", spec.prompt))
}

/// Removes a task and all that belongs to it.
pub(super) struct Remove(pub(super) TaskId);

/// What became of a removal.
pub(super) enum Removal {
    Done,
    /// There is no such task.
    None,
    /// A worker holds one of its attempts.
    Busy,
}

#[async_trait]
impl Operation for Remove {
    const ACTION: &'static str = "remove a task";
    type Output = Removal;

    async fn run(&self, on: &mut Connection<'_>) -> Result<Removal, Failure> {
        let task = || values![&self.0];
        // In the order in which everybody locks: the task, then its attempts.
        let query = "select id from task where id = $1";
        let found = on.fetch_locked(Lock::Exclusive, query, task()).await?;
        if found.is_empty() {
            return Ok(Removal::None);
        }
        let query = "select worker from attempt where task = $1 order by id";
        for row in on.fetch_locked(Lock::Exclusive, query, task()).await? {
            if row.optional_text("worker")?.is_some() {
                return Ok(Removal::Busy);
            }
        }
        for delete in [
            "delete from record where attempt in (select id from attempt where task = $1)",
            "delete from message where attempt in (select id from attempt where task = $1)",
            "delete from answer where attempt in (select id from attempt where task = $1)",
            "delete from attempt where task = $1",
            "delete from label where task = $1",
            "delete from task where id = $1",
        ] {
            on.execute(delete, task()).await?;
        }
        Ok(Removal::Done)
    }
}
