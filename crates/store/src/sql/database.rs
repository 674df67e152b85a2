//! A database that operations and queries are run on.

use std::path::Path;

use recto_protocol::ports::tasks::StoreError;
use sqlx::SqlSafeStr;
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;

use super::writer::Writer;
use super::{Connection, Failure, OpenError, Operation, Row, Value, open};

/// How often an operation is begun again when PostgreSQL gave it up for another one's sake.
const MOST_RUNS: u32 = 10;

/// Either database.
pub(crate) enum Database {
    Sqlite(Sqlite),
    Postgres(PgPool),
}

/// An SQLite database: one connection that writes, and some that read.
pub(crate) struct Sqlite {
    writer: Writer,
    readers: SqlitePool,
}

impl Sqlite {
    pub(super) fn new(writer: Writer, readers: SqlitePool) -> Self {
        Self { writer, readers }
    }
}

impl Database {
    /// Opens or creates an SQLite database.
    pub(crate) async fn sqlite(path: &Path) -> Result<Self, OpenError> {
        open::sqlite(path).await
    }

    /// Opens a PostgreSQL database.
    pub(crate) async fn postgres(url: &str) -> Result<Self, OpenError> {
        open::postgres(url).await
    }

    /// Runs an operation in a transaction. What it wrote is durable when this returns.
    pub(crate) async fn run<O: Operation>(&self, operation: O) -> Result<O::Output, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.writer.run(operation).await,
            Self::Postgres(pool) => run_postgres(pool, &operation).await,
        }
        .map_err(|failure| failure.told(O::ACTION))
    }

    /// Runs a query and gives its rows. Everything that was acknowledged before is seen.
    pub(crate) async fn fetch(
        &self,
        action: &'static str,
        sql: impl SqlSafeStr,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let rows = async {
            match self {
                Self::Sqlite(sqlite) => {
                    let mut connection = sqlite.readers.acquire().await?;
                    let mut on = Connection::Sqlite(&mut connection);
                    on.fetch(sql, values).await
                }
                Self::Postgres(pool) => {
                    let mut connection = pool.acquire().await?;
                    let mut on = Connection::Postgres(&mut connection);
                    on.fetch(sql, values).await
                }
            }
        };
        rows.await
            .map_err(|error| Failure::Database(error).told(action))
    }

    /// Waits for what is being written, and closes all connections.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(sqlite) => {
                sqlite.writer.close().await;
                sqlite.readers.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

async fn run_postgres<O: Operation>(pool: &PgPool, operation: &O) -> Result<O::Output, Failure> {
    let mut runs = 0;
    loop {
        runs += 1;
        // Dropped without a commit, it is rolled back.
        let mut transaction = pool.begin().await?;
        let outcome = operation
            .run(&mut Connection::Postgres(&mut transaction))
            .await;
        let outcome = match outcome {
            Ok(output) => transaction.commit().await.map(|()| output),
            Err(failure) if runs < MOST_RUNS && failure.is_worth_again() => continue,
            Err(failure) => return Err(failure),
        };
        return Ok(outcome?);
    }
}
