//! The logs of attempts: the fence, and reading.

use async_trait::async_trait;
use recto_protocol::ports::tasks::{AppendError, Change, Lease, Release, StoreError};
use recto_protocol::record::StateChanged;
use recto_protocol::task::State;
use recto_protocol::{AttemptId, Body, Record};
use sqlx::AssertSqlSafe;

use super::inbox;
use super::read::{state, to_json};
use super::words::fold;
use crate::sql::{Connection, Database, Failure, Operation, Row, values};

const READ: &str = "read a log";
/// Most bytes of records that are read at once, but for the last of them.
const PAGE: i64 = 4 << 20;
/// Most records in one statement.
const MOST_TOGETHER: usize = 32;
/// Why an attempt is queued again when its worker lets it go.
const GIVEN_BACK: &str = "its worker gave it back";

/// Reads records of an attempt's log.
pub(super) async fn read(
    database: &Database,
    attempt: &AttemptId,
    from: u64,
    most: u32,
) -> Result<Vec<Record>, StoreError> {
    let query = "select line from record where attempt = $1 and seq >= $2 and begins < $3 + \
        (select begins from record where attempt = $1 and seq = $2) order by seq limit $4";
    let values = values![attempt, from, PAGE, most.max(1)];
    let rows = database.fetch(READ, query, values).await?;
    let read = |row: &Row| {
        Record::from_line(&row.text("line")?)
            .map_err(|error| Failure::Unreadable(format!("the log of attempt {attempt}: {error}")))
    };
    let records: Result<_, Failure> = rows.iter().map(read).collect();
    records.map_err(|failure| failure.told(READ))
}

/// Appends to an attempt's log.
pub(super) async fn append(
    database: &Database,
    lease: &Lease,
    expect: u64,
    bodies: Vec<Body>,
    change: &Change,
    at: i64,
) -> Result<Vec<Record>, AppendError> {
    let mut records: Vec<Record> = (0..)
        .zip(bodies)
        .map(|(n, body)| Record {
            // No log is that long; a wrong number is refused below.
            seq: expect.saturating_add(n),
            at,
            body,
        })
        .collect();
    let append = Append {
        lease: lease.clone(),
        expect,
        lines: records.iter().map(Record::to_line).collect(),
        change: change.clone(),
        at,
    };
    match database.run(append).await? {
        Outcome::Appended(more) => {
            records.extend(more.map(|record| *record));
            Ok(records)
        }
        Outcome::Fenced => Err(AppendError::Fenced),
        Outcome::Conflict(actual) => Err(AppendError::Conflict {
            expected: expect,
            actual,
        }),
    }
}

struct Append {
    lease: Lease,
    expect: u64,
    lines: Vec<String>,
    change: Change,
    at: i64,
}

enum Outcome {
    /// With the record of the attempt's being queued again, if it was.
    Appended(Option<Box<Record>>),
    Fenced,
    Conflict(u64),
}

#[async_trait]
impl Operation for Append {
    const ACTION: &'static str = "append to a log";
    type Output = Outcome;

    async fn run(&self, on: &mut Connection<'_>) -> Result<Outcome, Failure> {
        let Some(row) = self.pass(on).await? else {
            return self.why_not(on).await;
        };
        let attempt = &self.lease.attempt;
        let begins = row.count("bytes")?.saturating_sub(self.bytes());
        insert(on, attempt, self.expect, begins, &self.lines).await?;
        if let Some(answer) = &self.change.answer {
            on.execute(
                "insert into answer (attempt, words) values ($1, $2) \
                 on conflict (attempt) do update set words = excluded.words",
                values![attempt, fold(answer)],
            )
            .await?;
        }
        let more = match self.change.release {
            Release::No => None,
            Release::Stuck if state(&row, attempt)?.has_ended() => None,
            Release::Done | Release::Stuck => release(on, attempt, &row, self.at).await?,
        };
        Ok(Outcome::Appended(more.map(Box::new)))
    }
}

