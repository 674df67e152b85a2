//! The rows that statements give.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Postgres, Row as _, Sqlite, Type};

/// One row of a result, its columns by name.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn text(&self, column: &str) -> Result<String, sqlx::Error> {
        self.get(column)
    }

    pub(crate) fn optional_text(&self, column: &str) -> Result<Option<String>, sqlx::Error> {
        self.get(column)
    }

    pub(crate) fn number(&self, column: &str) -> Result<i64, sqlx::Error> {
        self.get(column)
    }

    pub(crate) fn optional_number(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        self.get(column)
    }

    /// A number that is never negative.
    pub(crate) fn count(&self, column: &str) -> Result<u64, sqlx::Error> {
        Ok(u64::try_from(self.number(column)?).unwrap_or(0))
    }

    fn get<T>(&self, column: &str) -> Result<T, sqlx::Error>
    where
        T: for<'r> Decode<'r, Sqlite>
            + Type<Sqlite>
            + for<'r> Decode<'r, Postgres>
            + Type<Postgres>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }
}
