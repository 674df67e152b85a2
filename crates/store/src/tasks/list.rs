//! Tasks are looked up and listed.

use recto_protocol::TaskId;
use recto_protocol::ports::tasks::StoreError;
use recto_protocol::task::{Filter, Task};
use sqlx::AssertSqlSafe;

use super::read::{columns, tasks};
use super::words::{escape, patterns};
use crate::sql::{Database, Failure, Value, values};

const READ: &str = "read tasks";
/// Tasks on a page unless the filter says otherwise, and at most.
const PAGE: u32 = 50;
const LONGEST_PAGE: u32 = 200;

/// One task.
pub(super) async fn one(database: &Database, id: &TaskId) -> Result<Option<Task>, StoreError> {
    let query = concat!(
        "select ",
        columns!(),
        " from task t join attempt a on a.task = t.id where t.id = $1 order by a.number"
    );
    let rows = database.fetch(READ, query, values![id]).await?;
    let mut found = tasks(&rows).map_err(|failure| failure.told(READ))?;
    Ok(found.pop())
}

/// Ids that begin with a text.
pub(super) async fn find(database: &Database, prefix: &str) -> Result<Vec<TaskId>, StoreError> {
    // SQLite compares without letter case here, and ids have only small letters.
    if prefix.chars().any(|c| c.is_uppercase()) {
        return Ok(Vec::new());
    }
    let query = r"select id from task where id like $1 escape '\' limit 10";
    let pattern = format!("{}%", escape(prefix));
    let rows = database.fetch(READ, query, values![pattern]).await?;
    let ids: Result<_, Failure> = rows.iter().map(|row| Ok(TaskId(row.text("id")?))).collect();
    ids.map_err(|failure| failure.told(READ))
}

/// One page of tasks, newest first, and the cursor of the next one.
pub(super) async fn page(
    database: &Database,
    filter: &Filter,
) -> Result<(Vec<Task>, Option<String>), StoreError> {
    let limit = filter.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let mut query = Query::default();
    query.restrict(filter);
    // One more than asked for tells whether there is a next page.
    let most = query.value(limit + 1);
    let sql = format!(
        "with page as (select t.id from task t where {} \
         order by t.created_at desc, t.id desc limit {most}) \
         select {} from page join task t on t.id = page.id join attempt a on a.task = t.id \
         order by t.created_at desc, t.id desc, a.number",
        query.conditions.join(" and "),
        columns!()
    );
    // Put together from constants and numbers of values.
    let rows = database
        .fetch(READ, AssertSqlSafe(sql), query.values)
        .await?;
    let mut found = tasks(&rows).map_err(|failure| failure.told(READ))?;
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| has_more).map(cursor);
    Ok((found, next))
}

/// What comes after a task.
fn cursor(task: &Task) -> String {
    format!("{}.{}", task.created_at, task.id)
}

fn parse_cursor(text: &str) -> Option<(i64, TaskId)> {
    let (created_at, id) = text.split_once('.')?;
    Some((created_at.parse().ok()?, TaskId::from(id)))
}

/// Conditions on `task t`, with their values.
#[derive(Default)]
struct Query {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Query {
    /// Adds a value and gives its place.
    fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    fn restrict(&mut self, filter: &Filter) {
        let archived = self.value(filter.archived);
        self.conditions.push(format!("t.archived = {archived}"));
        if let Some(state) = filter.state {
            let state = self.value(state.word());
            self.conditions.push(format!(
                "exists (select 1 from attempt a where a.task = t.id and a.state = {state})"
            ));
        }
        if let Some(repository) = filled(&filter.repository) {
            let repository = self.value(repository);
            self.conditions.push(format!("t.repository = {repository}"));
        }
        if let Some(label) = filled(&filter.label) {
            let label = self.value(label);
            self.conditions.push(format!(
                "exists (select 1 from label l where l.task = t.id and l.word = {label})"
            ));
        }
        for pattern in patterns(filter.search.as_deref().unwrap_or_default()) {
            let pattern = self.value(pattern);
            self.conditions.push(format!(
                r"(t.words like {pattern} escape '\' or exists (select 1 from attempt a
                   join answer w on w.attempt = a.id
                   where a.task = t.id and w.words like {pattern} escape '\'))"
            ));
        }
        if let Some((created_at, id)) = filter.cursor.as_deref().and_then(parse_cursor) {
            let (created_at, id) = (self.value(created_at), self.value(&id));
            self.conditions.push(format!(
                "(t.created_at < {created_at} or (t.created_at = {created_at} and t.id < {id}))"
            ));
        }
    }
}

/// What is empty does not restrict.
fn filled(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}