impl Append {
    /// The fence: changes the attempt's row if this worker has it and knows its log.
    async fn pass(&self, on: &mut Connection<'_>) -> Result<Option<Row>, Failure> {
        let (state, reason) = self.change.state.clone().unzip();
        let standing = self.change.standing.as_ref().map(to_json);
        let row = on
            .fetch_one(
                "update attempt set records = records + $5, bytes = bytes + $6, updated_at = $7, \
                 state = coalesce($8, state), reason = coalesce($9, reason), \
                 taken = coalesce($10, taken), standing = coalesce($11, standing), \
                 worker = case when $12 = 1 then null else worker end \
                 where id = $1 and epoch = $2 and worker = $3 and records = $4 \
                 returning state, records, bytes, messages, taken",
                values![
                    &self.lease.attempt,
                    self.lease.epoch,
                    &self.lease.worker,
                    self.expect,
                    self.lines.len() as u64,
                    self.bytes(),
                    self.at,
                    state.map(|state| state.word().to_owned()),
                    reason,
                    self.change.taken,
                    standing,
                    self.change.release != Release::No,
                ],
            )
            .await?;
        Ok(row)
    }

    fn bytes(&self) -> u64 {
        self.lines.iter().map(|line| length(line)).sum()
    }

    async fn why_not(&self, on: &mut Connection<'_>) -> Result<Outcome, Failure> {
        let query = "select records from attempt where id = $1 and epoch = $2 and worker = $3";
        let lease = &self.lease;
        let values = values![&lease.attempt, lease.epoch, &lease.worker];
        Ok(match on.fetch_one(query, values).await? {
            Some(row) => Outcome::Conflict(row.count("records")?),
            None => Outcome::Fenced,
        })
    }
}

/// Queues an attempt again that its worker has just let go, where there is something to do: nothing
/// that nobody holds stays in a state that only a worker can end.
pub(super) async fn release(
    on: &mut Connection<'_>,
    attempt: &AttemptId,
    row: &Row,
    at: i64,
) -> Result<Option<Record>, Failure> {
    match state(row, attempt)? {
        State::Queued => Ok(None),
        State::Preparing | State::Running => enter(on, attempt, row, State::Queued, GIVEN_BACK, at)
            .await
            .map(Some),
        State::Awaiting | State::Done | State::Failed | State::Cancelled | State::OutOfBudget => {
            let has_text = inbox::has_text(on, attempt, row).await?;
            match has_text {
                true => inbox::queue(on, attempt, row, at).await.map(Some),
                false => Ok(None),
            }
        }
    }
}

/// Puts an attempt into a state, with a record of it. `row` has its log's length, and is locked.
pub(super) async fn enter(
    on: &mut Connection<'_>,
    attempt: &AttemptId,
    row: &Row,
    state: State,
    reason: &str,
    at: i64,
) -> Result<Record, Failure> {
    let (records, bytes) = (row.count("records")?, row.count("bytes")?);
    let record = state_changed(records, at, state, reason);
    let line = record.to_line();
    on.execute(
        "update attempt set state = $2, reason = $3, updated_at = $4, records = records + 1, \
         bytes = bytes + $5 where id = $1",
        values![attempt, state.word(), reason, at, length(&line)],
    )
    .await?;
    insert(on, attempt, records, bytes, &[line]).await?;
    Ok(record)
}

pub(super) fn state_changed(seq: u64, at: i64, state: State, reason: &str) -> Record {
    let body = Body::from(StateChanged {
        state,
        reason: reason.to_owned(),
    });
    Record { seq, at, body }
}

/// Bytes of a line in a log, with its line break.
pub(super) fn length(line: &str) -> u64 {
    line.len() as u64 + 1
}

/// Writes lines behind a log that ends where they begin.
pub(super) async fn insert(
    on: &mut Connection<'_>,
    attempt: &AttemptId,
    first: u64,
    begins: u64,
    lines: &[String],
) -> Result<(), Failure> {
    let (mut seq, mut begins) = (first, begins);
    for lines in lines.chunks(MOST_TOGETHER) {
        let mut values = values![attempt];
        for line in lines {
            values.extend(values![seq, begins, line]);
            seq += 1;
            begins += length(line);
        }
        // Numbers alone are put in.
        let sql = AssertSqlSafe(statement(lines.len()));
        on.execute(sql, values).await?;
    }
    Ok(())
}

fn statement(lines: usize) -> String {
    let rows: Vec<String> = (0..lines)
        .map(|n| format!("($1, ${}, ${}, ${})", 3 * n + 2, 3 * n + 3, 3 * n + 4))
        .collect();
    format!(
        "insert into record (attempt, seq, begins, line) values {}",
        rows.join(", ")
    )
}
