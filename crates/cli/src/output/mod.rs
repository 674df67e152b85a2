//! What a user sees of a running session: JSON lines on standard output, or plain progress lines
//! and a live status on standard error.

pub mod evidence;
pub mod filter;
pub mod human;
pub mod jsonl;
pub mod network;
pub mod safe;

use std::io::Write as _;

use recto_protocol::record::ToolFinished;

/// What the model was told of a call, as text.
fn told(body: &ToolFinished) -> String {
    let item: serde_json::Value = serde_json::from_str(body.item.raw()).unwrap_or_default();
    match &item["output"] {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The noun as it follows a number.
pub fn plural(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{noun}{ending}")
}

/// Writes to standard error. Nobody may be reading it and the disk behind it may be full; that is
/// no reason to end, so this is used where `eprint!` would panic.
pub fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
