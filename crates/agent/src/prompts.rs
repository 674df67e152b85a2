//! What the model is told about its work: our own words, kept short.

use recto_protocol::Item;
use recto_protocol::settings::Mode;

const COMMON: &str = include_str!("prompts/common.md");
const CODE: &str = include_str!("prompts/code.md");
const ASK: &str = include_str!("prompts/ask.md");

/// Asks for a summary that lets the work go on without the conversation so far.
pub const COMPACT: &str = include_str!("prompts/compact.md");

/// Stands before a summary, so that the model knows where it comes from.
pub const SUMMARY_HEAD: &str = "The conversation so far was replaced by this summary of it, which you wrote. Go on from here; files and commits are as you left them.\n\n";

/// The system prompt of a mode.
pub fn instructions(mode: Mode) -> String {
    let special = match mode {
        Mode::Code => CODE,
        Mode::Ask => ASK,
    };
    format!("{}\n{}", COMMON.trim_end(), special.trim_end())
}

/// The item that makes a provider compact by itself.
pub fn compaction_trigger() -> Item {
    Item::from_value(&serde_json::json!({"type": "compaction_trigger"}))
        .unwrap_or_else(|_| unreachable!("the literal has a type"))
}
