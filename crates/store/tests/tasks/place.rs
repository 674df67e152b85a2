//! Where stores are opened in tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use recto_protocol::ports::tasks::TaskStore;
use recto_store::{OpenError, Tasks};
use sqlx::{ConnectOptions as _, PgConnection, Row as _, SqliteConnection};
use tempfile::TempDir;

use crate::cluster::Cluster;

/// A database of a test's own.
pub(crate) enum Place {
    Sqlite(TempDir),
    Postgres { cluster: Cluster, database: String },
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    /// None where there is no PostgreSQL.
    pub(crate) async fn postgres() -> Option<Self> {
        Some(Self::on(Cluster::shared()?).await)
    }

    pub(crate) async fn on(cluster: Cluster) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let database = format!("test_{}_{n}", std::process::id());
        let mut connection = postgres(&cluster.url("postgres")).await;
        let create = sqlx::AssertSqlSafe(format!("create database {database}"));
        sqlx::raw_sql(create)
            .execute(&mut connection)
            .await
            .unwrap();
        Self::Postgres { cluster, database }
    }

    pub(crate) async fn tasks(&self) -> Result<Tasks, OpenError> {
        match self {
            Self::Sqlite(dir) => Tasks::sqlite(&dir.path().join("tasks.db")).await,
            Self::Postgres { .. } => Tasks::postgres(&self.url()).await,
        }
    }

    /// One more store on the same database, with connections of its own.
    pub(crate) async fn open(&self) -> Arc<dyn TaskStore> {
        Arc::new(self.tasks().await.unwrap())
    }

    /// Runs statements beside all stores.
    pub(crate) async fn execute(&self, sql: &'static str) {
        match self {
            Self::Sqlite(dir) => {
                let mut connection = sqlite(dir).await;
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
            Self::Postgres { .. } => {
                let mut connection = postgres(&self.url()).await;
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
        }
    }

    /// The number of rows in each table but that of the schema.
    pub(crate) async fn rows(&self) -> Vec<(String, i64)> {
        let mut counts = Vec::new();
        for table in self.tables().await {
            if table == "recto_schema" || table.starts_with("sqlite_") {
                continue;
            }
            let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
            let count = match self {
                Self::Sqlite(dir) => {
                    let mut connection = sqlite(dir).await;
                    let row = sqlx::query(sql).fetch_one(&mut connection).await.unwrap();
                    row.get(0)
                }
                Self::Postgres { .. } => {
                    let mut connection = postgres(&self.url()).await;
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
                let sql = "select name from sqlite_master where type = 'table' order by name";
                let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
            Self::Postgres { .. } => {
                let mut connection = postgres(&self.url()).await;
                let sql = "select tablename::text from pg_tables where schemaname = 'public' \
                    order by tablename";
                let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }

    /// Crashes the server, which must be the test's own, and starts it again.
    pub(crate) fn crash(&self) {
        match self {
            Self::Sqlite(_) => panic!("a file does not crash"),
            Self::Postgres { cluster, .. } => cluster.crash(),
        }
    }

    /// A connection to a test's PostgreSQL database, beside all stores.
    pub(crate) async fn connection(&self) -> PgConnection {
        postgres(&self.url()).await
    }

    /// The address of a test's PostgreSQL database.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(_) => panic!("a file has no address"),
            Self::Postgres { cluster, database } => cluster.url(database),
        }
    }
}

async fn sqlite(dir: &TempDir) -> SqliteConnection {
    sqlx::sqlite::SqliteConnectOptions::new()
        .filename(dir.path().join("tasks.db"))
        .connect()
        .await
        .unwrap()
}

async fn postgres(url: &str) -> PgConnection {
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    options.connect().await.unwrap()
}
