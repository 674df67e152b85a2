//! Tool calls and what came of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{CallId, ChunkId};

/// A call of one of our tools, as the model asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The provider's id of the call.
    pub call_id: CallId,
    /// The tool's name; `namespace.name` where the provider sent a namespace.
    pub name: String,
    /// What the model passed.
    pub input: ToolInput,
}

/// The text a call carries, by kind of tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolInput {
    /// JSON arguments, not yet checked.
    Function(String),
    /// Free text.
    Custom(String),
}

impl ToolInput {
    /// The text, whichever kind it is.
    pub fn text(&self) -> &str {
        match self {
            Self::Function(text) | Self::Custom(text) => text,
        }
    }
}

/// How a tool call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolStatus {
    /// It did what was asked.
    Ok,
    /// It ran and failed (for a command: a non-zero exit).
    Failed,
    /// It was not run: unknown tool, malformed arguments, or not allowed.
    Rejected,
    /// It was stopped by the user or by a budget.
    Interrupted,
    /// The worker stopped before the result was recorded.
    Lost,
}

/// What a tool call did, for the timeline and for the fold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Effect {
    /// Nothing worth showing beyond the call itself.
    None,
    /// A command ran, or runs on in the background.
    Command {
        /// The command line as the model wrote it.
        command: String,
        /// The exit code; none while it runs or when a signal ended it.
        exit_code: Option<i32>,
        /// The number by which `write_stdin` reaches it while it runs.
        session: Option<u32>,
        /// Where its whole output is kept.
        chunk: Option<ChunkId>,
        /// Bytes of output so far.
        output_bytes: u64,
        /// Lines of the chunk so far, for checking citations.
        output_lines: u64,
    },
    /// Files were changed by a patch.
    Files {
        /// The changes, in patch order.
        changes: Vec<FileChange>,
    },
    /// The plan was replaced.
    Plan {
        /// The new plan.
        plan: Plan,
    },
    /// An image was looked at.
    Image {
        /// Its path as given.
        path: String,
    },
}

/// One file changed by a patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileChange {
    /// Path relative to the work tree.
    pub path: String,
    /// What happened to it.
    pub change: ChangeKind,
    /// The new path, when it was moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<String>,
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Add,
    /// Its contents changed.
    Update,
    /// It is gone.
    Delete,
}

/// The agent's own list of what it means to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Why it changed, in the model's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// The steps, in order.
    #[serde(rename = "plan")]
    pub steps: Vec<PlanStep>,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanStep {
    /// What to do.
    pub step: String,
    /// How far it is.
    pub status: PlanStatus,
}

/// How far a step of a plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanStatus {
    /// Not begun.
    Pending,
    /// Being worked on.
    InProgress,
    /// Done.
    Completed,
}
