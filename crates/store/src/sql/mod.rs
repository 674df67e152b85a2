//! One way to speak SQL to SQLite and PostgreSQL.
//!
//! Every statement is written once, in the dialect that both share: `$1` for values, `on conflict`,
//! `returning`, texts and 64-bit numbers. An [`Operation`] is what happens in one transaction; a
//! [`Database`] runs it. The only clause that differs is the one that locks rows, which SQLite, with
//! its one writer, does not need: [`Connection::fetch_locked`].

mod connection;
mod database;
mod migrate;
mod open;
mod operation;
mod row;
mod value;
mod writer;

pub(crate) use connection::{Connection, Lock};
pub(crate) use database::Database;
pub use open::OpenError;
pub(crate) use operation::{Failure, Operation};
pub(crate) use row::Row;
pub(crate) use value::{Value, values};
