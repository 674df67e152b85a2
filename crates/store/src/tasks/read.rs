//! Tasks from rows: one row per attempt, with its task's columns.

use recto_protocol::task::{Attempt, State, Task};
use recto_protocol::{AttemptId, TaskId};
use serde::de::DeserializeOwned;

use crate::sql::{Failure, Row};

/// The columns that a task is read from, as text that other text can be put around.
macro_rules! columns {
    () => {
        "t.id as task, t.spec, t.title, t.labels, t.archived, t.created_at, a.id as attempt, \
         a.state, a.reason, a.records, a.updated_at, a.standing"
    };
}
pub(super) use columns;

/// The tasks in rows, which stand in order, those of one task together.
pub(super) fn tasks(rows: &[Row]) -> Result<Vec<Task>, Failure> {
    let mut tasks: Vec<Task> = Vec::new();
    for row in rows {
        let id = TaskId(row.text("task")?);
        let attempt = attempt(row)?;
        match tasks.last_mut() {
            Some(last) if last.id == id => last.attempts.push(attempt),
            _ => tasks.push(task(row, id, attempt)?),
        }
    }
    Ok(tasks)
}

fn task(row: &Row, id: TaskId, first: Attempt) -> Result<Task, Failure> {
    let name = format!("task {id}");
    Ok(Task {
        spec: json(&row.text("spec")?, "specification", &name)?,
        title: row.text("title")?,
        labels: json(&row.text("labels")?, "labels", &name)?,
        archived: row.number("archived")? != 0,
        created_at: row.number("created_at")?,
        attempts: vec![first],
        id,
    })
}

fn attempt(row: &Row) -> Result<Attempt, Failure> {
    let id = AttemptId(row.text("attempt")?);
    Ok(Attempt {
        state: state(row, &id)?,
        reason: row.text("reason")?,
        records: row.count("records")?,
        updated_at: row.number("updated_at")?,
        standing: json(&row.text("standing")?, "standing", &format!("attempt {id}"))?,
        id,
    })
}

/// The state in a row of an attempt.
pub(super) fn state(row: &Row, attempt: &AttemptId) -> Result<State, Failure> {
    let word = row.text("state")?;
    let unknown = || Failure::Unreadable(format!("the state {word:?} of attempt {attempt}"));
    State::parse(&word).ok_or_else(unknown)
}

/// Reads what was kept as JSON.
pub(super) fn json<T: DeserializeOwned>(text: &str, what: &str, of: &str) -> Result<T, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::Unreadable(format!("the {what} of {of}: {error}")))
}

/// What is kept as JSON. None of these types holds a map with keys that are no texts.
pub(super) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| unreachable!("kept types are plain JSON"))
}
