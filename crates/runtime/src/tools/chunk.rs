//! `read_chunk`: pages through the whole output of an earlier command.

use recto_protocol::ChunkId;
use recto_protocol::tool::Effect;
use serde::Deserialize;

use super::{ToolResult, Tools};
use crate::output::{BYTES_PER_TOKEN, MAX_TOKENS};

/// More than any chunk holds.
const WHOLE: u64 = 64 << 20;
const DEFAULT_LINES: f64 = 200.0;

#[derive(Deserialize)]
pub(super) struct Args {
    chunk_id: String,
    first_line: Option<f64>,
    line_count: Option<f64>,
}

pub(super) fn run(tools: &Tools, args: &Args) -> ToolResult {
    let id = ChunkId::from(args.chunk_id.as_str());
    let bytes = match tools.chunks.read(&id, 0, WHOLE) {
        Ok(bytes) => bytes,
        Err(error) => return ToolResult::rejected(error.to_string()),
    };
    let text = String::from_utf8_lossy(&bytes);
    let total = text.lines().count();
    let first = at_least_one(args.first_line.unwrap_or(1.0));
    let count = at_least_one(args.line_count.unwrap_or(DEFAULT_LINES));
    if first > total {
        return ToolResult::rejected(format!("chunk {id} has {total} lines"));
    }
    let mut shown = String::new();
    let mut last = first - 1;
    for line in text.lines().skip(first - 1).take(count) {
        // A first line that alone is too long is cut rather than withheld.
        if last >= first && shown.len() + line.len() > MAX_TOKENS * BYTES_PER_TOKEN {
            break;
        }
        shown.push_str(line);
        shown.push('\n');
        last += 1;
    }
    let mut capture = crate::output::Capture::default();
    capture.push(shown.as_bytes());
    let shown = capture.take(None, None).text;
    ToolResult::ok(
        format!("Lines {first} to {last} of {total}:\n{shown}"),
        Effect::None,
    )
}

fn at_least_one(number: f64) -> usize {
    // Saturates: nonsense becomes the nearest sensible number.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let number = number as usize;
    number.max(1)
}
