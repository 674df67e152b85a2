//! Repositories that tasks can name.

use async_trait::async_trait;
use recto_protocol::ports::tasks::StoreError;
use recto_protocol::task::Repository;

use crate::sql::{Connection, Database, Failure, Operation, Row, values};

const READ: &str = "read the repositories";

pub(super) struct Put(pub(super) Repository);

#[async_trait]
impl Operation for Put {
    const ACTION: &'static str = "keep a repository";
    type Output = ();

    async fn run(&self, on: &mut Connection<'_>) -> Result<(), Failure> {
        let Self(new) = self;
        on.execute(
            "insert into repository (name, url, default_reference, created_at) \
             values ($1, $2, $3, $4) on conflict (name) do update \
             set url = excluded.url, default_reference = excluded.default_reference",
            values![
                &new.name,
                &new.url,
                new.default_reference.clone(),
                new.created_at
            ],
        )
        .await?;
        Ok(())
    }
}

pub(super) struct Remove(pub(super) String);

#[async_trait]
impl Operation for Remove {
    const ACTION: &'static str = "forget a repository";
    type Output = bool;

    async fn run(&self, on: &mut Connection<'_>) -> Result<bool, Failure> {
        let delete = "delete from repository where name = $1";
        Ok(on.execute(delete, values![&self.0]).await? > 0)
    }
}

pub(super) async fn all(database: &Database) -> Result<Vec<Repository>, StoreError> {
    let query = "select name, url, default_reference, created_at from repository";
    let rows = database.fetch(READ, query, vec![]).await?;
    let read = |row: &Row| {
        Ok(Repository {
            name: row.text("name")?,
            url: row.text("url")?,
            default_reference: row.optional_text("default_reference")?,
            created_at: row.number("created_at")?,
        })
    };
    let repositories: Result<Vec<_>, Failure> = rows.iter().map(read).collect();
    let mut repositories = repositories.map_err(|failure| failure.told(READ))?;
    // Databases order texts by their language.
    repositories.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(repositories)
}
