//! Opening either database, and what may be wrong with it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use super::database::{Database, Sqlite};
use super::writer::Writer;
use super::{Connection, migrate};

/// How long a statement waits for another process that writes the same SQLite file.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections that read an SQLite database. Reads take well under a millisecond each.
const READERS: u32 = 4;
/// Connections to PostgreSQL.
const CONNECTIONS: u32 = 16;
/// What every connection to PostgreSQL begins with. A server that vanished behind a network holds
/// its locks for half a minute at most; nothing that the store asks for takes a minute.
const SETTINGS: &str = "set idle_in_transaction_session_timeout = '30s'; \
    set lock_timeout = '30s'; set statement_timeout = '60s'";

/// Why a task store could not be opened. The messages are for people.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum OpenError {
    #[error("the address of the task store is not one of PostgreSQL")]
    Address(#[source] sqlx::Error),
    #[error("{place} is no database; move it away, or name another file for the task store")]
    NoDatabase { place: String },
    #[error("{place} is a database of another program; name another one for the task store")]
    Foreign { place: String },
    #[error(
        "the task store {place} was written by a newer version of this program (its schema is {found}, \
         this program knows up to {known}); run that version, or restore a backup from before"
    )]
    Newer {
        place: String,
        found: u64,
        known: u64,
    },
    #[error(
        "the task store {place} was made by a build of this program that was never released (step \
         {step} of its schema is another one); run that build, or begin a new task store"
    )]
    Unreleased { place: String, step: u64 },
    #[error("the task store {place} is locked by another process; stop it, and try again")]
    Locked {
        place: String,
        #[source]
        source: sqlx::Error,
    },
    #[error("the disk of the task store {place} is full; make room, and try again")]
    Full {
        place: String,
        #[source]
        source: sqlx::Error,
    },
    #[error("the task store {place} is damaged; restore a backup")]
    Damaged {
        place: String,
        #[source]
        source: sqlx::Error,
    },
    #[error("cannot create the task store {place}")]
    Create {
        place: String,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot open the task store {place}")]
    Failed {
        place: String,
        #[source]
        source: sqlx::Error,
    },
}

impl OpenError {
    /// Sorts a failure by what a person can do about it.
    pub(super) fn sorted(place: &str, source: sqlx::Error) -> Self {
        let place = place.to_owned();
        match sqlite_code(&source) {
            Some(26) => Self::NoDatabase { place },
            Some(5 | 6) => Self::Locked { place, source },
            Some(13) => Self::Full { place, source },
            Some(11) => Self::Damaged { place, source },
            _ => Self::Failed { place, source },
        }
    }
}

/// SQLite's primary result code.
pub(super) fn sqlite_code(error: &sqlx::Error) -> Option<u32> {
    let error = error.as_database_error()?;
    // PostgreSQL's codes have five characters, and some are digits alone.
    error.try_downcast_ref::<sqlx::sqlite::SqliteError>()?;
    let code: u32 = error.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// Opens or creates an SQLite database, its schema brought up to date.
pub(super) async fn sqlite(path: &Path) -> Result<Database, OpenError> {
    let place = path.display().to_string();
    create(path).map_err(|source| OpenError::Create {
        place: place.clone(),
        source,
    })?;
    let sorted = |error| OpenError::sorted(&place, error);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(PATIENCE)
        .disable_statement_logging();
    let writing = options
        .clone()
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // What is deleted is overwritten: deleting a task means it.
        .pragma("secure_delete", "on")
        .pragma("journal_size_limit", "67108864");
    let mut connection = connect(&writing).await.map_err(sorted)?;
    migrate::run(&mut Connection::Sqlite(&mut connection), &place).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        // A file does not go away between two reads.
        .test_before_acquire(false)
        // They are cheap to keep; opening one costs more than a read.
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options.pragma("query_only", "on"));
    let writer = Writer::start(connection, writing);
    Ok(Database::Sqlite(Sqlite::new(writer, readers)))
}

/// Makes an empty file that only its owner can read; SQLite gives its other files the same rights.
fn create(path: &Path) -> std::io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(drop)
}

/// Connects, and waits for another process that is just making the file a database with a
/// write-ahead log: SQLite itself does not wait for that.
async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    let began = Instant::now();
    loop {
        match options.connect().await {
            Err(error) if sqlite_code(&error) == Some(5) && began.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => return other,
        }
    }
}

/// Opens a PostgreSQL database, its schema brought up to date.
pub(super) async fn postgres(url: &str) -> Result<Database, OpenError> {
    let options: PgConnectOptions = url.parse().map_err(OpenError::Address)?;
    let options = options
        .application_name("recto")
        .disable_statement_logging();
    // Never the address itself: it may hold a password.
    let place = format!(
        "{} on {}",
        options.get_database().unwrap_or(options.get_username()),
        options.get_host()
    );
    let mut connection = options
        .connect()
        .await
        .map_err(|source| OpenError::sorted(&place, source))?;
    migrate::run(&mut Connection::Postgres(&mut connection), &place).await?;
    // Only its schema was of interest.
    let _ = connection.close().await;
    Ok(Database::Postgres(pool(options)))
}

fn pool(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(SETTINGS).await.map(drop) })
        })
        .connect_lazy_with(options)
}
