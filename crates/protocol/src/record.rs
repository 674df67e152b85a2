//! Records: the entries of a session's log, one JSON object per line.
//!
//! A line is `{"v":1,"seq":N,"at":MS,"kind":"…","body":{…}}`. Kinds are only added, fields only
//! added with defaults; a kind this version does not know is kept as it is and skipped by the fold,
//! and a field it does not know is skipped. Words of an enumeration are not added within a version.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::egress::RequestEvent;
use crate::id::{CallId, ChunkId, SessionId};
use crate::item::Item;
use crate::ports::model::{Finish, ModelError};
use crate::settings::{Budget, Settings};
use crate::tool::{Effect, ToolStatus};
use crate::usage::{Micros, Usage};

/// The format version that this program writes.
pub const VERSION: u32 = 1;

/// One entry of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its number in the log: 0, 1, 2, … without a gap.
    pub seq: u64,
    /// When it was written, in milliseconds since 1970-01-01 UTC.
    pub at: i64,
    /// What it says.
    pub body: Body,
}

/// Why a line is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not JSON, or a known kind with a body that does not fit.
    #[error("not a record")]
    Json(#[from] serde_json::Error),
    /// Written by a newer, incompatible version.
    #[error("record format {0} is newer than this program reads ({VERSION})")]
    Version(u32),
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    v: u32,
    seq: u64,
    at: i64,
    #[serde(borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    body: std::borrow::Cow<'a, RawValue>,
}

impl Record {
    /// The record as one line of JSON, without the line break.
    pub fn to_line(&self) -> String {
        let (kind, body) = self.body.encode();
        // An unknown kind may hold any character.
        let kind = serde_json::Value::from(kind);
        // The parts are written by hand so that the body's bytes are copied once.
        format!(
            r#"{{"v":{VERSION},"seq":{},"at":{},"kind":{kind},"body":{}}}"#,
            self.seq,
            self.at,
            body.get()
        )
    }

    /// Reads one line.
    ///
    /// # Errors
    /// [`RecordError`] when it is no record of a version this program can read.
    pub fn from_line(line: &str) -> Result<Self, RecordError> {
        let line: Line<'_> = serde_json::from_str(line)?;
        if line.v > VERSION {
            return Err(RecordError::Version(line.v));
        }
        Ok(Self {
            seq: line.seq,
            at: line.at,
            body: Body::decode(&line.kind, &line.body)?,
        })
    }
}

/// Declares the record kinds: the variants of [`Body`], their names on disk, and both directions.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// What a record says.
        #[derive(Clone, Debug)]
        #[allow(clippy::large_enum_variant, reason = "the large one heads a log, once")]
        pub enum Body {
            $($(#[$doc])* $variant($variant),)*
            /// A kind that this version does not know, kept as it is.
            Unknown {
                /// The kind's name.
                kind: String,
                /// Its body.
                body: Box<RawValue>,
            },
        }

        $(impl From<$variant> for Body {
            fn from(body: $variant) -> Self {
                Self::$variant(body)
            }
        })*

        impl Body {
            /// All kinds this version writes.
            pub const KINDS: &'static [&'static str] = &[$($name),*];

            /// The kind's name on disk.
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $name,)*
                    Self::Unknown { kind, .. } => kind,
                }
            }

            fn encode(&self) -> (&str, Box<RawValue>) {
                // No body holds a map with keys that are no texts, so encoding cannot fail.
                let raw = match self {
                    $(Self::$variant(body) => serde_json::value::to_raw_value(body)
                        .unwrap_or_else(|_| unreachable!("record bodies are plain JSON")),)*
                    Self::Unknown { body, .. } => body.clone(),
                };
                (self.kind(), raw)
            }

            fn decode(kind: &str, body: &RawValue) -> Result<Self, serde_json::Error> {
                Ok(match kind {
                    $($name => Self::$variant(serde_json::from_str(body.get())?),)*
                    _ => Self::Unknown { kind: kind.to_owned(), body: one_line(body)? },
                })
            }
        }
    };
}

/// The same JSON without line breaks, which can only stand between its tokens.
fn one_line(body: &RawValue) -> Result<Box<RawValue>, serde_json::Error> {
    if body.get().contains(['\n', '\r']) {
        return RawValue::from_string(body.get().replace(['\n', '\r'], " "));
    }
    Ok(body.to_owned())
}

