//! `apply_patch`, as free text, as a JSON function, and as a shell heredoc.

use std::sync::Arc;
use std::time::Instant;

use recto_protocol::policy::Access;
use recto_protocol::ports::files::PatchRefused;
use recto_protocol::tool::{Effect, ToolCall, ToolInput};
use serde::Deserialize;

use super::{ToolResult, Tools, arguments, wall_time};

#[derive(Deserialize)]
struct Args {
    #[serde(alias = "patch")]
    input: String,
}

pub(super) async fn run(tools: &Tools, call: &ToolCall, access: Access) -> ToolResult {
    let patch = match &call.input {
        ToolInput::Custom(text) => text.clone(),
        // Models trained on the free form sometimes send it where JSON was asked for.
        ToolInput::Function(text) if text.trim_start().starts_with("*** Begin Patch") => {
            text.clone()
        }
        ToolInput::Function(_) => match arguments::<Args>(call) {
            Ok(args) => args.input,
            Err(rejected) => return rejected,
        },
    };
    apply(tools, patch, tools.cwd.clone(), access).await
}

/// Applies a patch whose paths start from `directory`, and says what came of it in the words that
/// models know.
pub(super) async fn apply(
    tools: &Tools,
    patch: String,
    directory: String,
    access: Access,
) -> ToolResult {
    if access == Access::ReadOnly {
        return ToolResult::rejected("patch rejected: files are read-only in this session");
    }
    let started = Instant::now();
    let files = Arc::clone(&tools.files);
    let applied = tokio::task::spawn_blocking(move || files.apply_patch(&patch, &directory)).await;
    match applied {
        Ok(Ok(applied)) => ToolResult::ok(
            format!(
                "Exit code: 0\nWall time: {} seconds\nOutput:\n{}",
                wall_time(started),
                applied.summary
            ),
            Effect::Files {
                changes: applied.changes,
            },
        ),
        Ok(Err(refused)) => refusal(refused),
        Err(_) => ToolResult::failed(
            "apply_patch failed: it stopped unexpectedly; look at the files before going on",
            Effect::None,
        ),
    }
}

fn refusal(refused: PatchRefused) -> ToolResult {
    let mut text = format!(
        "apply_patch failed, nothing was changed: {}",
        refused.message.trim_end()
    );
    if let Some(hint) = refused.hint {
        text.push_str("\nHint: ");
        text.push_str(&hint);
    }
    ToolResult::failed(
        text,
        Effect::Files {
            changes: refused.changes,
        },
    )
}
