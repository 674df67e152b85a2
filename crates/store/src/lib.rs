//! What is kept: local sessions as files, and the service's tasks in a database.
//!
//! A session is a directory, `$RECTO_HOME/sessions/<id>/`, with `log.jsonl`, `chunks/` and `lock`.
//! The log is the truth: one JSON record per line, one writer at a time, durable when
//! [`Log::append`](recto_protocol::ports::log::Log::append) returns. This crate is the only owner
//! of these files. `docs/log.md` describes the formats.
//!
//! [`Tasks`] is the store that the service works on, in SQLite or PostgreSQL: `docs/store.md`.
//!
//! The clock and the ids come from outside.

mod chunk;
mod error;
mod export;
mod file;
mod fork;
mod layout;
mod lines;
mod list;
mod lock;
mod memory;
mod session;
mod sessions;
mod sql;
mod tasks;

pub use chunk::{ChunkFiles, sha256};
pub use error::{
    CreateError, ExportError, FileError, ForkError, ListError, ReadError, RemoveError, ResumeError,
};
pub use export::{Verified, VerifyError, verify};
pub use layout::{InvalidId, check_id};
pub use lines::LineError;
pub use list::{Filter, Listing, Summary};
pub use lock::{Lock, LockError};
pub use memory::{MemoryChunks, MemoryLog};
pub use session::{Recovered, SessionLog};
pub use sessions::Sessions;
pub use sql::OpenError;
pub use tasks::Tasks;

/// The time in milliseconds since 1970-01-01 UTC, asked for at every append.
pub type Clock = Box<dyn Fn() -> i64 + Send + Sync>;
