//! The schema: a list of scripts, each run once, never changed, never undone.
//!
//! Which were run stands in the database itself, with their hashes. All that are missing are run in
//! one transaction, and only one process does it at a time.

use super::{Connection, OpenError, values};
use crate::chunk::sha256;

/// The scripts, in the order of their numbers from 1. Released ones are never changed; a test holds
/// their hashes.
const STEPS: &[(&str, &str)] = &[
    ("tasks", include_str!("../../migrations/0001_tasks.sql")),
    ("tokens", include_str!("../../migrations/0002_tokens.sql")),
];

/// Any number that other users of the same PostgreSQL database are unlikely to choose.
const ADVISORY_LOCK: i64 = 0x7265_6374_6f5f_6d67;

/// Brings the schema up to date.
pub(super) async fn run(on: &mut Connection<'_>, place: &str) -> Result<(), OpenError> {
    let sorted = |error| OpenError::sorted(place, error);
    begin(on).await.map_err(sorted)?;
    let outcome = steps(on, place).await;
    let end = if outcome.is_ok() {
        "commit"
    } else {
        "rollback"
    };
    let ended = on.execute(end, vec![]).await;
    outcome?;
    ended.map(drop).map_err(sorted)
}

/// Begins a transaction that nobody else is in.
async fn begin(on: &mut Connection<'_>) -> Result<(), sqlx::Error> {
    match on {
        Connection::Sqlite(_) => on.run("begin immediate").await,
        Connection::Postgres(_) => {
            on.run("begin").await?;
            let lock = "select pg_advisory_xact_lock($1)";
            on.execute(lock, values![ADVISORY_LOCK]).await.map(drop)
        }
    }
}

async fn steps(on: &mut Connection<'_>, place: &str) -> Result<(), OpenError> {
    let sorted = |error| OpenError::sorted(place, error);
    if is_foreign(on).await.map_err(sorted)? {
        return Err(OpenError::Foreign {
            place: place.to_owned(),
        });
    }
    on.run(
        "create table if not exists recto_schema \
         (step bigint primary key not null, name text not null, sha256 text not null)",
    )
    .await
    .map_err(sorted)?;
    let done = check(on, place).await?;
    for (index, (name, script)) in STEPS.iter().enumerate().skip(done) {
        on.run(script).await.map_err(sorted)?;
        let row = values![number(index), *name, sha256(script.as_bytes())];
        let insert = "insert into recto_schema (step, name, sha256) values ($1, $2, $3)";
        on.execute(insert, row).await.map_err(sorted)?;
    }
    Ok(())
}

/// Whether an SQLite file holds tables, but none that says which schema. A database of PostgreSQL
/// may well be shared.
async fn is_foreign(on: &mut Connection<'_>) -> Result<bool, sqlx::Error> {
    if matches!(on, Connection::Postgres(_)) {
        return Ok(false);
    }
    let query = "select name from sqlite_master where type = 'table' \
        order by name <> 'recto_schema' limit 1";
    let first = on.fetch_one(query, vec![]).await?;
    Ok(match first {
        Some(row) => row.text("name")? != "recto_schema",
        None => false,
    })
}

/// How many steps were made, all of them ours.
async fn check(on: &mut Connection<'_>, place: &str) -> Result<usize, OpenError> {
    let sorted = |error| OpenError::sorted(place, error);
    let query = "select step, sha256 from recto_schema order by step";
    let rows = on.fetch(query, vec![]).await.map_err(sorted)?;
    if rows.len() > STEPS.len() {
        return Err(OpenError::Newer {
            place: place.to_owned(),
            found: rows.len() as u64,
            known: STEPS.len() as u64,
        });
    }
    for (index, (row, (_, script))) in rows.iter().zip(STEPS).enumerate() {
        let made = (
            row.count("step").map_err(sorted)?,
            row.text("sha256").map_err(sorted)?,
        );
        if made != (number(index), sha256(script.as_bytes())) {
            return Err(OpenError::Unreleased {
                place: place.to_owned(),
                step: number(index),
            });
        }
    }
    Ok(rows.len())
}

fn number(index: usize) -> u64 {
    index as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::{STEPS, sha256};

    /// The steps that were part of a release. A step goes here with its release, and stays.
    const RELEASED: &[&str] = &[];

    #[test]
    fn released_steps_never_change() {
        for ((name, script), released) in STEPS.iter().zip(RELEASED) {
            assert_eq!(&sha256(script.as_bytes()), released, "{name}");
        }
        assert!(RELEASED.len() <= STEPS.len(), "a released step is gone");
    }
}
