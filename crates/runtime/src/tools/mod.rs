//! The tools: each takes the model's text and gives back what the model is told.
//!
//! One file per tool. A call that is malformed, unknown or not allowed is answered with a reason
//! and recorded as rejected; it never ends the turn.

mod chunk;
mod exec;
mod image;
mod patch;
mod plan;
mod process;
mod stdin;

use std::sync::Arc;
use std::time::{Duration, Instant};

use recto_agent::tools as names;
use recto_protocol::policy::Access;
use recto_protocol::ports::cell::Cell;
use recto_protocol::ports::files::Files;
use recto_protocol::ports::log::Chunks;
use recto_protocol::tool::{Effect, ToolCall, ToolInput, ToolStatus};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, Semaphore};

use crate::live::Live;
use crate::output;

pub use image::prepare as image_url;
pub(crate) use process::{Processes, StartError, run_to_end};

/// How long the cell may take to kill what runs in it.
pub(crate) const KILL_PATIENCE: Duration = Duration::from_secs(2);
/// Images that are decoded at once.
pub(crate) const DECODERS: usize = 2;
/// The kernel takes no longer path (`PATH_MAX`).
const LONGEST_PATH: usize = 4096;

/// Limits on what tools may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a command may run before it is killed.
    pub command_timeout: Duration,
    /// How long a check may run before it is killed.
    pub check_timeout: Duration,
    /// Commands that may run at the same time.
    pub running_commands: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_timeout: Duration::from_secs(3600),
            check_timeout: Duration::from_secs(1800),
            running_commands: 64,
        }
    }
}

/// What came of a call.
#[derive(Debug)]
pub(crate) struct ToolResult {
    pub(crate) status: ToolStatus,
    /// Text, or a list of content parts.
    pub(crate) output: Value,
    pub(crate) effect: Effect,
    /// Whether the call found that there is no cell any more.
    pub(crate) cell_gone: bool,
}

impl ToolResult {
    fn with_cell_gone(self, cell_gone: bool) -> Self {
        Self { cell_gone, ..self }
    }

    fn ok(output: impl Into<Value>, effect: Effect) -> Self {
        Self::new(ToolStatus::Ok, output.into(), effect)
    }

    pub(crate) fn failed(output: impl Into<Value>, effect: Effect) -> Self {
        Self::new(ToolStatus::Failed, output.into(), effect)
    }

    fn rejected(reason: impl Into<Value>) -> Self {
        Self::new(ToolStatus::Rejected, reason.into(), Effect::None)
    }

    fn new(status: ToolStatus, output: Value, effect: Effect) -> Self {
        Self {
            status,
            output,
            effect,
            cell_gone: false,
        }
    }
}

/// What running calls share.
pub(crate) struct Tools {
    pub(crate) cell: Arc<dyn Cell>,
    pub(crate) files: Arc<dyn Files>,
    pub(crate) chunks: Arc<dyn Chunks>,
    pub(crate) live: Live,
    pub(crate) processes: Processes,
    pub(crate) limits: Limits,
    /// The working directory as seen inside the cell.
    pub(crate) cwd: String,
    /// Lets few images be decoded at once, since each may take much memory.
    pub(crate) decoders: Arc<Semaphore>,
    /// Commands share it, a patch has it alone: calls run side by side, and a command must not see
    /// half a patch, nor commit the files it is staged in.
    pub(crate) work_tree: RwLock<()>,
}

