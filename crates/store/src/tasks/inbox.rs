//! What is said to attempts.

use async_trait::async_trait;
use recto_protocol::ports::tasks::StoreError;
use recto_protocol::record::Delivery;
use recto_protocol::task::{Message, NewMessage, Said, State};
use recto_protocol::{AttemptId, Record};

use super::log;
use super::read::{json, state, to_json};
use crate::sql::{Connection, Database, Failure, Lock, Operation, Row, values};

const READ: &str = "read an inbox";
/// Why an attempt is queued again when somebody says something to it.
const MESSAGE_CAME: &str = "a message came";

/// Reads the messages after a number.
pub(super) async fn read(
    database: &Database,
    attempt: &AttemptId,
    after: u64,
) -> Result<Vec<Message>, StoreError> {
    let query = "select number, at, said from message where attempt = $1 and number > $2 \
        and kind <> 'done' order by number";
    let rows = database.fetch(READ, query, values![attempt, after]).await?;
    let read = |row: &Row| {
        let number = row.count("number")?;
        let name = format!("message {number} to attempt {attempt}");
        Ok(Message {
            number,
            at: row.number("at")?,
            said: json(&row.text("said")?, "text", &name)?,
        })
    };
    let messages: Result<_, Failure> = rows.iter().map(read).collect();
    messages.map_err(|failure| failure.told(READ))
}

/// Puts a message into an inbox. Gives none when there is no such attempt.
pub(super) struct Send {
    pub(super) attempt: AttemptId,
    pub(super) message: NewMessage,
    pub(super) at: i64,
}

#[async_trait]
impl Operation for Send {
    const ACTION: &'static str = "send a message";
    type Output = Option<u64>;

    async fn run(&self, on: &mut Connection<'_>) -> Result<Option<u64>, Failure> {
        let attempt = &self.attempt;
        let query = "select state, worker, records, bytes, messages, taken from attempt \
            where id = $1";
        let rows = on
            .fetch_locked(Lock::Exclusive, query, values![attempt])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        if let Some(number) = self.known(on).await? {
            return Ok(Some(number));
        }
        let number = row.count("messages")? + 1;
        let update = "update attempt set messages = $2 where id = $1";
        on.execute(update, values![attempt, number]).await?;
        // What has a worker is told by the worker.
        let is_done = match row.optional_text("worker")? {
            None => self.act(on, row).await?,
            Some(_) => false,
        };
        let NewMessage { said, key } = &self.message;
        let kind = if is_done { "done" } else { kind(said) };
        let said = Kept {
            kind,
            said,
            key: key.as_deref(),
        };
        said.insert(on, attempt, number, self.at).await?;
        Ok(Some(number))
    }
}

impl Send {
    /// The number from the first time.
    async fn known(&self, on: &mut Connection<'_>) -> Result<Option<u64>, Failure> {
        let Some(key) = &self.message.key else {
            return Ok(None);
        };
        let query = "select number from message where attempt = $1 and send_key = $2";
        let found = on.fetch_one(query, values![&self.attempt, key]).await?;
        Ok(found.map(|row| row.count("number")).transpose()?)
    }

    /// Does what a message means for an attempt that no worker holds. True when nothing is left for
    /// a worker to do.
    async fn act(&self, on: &mut Connection<'_>, row: &Row) -> Result<bool, Failure> {
        let attempt = &self.attempt;
        let state = state(row, attempt)?;
        match &self.message.said {
            Said::Text { .. } if state == State::Queued => Ok(false),
            Said::Text { .. } => {
                queue(on, attempt, row, self.at).await?;
                Ok(false)
            }
            Said::Stop { .. } if state.has_ended() => Ok(true),
            Said::Stop { by } => {
                let update = "update attempt set epoch = epoch + 1 where id = $1";
                on.execute(update, values![attempt]).await?;
                let reason = format!("stopped by {by}");
                log::enter(on, attempt, row, State::Cancelled, &reason, self.at).await?;
                Ok(true)
            }
        }
    }
}

/// Queues an attempt for a message, at the queue's end.
pub(super) async fn queue(
    on: &mut Connection<'_>,
    attempt: &AttemptId,
    row: &Row,
    at: i64,
) -> Result<Record, Failure> {
    let update = "update attempt set queued_at = $2 where id = $1";
    on.execute(update, values![attempt, at]).await?;
    log::enter(on, attempt, row, State::Queued, MESSAGE_CAME, at).await
}

/// Whether the inbox holds a text that the log has not taken in. `row` is the attempt's.
pub(super) async fn has_text(
    on: &mut Connection<'_>,
    attempt: &AttemptId,
    row: &Row,
) -> Result<bool, Failure> {
    let taken = row.count("taken")?;
    if row.count("messages")? <= taken {
        return Ok(false);
    }
    let query = "select number from message where attempt = $1 and number > $2 \
        and kind = 'text' limit 1";
    let found = on.fetch_one(query, values![attempt, taken]).await?;
    Ok(found.is_some())
}

fn kind(said: &Said) -> &'static str {
    match said {
        Said::Text { .. } => "text",
        Said::Stop { .. } => "stop",
    }
}

/// A message as it is kept.
struct Kept<'a> {
    kind: &'static str,
    said: &'a Said,
    key: Option<&'a str>,
}

impl Kept<'_> {
    async fn insert(
        self,
        on: &mut Connection<'_>,
        attempt: &AttemptId,
        number: u64,
        at: i64,
    ) -> Result<(), Failure> {
        on.execute(
            "insert into message (attempt, number, at, send_key, kind, said) \
             values ($1, $2, $3, $4, $5, $6)",
            values![
                attempt,
                number,
                at,
                self.key.map(str::to_owned),
                self.kind,
                to_json(self.said)
            ],
        )
        .await?;
        Ok(())
    }
}

/// Writes the prompt, the first message of every inbox.
pub(super) async fn begin(
    on: &mut Connection<'_>,
    attempt: &AttemptId,
    prompt: &str,
    at: i64,
) -> Result<(), Failure> {
    let said = &Said::Text {
        text: prompt.to_owned(),
        delivery: Delivery::Queue,
    };
    let message = Kept {
        kind: kind(said),
        said,
        key: None,
    };
    message.insert(on, attempt, 1, at).await
}
