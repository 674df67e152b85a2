//! What a user sees of a running session: JSON lines on standard output, or plain progress lines
//! and a live status on standard error.

pub mod human;
pub mod jsonl;
pub mod safe;

use std::io::Write as _;

/// Writes to standard error. Nobody may be reading it and the disk behind it may be full; that is
/// no reason to end, so this is used where `eprint!` would panic.
pub fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
