//! The one writer of an SQLite database.
//!
//! SQLite writes one transaction at a time, and making it durable costs far more than the statements
//! in it. So all operations that wait are run in one transaction, and all are answered once it is
//! durable. When one of them fails, or they don't fit on the disk, the transaction is given up and each
//! is run again in one of its own: failures are rare, and one that takes the whole transaction along,
//! as SQLite's do at times, then needs no case of its own, as it would with a savepoint for each.

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::open::sqlite_code;
use super::{Connection, Failure, Operation};

/// Most operations in one transaction. It bounds how long the first of them waits for the others.
const MOST_TOGETHER: usize = 256;

/// Runs operations on the one connection that writes.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    /// The task that does it; none once it was awaited.
    task: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Run(Box<dyn Job>),
    /// Take nothing more, and end when all that waits is done.
    Close,
}

impl Writer {
    /// Starts it. It ends when it is closed or dropped, after what waits by then.
    pub(super) fn start(connection: SqliteConnection, options: SqliteConnectOptions) -> Self {
        let (queue, waiting) = mpsc::channel(MOST_TOGETHER);
        let state = State {
            connection: Some(connection),
            options,
        };
        Self {
            queue,
            task: Mutex::new(Some(tokio::spawn(state.work(waiting)))),
        }
    }

    /// Runs an operation and waits until what it wrote is durable.
    pub(super) async fn run<O: Operation>(&self, operation: O) -> Result<O::Output, Failure> {
        let (reply, answer) = oneshot::channel();
        let job = Pending {
            operation,
            outcome: None,
            reply,
        };
        let closed = || Failure::Database(sqlx::Error::PoolClosed);
        self.queue
            .send(Message::Run(Box::new(job)))
            .await
            .map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Ends it, and waits for what it was given before.
    pub(super) async fn close(&self) {
        // Where nobody takes the message, it has ended before.
        let _ = self.queue.send(Message::Close).await;
        if let Some(task) = self.task.lock().await.take() {
            // A panic in it has been told of, and whoever waited for it has an error.
            let _ = task.await;
        }
    }
}

/// An operation of any kind, with whoever waits for it.
#[async_trait]
trait Job: Send {
    /// Runs it, and tells whether it succeeded.
    async fn run(&mut self, on: &mut Connection<'_>) -> bool;
    /// Answers with what the run came to, which is durable now if it succeeded.
    fn settle(self: Box<Self>);
    /// Answers that the transaction failed around it.
    fn fail(self: Box<Self>, error: sqlx::Error);
}

struct Pending<O: Operation> {
    operation: O,
    outcome: Option<Result<O::Output, Failure>>,
    reply: oneshot::Sender<Result<O::Output, Failure>>,
}

#[async_trait]
impl<O: Operation> Job for Pending<O> {
    async fn run(&mut self, on: &mut Connection<'_>) -> bool {
        let outcome = self.operation.run(on).await;
        let succeeded = outcome.is_ok();
        self.outcome = Some(outcome);
        succeeded
    }

    fn settle(self: Box<Self>) {
        // Whoever asked may be gone; what was done stays done.
        if let Some(outcome) = self.outcome {
            let _ = self.reply.send(outcome);
        }
    }

    fn fail(self: Box<Self>, error: sqlx::Error) {
        let _ = self.reply.send(Err(Failure::Database(error)));
    }
}

struct State {
    /// None after a failure that left it in doubt: the next transaction opens another one.
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
}

/// How a transaction ended.
enum End {
    /// It is durable.
    Committed,
    /// An operation in it failed; nothing of it stays.
    GivenUp,
    /// The database failed.
    Failed(sqlx::Error),
}

impl State {
    async fn work(mut self, mut waiting: mpsc::Receiver<Message>) {
        while let Some(message) = waiting.recv().await {
            let mut group = Vec::new();
            let mut next = Some(message);
            while let Some(message) = next {
                match message {
                    Message::Run(job) => group.push(job),
                    Message::Close => waiting.close(),
                }
                next = match group.len() < MOST_TOGETHER {
                    true => waiting.try_recv().ok(),
                    false => None,
                };
            }
            self.settle(group).await;
        }
        if let Some(connection) = self.connection {
            // Everything is durable already.
            let _ = connection.close().await;
        }
    }

    async fn settle(&mut self, mut group: Vec<Box<dyn Job>>) {
        if group.is_empty() {
            return;
        }
        let is_alone = group.len() == 1;
        match self.transaction(&mut group).await {
            End::Committed => group.into_iter().for_each(Job::settle),
            // What a lone operation came to is its own failure.
            End::GivenUp if is_alone => group.into_iter().for_each(Job::settle),
            End::Failed(error) if is_alone || !is_full(&error) => fail(group, error),
            End::GivenUp | End::Failed(_) => {
                for job in group {
                    Box::pin(self.settle(vec![job])).await;
                }
            }
        }
    }

    async fn transaction(&mut self, group: &mut [Box<dyn Job>]) -> End {
        match self.attempt(group).await {
            Ok(true) => End::Committed,
            Ok(false) => End::GivenUp,
            Err(error) => {
                // A commit that failed may have left a transaction open, or anything else.
                self.connection = None;
                End::Failed(error)
            }
        }
    }

    /// Whether all operations succeeded and are durable.
    async fn attempt(&mut self, group: &mut [Box<dyn Job>]) -> Result<bool, sqlx::Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.options.connect().await?),
        };
        let mut on = Connection::Sqlite(connection);
        on.execute("begin immediate", vec![]).await?;
        for job in group {
            if !job.run(&mut on).await {
                // SQLite ends the transaction by itself on some failures: then there is none to end.
                if on.execute("rollback", vec![]).await.is_err() {
                    self.connection = None;
                }
                return Ok(false);
            }
        }
        on.execute("commit", vec![]).await?;
        Ok(true)
    }
}

/// Whether there was no room. Then nothing was committed for certain, as it may have been where making
/// it durable failed, and some operations may still fit.
fn is_full(error: &sqlx::Error) -> bool {
    sqlite_code(error) == Some(13)
}

/// Tells all of them about one error, which can't be copied.
fn fail(group: Vec<Box<dyn Job>>, error: sqlx::Error) {
    let text = error.to_string();
    let mut error = Some(error);
    for job in group {
        let each = error
            .take()
            .unwrap_or_else(|| sqlx::Error::Io(std::io::Error::other(text.clone())));
        job.fail(each);
    }
}
