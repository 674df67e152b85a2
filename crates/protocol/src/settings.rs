//! What a session is started with. Written once, at the head of its log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::SessionId;
use crate::policy::Policy;
use crate::profile::Profile;
use crate::usage::Micros;

/// What a session is started with.
///
/// The prefix of every request (`instructions`, `tools`) stands here in full, so that a later
/// version of the program sends the same bytes when it resumes the session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The session's id.
    pub id: SessionId,
    /// By which the provider finds the cached prefix; a fork keeps its parent's.
    pub cache_key: String,
    /// Whether it may change the repository.
    pub mode: Mode,
    /// The provider's key in the configuration.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// What the model can do.
    pub profile: Profile,
    /// The system prompt.
    pub instructions: String,
    /// The tools, as the JSON text of an array.
    pub tools: String,
    /// Reasoning settings, as the JSON text of an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// The working directory, absolute.
    pub cwd: String,
    /// The repository's root, absolute; equal to `cwd` where there is no repository.
    pub root: String,
    /// What its cell may do.
    pub policy: Policy,
    /// Commands that must pass before work counts as done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
    /// Where to stop.
    #[serde(default)]
    pub budget: Budget,
    /// The commit the work started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_commit: Option<String>,
    /// The session and record this one was forked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<(SessionId, u64)>,
    /// The version of the program that started it.
    #[serde(default)]
    pub program_version: String,
}

/// What kind of work is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Change the repository.
    #[default]
    Code,
    /// Read and explain, change nothing.
    Ask,
}

/// Where to stop. None means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Budget {
    /// Most model responses in one turn.
    pub steps: Option<u32>,
    /// Most money in one session.
    pub cost: Option<Micros>,
    /// Most tokens, input and output together, in one session.
    pub tokens: Option<u64>,
    /// Most wall time in one turn, in seconds.
    pub seconds: Option<u64>,
}