kinds! {
    /// Heads every log.
    SessionStarted = "session.started",
    /// Context was given to the model: AGENTS.md files, the environment, changes of either.
    ContextAdded = "context.added",
    /// Settings changed from here on.
    SettingsChanged = "settings.changed",
    /// A user's message began a turn.
    TurnStarted = "turn.started",
    /// A user's message arrived while a turn ran.
    MessageAdded = "message.added",
    /// A request is about to be sent.
    StepStarted = "step.started",
    /// The model finished an item.
    StepItem = "step.item",
    /// A response is complete.
    StepFinished = "step.finished",
    /// A request failed or its stream was cut. Its finished items stay.
    StepFailed = "step.failed",
    /// A tool call ended.
    ToolFinished = "tool.finished",
    /// The conversation was replaced by a compaction of it.
    Compacted = "context.compacted",
    /// A compaction was refused or failed.
    CompactionFailed = "compaction.failed",
    /// A check was run by the harness.
    CheckFinished = "check.finished",
    /// An answer was not accepted; the model is told why and asked again.
    AnswerRejected = "answer.rejected",
    /// A new driver took the session over.
    DriverAttached = "driver.attached",
    /// Somebody asked the running turn to stop.
    InterruptRequested = "interrupt.requested",
    /// A turn ended.
    TurnEnded = "turn.ended",
    /// Something that users should know and that stops nothing.
    Warning = "warning",
    /// A command asked for something outside its cell.
    NetworkRequested = "network.requested",
    /// A task's attempt came into another state.
    StateChanged = "state.changed",
    /// The work tree was written down after a step.
    Checkpointed = "checkpoint.written",
    /// The work of an attempt was settled in commits.
    WorkSettled = "work.settled",
    /// An answer was held against what ran and what there is.
    EvidenceGathered = "evidence.gathered",
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        let (kind, body) = self.encode();
        let (other_kind, other_body) = other.encode();
        kind == other_kind && body.get() == other_body.get()
    }
}

/// Heads every log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionStarted {
    /// What the session is started with.
    pub settings: Settings,
}

/// Context was given to the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContextAdded {
    /// What it is about: `environment`, `agents_md`, `policy`, …
    pub about: String,
    /// The items, in order.
    pub items: Vec<Item>,
    /// The files it came from, as shown to the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
}

/// Settings changed from here on. Fields that are none stay as they were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettingsChanged {
    /// The new policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<crate::policy::Policy>,
    /// The new model, its provider's key and its profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelChange>,
    /// The tools that the new model is offered, as the JSON text of an array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<String>,
    /// The new limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// The new checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<Vec<String>>,
    /// The new reasoning settings, as the JSON text of an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
}

/// Another model took over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelChange {
    /// The provider's key in the configuration.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// What the model can do.
    pub profile: crate::profile::Profile,
}

/// A user's message began a turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TurnStarted {
    /// The turn's number: 1, 2, …
    pub turn: u32,
    /// The user's message.
    pub items: Vec<Item>,
    /// The JSON schema that the final answer must fit, as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<String>,
    /// The number of the message in the attempt's inbox; none where there is no inbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbox: Option<u64>,
}

/// A user's message arrived while a turn ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageAdded {
    /// The message.
    pub items: Vec<Item>,
    /// When the model sees it.
    pub delivery: Delivery,
    /// The number of the message in the attempt's inbox; none where there is no inbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbox: Option<u64>,
}

/// When the model sees a message that arrived while a turn ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// After the current step.
    Steer,
    /// When the model would otherwise end the turn.
    Queue,
}

/// A request is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepStarted {
    /// The step's number in the session: 1, 2, …; a retried request keeps it.
    pub step: u32,
}

/// The model finished an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepItem {
    /// The item.
    pub item: Item,
}

/// A response is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepFinished {
    /// How it ended.
    #[schemars(with = "serde_json::Value")]
    pub finish: Finish,
    /// What it cost; none when the prices are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Micros>,
    /// From sending the request to the end, in milliseconds.
    #[serde(default)]
    pub duration_ms: u64,
    /// From sending the request to the first event, in milliseconds.
    #[serde(default)]
    pub first_event_ms: u64,
}

/// A request failed or its stream was cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepFailed {
    /// What happened.
    #[schemars(with = "serde_json::Value")]
    pub error: ModelError,
    /// How long the driver waits before it asks again; none when it gives up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub retry_in: Option<Duration>,
}

