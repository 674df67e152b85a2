//! What a user sees of a running session: JSON lines on standard output, or plain progress lines
//! and a live status on standard error.

pub mod human;
pub mod jsonl;
pub mod safe;
