//! `write_stdin`: talks to a command that is still running, or just waits for it.

use std::time::Instant;

use bytes::Bytes;
use recto_protocol::tool::Effect;
use serde::Deserialize;

use super::exec::{milliseconds, report, tokens};
use super::{ToolResult, Tools};

const DEFAULT_YIELD: f64 = 250.0;
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
    let started = Instant::now();
    let written = if args.chars.is_empty() {
        Ok(())
    } else if running.tty {
        running
            .control
            .write(Bytes::from(args.chars.into_bytes()))
            .await
    } else if args.chars == INTERRUPT {
        running.control.signal(SIGINT).await
    } else {
        return ToolResult::rejected(
            "write_stdin failed: the command has no input; start it with tty=true to talk to it",
        );
    };
    // A command that has just ended still has output to show.
    let _ = written;
    let patience = milliseconds(args.yield_time_ms, DEFAULT_YIELD);
    let max_tokens = tokens(args.max_output_tokens);
    let mut result = report(tools, &running, Some(number), started, patience, max_tokens).await;
    if let Effect::Command {
        session, exit_code, ..
    } = &mut result.effect
        && exit_code.is_none()
    {
        *session = Some(number);
    }
    result
}
