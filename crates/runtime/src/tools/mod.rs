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

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use recto_agent::tools as names;
use recto_protocol::ports::cell::Cell;
use recto_protocol::ports::files::Files;
use recto_protocol::ports::log::Log;
use recto_protocol::tool::{Effect, ToolCall, ToolInput, ToolStatus};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::live::Live;
use process::Processes;

pub use image::prepare as image_url;
pub(crate) use process::run_to_end;

/// The log, shared between the driver and the tools that store output in it.
pub(crate) type SharedLog = Arc<Mutex<Box<dyn Log>>>;

pub(crate) fn lock(log: &SharedLog) -> std::sync::MutexGuard<'_, Box<dyn Log>> {
    // The log keeps its own invariants on every error path, so a panic elsewhere does not spoil it.
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

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
}

impl ToolResult {
    fn ok(output: impl Into<Value>, effect: Effect) -> Self {
        Self {
            status: ToolStatus::Ok,
            output: output.into(),
            effect,
        }
    }

    fn failed(output: impl Into<Value>, effect: Effect) -> Self {
        Self {
            status: ToolStatus::Failed,
            output: output.into(),
            effect,
        }
    }

    fn rejected(reason: impl Into<Value>) -> Self {
        Self {
            status: ToolStatus::Rejected,
            output: reason.into(),
            effect: Effect::None,
        }
    }
}

/// What running calls share.
pub(crate) struct Tools {
    pub(crate) cell: Arc<dyn Cell>,
    pub(crate) files: Arc<dyn Files>,
    pub(crate) log: SharedLog,
    pub(crate) live: Live,
    pub(crate) processes: Processes,
    pub(crate) limits: Limits,
    /// The working directory as seen inside the cell.
    pub(crate) cwd: String,
    /// Whether files may be changed.
    pub(crate) writable: bool,
}

impl Tools {
    /// Runs one call to its end, or to the point where it goes on in the background.
    pub(crate) async fn run(self: Arc<Self>, call: ToolCall) -> ToolResult {
        let result = match call.name.as_str() {
            names::EXEC_COMMAND => match arguments(&call) {
                Ok(args) => exec::run(&self, &call, args).await,
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
            names::APPLY_PATCH => patch::run(&self, &call).await,
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

    /// Kills everything that runs in the cell.
    pub(crate) async fn stop_all(&self) {
        // A cell that has ended has nothing left to kill.
        let _ = self.cell.kill_all().await;
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

/// Some providers refuse requests with NUL characters, which binary output is full of.
fn without_nul(mut result: ToolResult) -> ToolResult {
    if let Value::String(text) = &mut result.output
        && text.contains('\0')
    {
        *text = text.replace('\0', "\u{2400}");
    }
    result
}

/// Seconds with four decimals, as models know them.
fn wall_time(since: Instant) -> String {
    format!("{:.4}", since.elapsed().as_secs_f64())
}
