//! Statements on a connection to either database.

use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, SqlSafeStr};

use super::{Row, Value};

/// A connection, in a transaction or not.
pub(crate) enum Connection<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// How the rows that a statement finds are locked until the transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Nobody else may change or lock them.
    Exclusive,
    /// Nobody else may change them.
    Shared,
    /// As exclusive, and rows that somebody else has locked are passed over.
    ExclusiveOfFree,
}

/// Runs a query that was bound with all values, on whichever database it is.
macro_rules! on {
    ($connection:expr, $sql:expr, $values:expr, $method:ident, $map:expr) => {{
        let sql = $sql.into_sql_str();
        match $connection {
            Connection::Sqlite(connection) => {
                let mut query = sqlx::query::<sqlx::Sqlite>(sql);
                for value in $values {
                    query = match value {
                        Value::Text(text) => query.bind(text),
                        Value::Number(number) => query.bind(number),
                    };
                }
                query.$method(&mut **connection).await.map($map.0)
            }
            Connection::Postgres(connection) => {
                let mut query = sqlx::query::<sqlx::Postgres>(sql);
                for value in $values {
                    query = match value {
                        Value::Text(text) => query.bind(text),
                        Value::Number(number) => query.bind(number),
                    };
                }
                query.$method(&mut **connection).await.map($map.1)
            }
        }
    }};
}

impl Connection<'_> {
    /// Runs a statement and gives the number of rows that it changed.
    pub(crate) async fn execute(
        &mut self,
        sql: impl SqlSafeStr,
        values: Vec<Value>,
    ) -> Result<u64, sqlx::Error> {
        let counts = (
            |done: sqlx::sqlite::SqliteQueryResult| done.rows_affected(),
            |done: sqlx::postgres::PgQueryResult| done.rows_affected(),
        );
        on!(self, sql, values, execute, counts)
    }

    /// Runs a statement and gives its rows.
    pub(crate) async fn fetch(
        &mut self,
        sql: impl SqlSafeStr,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let rows = (
            |rows: Vec<_>| rows.into_iter().map(Row::Sqlite).collect(),
            |rows: Vec<_>| rows.into_iter().map(Row::Postgres).collect(),
        );
        on!(self, sql, values, fetch_all, rows)
    }

    /// Runs a statement that gives one row at most.
    pub(crate) async fn fetch_one(
        &mut self,
        sql: impl SqlSafeStr,
        values: Vec<Value>,
    ) -> Result<Option<Row>, sqlx::Error> {
        Ok(self.fetch(sql, values).await?.into_iter().next())
    }

    /// Runs a query and locks what it finds.
    pub(crate) async fn fetch_locked(
        &mut self,
        lock: Lock,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        // Put together from constants alone.
        let sql = AssertSqlSafe(format!("{sql}{}", self.clause(lock)));
        self.fetch(sql, values).await
    }

    /// Runs statements without values, one after the other.
    pub(crate) async fn run(&mut self, script: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => sqlx::raw_sql(script)
                .execute(&mut **connection)
                .await
                .map(drop),
            Self::Postgres(connection) => sqlx::raw_sql(script)
                .execute(&mut **connection)
                .await
                .map(drop),
        }
    }

    /// The clause at the end of a query. SQLite has none: its transactions that write come one after
    /// the other.
    fn clause(&self, lock: Lock) -> &'static str {
        match (self, lock) {
            (Self::Sqlite(_), _) => "",
            (Self::Postgres(_), Lock::Exclusive) => " for update",
            (Self::Postgres(_), Lock::Shared) => " for share",
            (Self::Postgres(_), Lock::ExclusiveOfFree) => " for update skip locked",
        }
    }
}
