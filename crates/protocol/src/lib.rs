//! The vocabulary of Recto: ids, items, records, policies, and the ports that adapters implement.
//!
//! This crate is layer 0. It does no IO and knows no runtime; what it serialises (records and
//! settings) is a promise to later versions, held by golden files in `tests/golden`.

pub mod egress;
pub mod id;
pub mod item;
pub mod policy;
pub mod ports;
pub mod profile;
pub mod record;
pub mod settings;
pub mod task;
pub mod token;
pub mod tool;
pub mod usage;

pub use id::{AttemptId, CallId, ChunkId, SessionId, TaskId, TokenId, WorkerId};
pub use item::{Item, ItemError, View};
pub use record::{Body, Record};