/// A tool call ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolFinished {
    /// The call.
    pub call_id: CallId,
    /// How it ended.
    pub status: ToolStatus,
    /// What the model is told.
    pub item: Item,
    /// What it did.
    pub effect: Effect,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub duration_ms: u64,
}

/// The conversation was replaced by a compaction of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compacted {
    /// The items that stand for everything before: the summary, or the provider's own item.
    pub items: Vec<Item>,
    /// Tokens the compaction used.
    #[serde(default)]
    pub usage: Usage,
    /// What it cost; none when the prices are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Micros>,
}

/// A compaction was refused or failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CompactionFailed {
    /// Why.
    pub reason: String,
    /// Tokens it used all the same.
    #[serde(default)]
    pub usage: Usage,
    /// What it cost; none when the prices are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Micros>,
}

/// A check was run by the harness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckFinished {
    /// The command.
    pub command: String,
    /// Its exit code; none when a signal or the time limit ended it.
    pub exit_code: Option<i32>,
    /// Where its whole output is kept.
    pub chunk: ChunkId,
    /// The output as the model is shown it, should it have to repair something.
    pub output: String,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub duration_ms: u64,
}

/// An answer was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnswerRejected {
    /// A short machine-readable word: `schema`, …
    pub reason: String,
    /// What the model is told.
    pub message: String,
    /// Whether the turn fails now instead of asking again.
    #[serde(default)]
    pub last: bool,
}

/// A new driver took the session over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DriverAttached {
    /// The version of the program.
    pub program_version: String,
    /// Bytes cut off the end of the log because a write had been torn.
    #[serde(default)]
    pub torn_bytes: u64,
}

/// Somebody asked the running turn to stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InterruptRequested {
    /// Who or what: `SIGINT`, `SIGTERM`, `user`.
    pub by: String,
    /// The limit that was reached, when a budget stopped the turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// The number of the message in the attempt's inbox; none where there is no inbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbox: Option<u64>,
}

/// A turn ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TurnEnded {
    /// The turn's number.
    pub turn: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// Tokens of this turn.
    pub usage: Usage,
    /// What this turn cost; none when the prices are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Micros>,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub duration_ms: u64,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// The model gave its final answer.
    Completed {
        /// The answer.
        answer: String,
    },
    /// Something went wrong that asking again does not mend.
    Failed {
        /// A short machine-readable reason: `model`, `loop`, `schema`, `empty`, …
        reason: String,
        /// For people.
        message: String,
    },
    /// Somebody stopped it.
    Interrupted {
        /// Who or what.
        by: String,
    },
    /// A budget was used up.
    BudgetReached {
        /// Which, for people: `30 steps`, `$1.00`.
        limit: String,
    },
}

/// Something that users should know and that stops nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// A short machine-readable word.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A command asked for something outside its cell, and was let or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkRequested {
    /// What was asked for, and the verdict.
    pub request: RequestEvent,
    /// Requests before this one that were not recorded, because they came faster than they could be
    /// written down.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u64,
}

/// A task's attempt came into another state. Such records may stand before `session.started`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateChanged {
    /// The state.
    pub state: crate::task::State,
    /// Why, for people; empty where the state says it all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The work tree was written down after a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checkpointed {
    /// The tree of all its files that are not ignored, in the attempt's repository.
    pub tree: String,
    /// The commit that was checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Paths that the tree lacks, or holds an older state of: too large, unreadable, or repositories
    /// of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
}

/// The work of an attempt was settled in commits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkSettled {
    /// The branch that holds it.
    pub branch: String,
    /// The commit that the work started from.
    pub base: String,
    /// The last commit; equal to `base` when nothing was committed.
    pub commit: String,
    /// The commit that the harness made of what the agent had left uncommitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leftovers: Option<String>,
    /// Files that differ between base and commit.
    pub files: u32,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
}

/// An answer was held against what ran and what there is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceGathered {
    /// The turn whose answer it is.
    pub turn: u32,
    /// The verdicts, in the form that `docs/evidence.md` describes; it has a version of its own.
    pub summary: serde_json::Value,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The session a log belongs to, from its first record.
pub fn session_of(first: &Record) -> Option<&SessionId> {
    match &first.body {
        Body::SessionStarted(started) => Some(&started.settings.id),
        _ => None,
    }
}
