//! `write_stdin`: talks to a command that is still running, or just waits for it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use recto_protocol::ports::cell::CellError;
use recto_protocol::tool::Effect;
use serde::Deserialize;
use serde_json::Value;

use super::exec::{milliseconds, report, tokens};
use super::process::Running;
use super::{ToolResult, Tools};

const DEFAULT_YIELD: f64 = 250.0;
/// How long a command is listened to at the least.
const MOMENT: Duration = Duration::from_millis(250);
const SIGINT: i32 = 2;
const INTERRUPT: &str = "\u{3}";

#[derive(Deserialize)]
pub(super) struct Args {
    session_id: f64,
    #[serde(default)]
    chars: String,
    yield_time_ms: Option<f64>,
    max_output_tokens: Option<f64>,
}

pub(super) async fn run(tools: &Tools, args: Args) -> ToolResult {
    // Saturates; numbers that are none of ours are not found.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let number = args.session_id as u32;
    let Some(running) = tools.processes.get(number) else {
        return ToolResult::rejected(format!(
            "write_stdin failed: no running command has session ID {number}"
        ));
    };
    if !running.tty && !args.chars.is_empty() && args.chars != INTERRUPT {
        return ToolResult::rejected(
            "write_stdin failed: the command has no input; start it with tty=true to talk to it",
        );
    }
    let started = Instant::now();
    let patience = milliseconds(args.yield_time_ms, DEFAULT_YIELD);
    let remark = say(&running, args.chars, patience).await;
    // What the command says to its input is worth a moment, also when taking it took long.
    let left = patience.saturating_sub(started.elapsed()).max(MOMENT);
    let max_tokens = tokens(args.max_output_tokens);
    let mut result = report(tools, &running, Some(number), started, left, max_tokens).await;
    if let (Some(remark), Value::String(output)) = (remark, &mut result.output) {
        // In the head, which always goes this far.
        let at = output.find("\nOutput:\n").unwrap_or(output.len());
        output.insert_str(at, &remark);
    }
    if let Effect::Command {
        session, exit_code, ..
    } = &mut result.effect
        && exit_code.is_none()
    {
        *session = Some(number);
    }
    result
}

/// Passes input on, or the interrupt where there is no terminal. Says what was not taken: a command
/// that does not read its input must not hold up the turn.
async fn say(running: &Running, chars: String, patience: Duration) -> Option<String> {
    if chars.is_empty() {
        return None;
    }
    let taken = async {
        if running.tty {
            running.control.write(Bytes::from(chars.into_bytes())).await
        } else {
            running.control.signal(SIGINT).await
        }
    };
    let why = match tokio::time::timeout(patience, taken).await {
        Ok(Ok(())) => return None,
        // It tells that the command has ended as well.
        Ok(Err(CellError::Gone)) => "the command has ended".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!(
            "the command does not read it; waited {} seconds",
            patience.as_secs_f64()
        ),
    };
    Some(format!("\nThe input was not taken completely: {why}"))
}
