//! Where stores are opened in tests.

use std::sync::Arc;

use recto_protocol::ports::tasks::TaskStore;
use recto_store::{OpenError, Tasks};
use sqlx::{ConnectOptions as _, Row as _};

/// A database of a test's own.
pub(crate) enum Place {
    Sqlite(tempfile::TempDir),
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(crate) async fn tasks(&self) -> Result<Tasks, OpenError> {
        match self {
            Self::Sqlite(dir) => Tasks::sqlite(&dir.path().join("tasks.db")).await,
        }
    }

    /// One more store on the same database, with connections of its own.
    pub(crate) async fn open(&self) -> Arc<dyn TaskStore> {
        Arc::new(self.tasks().await.unwrap())
    }

    /// Runs a statement beside all stores.
    pub(crate) async fn execute(&self, sql: &'static str) {
        match self {
            Self::Sqlite(dir) => {
                let mut connection = sqlite(dir).await;
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
        }
    }

    /// The number of rows in each table but that of the schema.
    pub(crate) async fn rows(&self) -> Vec<(String, i64)> {
        let mut counts = Vec::new();
        for table in self.tables().await {
            let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
            let count = match self {
                Self::Sqlite(dir) => {
                    let mut connection = sqlite(dir).await;
                    let row = sqlx::query(sql).fetch_one(&mut connection).await.unwrap();
                    row.get(0)
                }
            };
            counts.push((table, count));
        }
        counts
    }

    async fn tables(&self) -> Vec<String> {
        match self {
            Self::Sqlite(dir) => {
                let mut connection = sqlite(dir).await;
                let sql = "select name from sqlite_master where type = 'table' \
                    and name <> 'recto_schema' and name not like 'sqlite_%' order by name";
                let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }
}

async fn sqlite(dir: &tempfile::TempDir) -> sqlx::SqliteConnection {
    sqlx::sqlite::SqliteConnectOptions::new()
        .filename(dir.path().join("tasks.db"))
        .connect()
        .await
        .unwrap()
}