/// A call's share in the work tree.
enum Share<'a> {
    Whole(#[allow(dead_code, reason = "held")] RwLockWriteGuard<'a, ()>),
    Part(#[allow(dead_code, reason = "held")] RwLockReadGuard<'a, ()>),
    None,
}

impl Tools {
    /// Runs one call to its end, or to the point where it goes on in the background. `access` is
    /// what the session allows when the call starts.
    pub(crate) async fn run(self: Arc<Self>, call: ToolCall, access: Access) -> ToolResult {
        let _share = self.share(&call).await;
        let result = match call.name.as_str() {
            names::EXEC_COMMAND => match arguments(&call) {
                Ok(args) => exec::run(&self, &call, args, access).await,
                Err(rejected) => rejected,
            },
            names::WRITE_STDIN => match arguments(&call) {
                Ok(args) => stdin::run(&self, args).await,
                Err(rejected) => rejected,
            },
            names::READ_CHUNK => match arguments(&call) {
                Ok(args) => chunk::run(&self, &args),
                Err(rejected) => rejected,
            },
            names::APPLY_PATCH => patch::run(&self, &call, access).await,
            names::UPDATE_PLAN => match arguments(&call) {
                Ok(plan) => plan::run(plan),
                Err(rejected) => rejected,
            },
            names::VIEW_IMAGE => match arguments(&call) {
                Ok(args) => image::run(&self, args).await,
                Err(rejected) => rejected,
            },
            name => ToolResult::rejected(unknown(name)),
        };
        without_nul(result)
    }

    /// Waits for the call's share in the work tree; those who wait are served in turn.
    async fn share(&self, call: &ToolCall) -> Share<'_> {
        match call.name.as_str() {
            names::APPLY_PATCH => Share::Whole(self.work_tree.write().await),
            names::EXEC_COMMAND if exec::is_patch(call) => {
                Share::Whole(self.work_tree.write().await)
            }
            names::EXEC_COMMAND => Share::Part(self.work_tree.read().await),
            _ => Share::None,
        }
    }

    /// Kills everything that runs in the cell. A process that can't die holds nobody up.
    pub(crate) async fn stop_all(&self) {
        // A cell that has ended has nothing left to kill.
        let _ = tokio::time::timeout(KILL_PATIENCE, self.cell.kill_all()).await;
        self.processes.clear();
    }

    /// A directory given by the model, made absolute.
    fn directory(&self, given: Option<&str>) -> String {
        match given {
            None | Some("") => self.cwd.clone(),
            Some(path) if path.starts_with('/') => path.to_owned(),
            Some(path) => format!("{}/{path}", self.cwd.trim_end_matches('/')),
        }
    }
}

fn unknown(name: &str) -> String {
    let known = [
        names::EXEC_COMMAND,
        names::WRITE_STDIN,
        names::READ_CHUNK,
        names::APPLY_PATCH,
        names::UPDATE_PLAN,
        names::VIEW_IMAGE,
    ];
    format!(
        "unsupported call: there is no tool {name:?}; the tools are {}",
        known.join(", ")
    )
}

/// Reads a call's JSON arguments. Fields the tool does not know are ignored.
fn arguments<T: DeserializeOwned>(call: &ToolCall) -> Result<T, ToolResult> {
    let text = match &call.input {
        ToolInput::Function(text) if text.trim().is_empty() => "{}",
        ToolInput::Function(text) => text,
        ToolInput::Custom(_) => {
            return Err(ToolResult::rejected(format!(
                "unsupported custom tool call: {} takes JSON arguments",
                call.name
            )));
        }
    };
    serde_json::from_str(text).map_err(|error| {
        ToolResult::rejected(format!("failed to parse function arguments: {error}"))
    })
}

/// Refuses a text that the cell could not take: one that is too long, or holds a NUL character.
fn bounded(name: &str, text: Option<&str>) -> Result<(), ToolResult> {
    let text = text.unwrap_or_default();
    if text.contains('\0') {
        return Err(ToolResult::rejected(format!(
            "{name} holds a NUL character"
        )));
    }
    if text.len() > LONGEST_PATH {
        return Err(ToolResult::rejected(format!(
            "{name} has {} bytes and the limit is {LONGEST_PATH}",
            text.len()
        )));
    }
    Ok(())
}

/// Cleans what is no command's output, which is clean already: refusals quote the model's words.
fn without_nul(mut result: ToolResult) -> ToolResult {
    if let Value::String(text) = &mut result.output {
        *text = output::without_nul(std::mem::take(text));
    }
    result
}

/// Seconds with four decimals, as models know them.
fn wall_time(since: Instant) -> String {
    format!("{:.4}", since.elapsed().as_secs_f64())
}
