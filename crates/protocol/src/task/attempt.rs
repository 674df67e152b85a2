//! Attempts, and how they stand.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::AttemptId;
use crate::usage::{Micros, Usage};

/// Where an attempt is in its life.
///
/// `queued → preparing → running → done | failed | cancelled | out_of_budget`. A message to an
/// attempt that has ended queues it again; a worker that stops gives its attempts back to the
/// queue. Every change is a record with its reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for a worker.
    #[default]
    Queued,
    /// Its place is being made: repository, environment, cell.
    Preparing,
    /// The agent works.
    Running,
    /// The agent waits for somebody.
    Awaiting,
    /// Its last turn was completed.
    Done,
    /// Something went wrong that trying again does not mend.
    Failed,
    /// Somebody stopped it.
    Cancelled,
    /// A budget was used up.
    OutOfBudget,
}

impl State {
    /// All states, in the order of a life.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Preparing,
        Self::Running,
        Self::Awaiting,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
        Self::OutOfBudget,
    ];

    /// The word for it, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Awaiting => "awaiting",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::OutOfBudget => "out_of_budget",
        }
    }

    /// The state that a word means.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether nothing more happens unless somebody says something.
    pub fn has_ended(self) -> bool {
        match self {
            Self::Queued | Self::Preparing | Self::Running | Self::Awaiting => false,
            Self::Done | Self::Failed | Self::Cancelled | Self::OutOfBudget => true,
        }
    }
}

/// One attempt as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// Where it is in its life.
    pub state: State,
    /// Why it is there, for people; empty where the state says it all.
    #[serde(default)]
    pub reason: String,
    /// Records in its log.
    pub records: u64,
    /// When it was last changed, in milliseconds since 1970-01-01 UTC.
    pub updated_at: i64,
    /// What its log adds up to.
    #[serde(default)]
    pub standing: Standing,
}

/// What an attempt's log adds up to, kept beside it so that lists need not read logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Standing {
    /// Turns begun.
    pub turns: u32,
    /// Model responses.
    pub steps: u32,
    /// Tokens.
    pub usage: Usage,
    /// What it cost; none when the prices are not known.
    pub cost: Option<Micros>,
    /// When the first turn began, in milliseconds since 1970-01-01 UTC.
    pub started_at: Option<i64>,
    /// When the last turn ended.
    pub ended_at: Option<i64>,
    /// The commit that the work started from.
    pub base: Option<String>,
    /// The branch that holds the work.
    pub branch: Option<String>,
    /// The last commit of the work; none where nothing was committed.
    pub commit: Option<String>,
    /// Files that differ between base and commit.
    pub files: u32,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
    /// Required checks that passed after the last change.
    pub checks_passed: u32,
    /// Required checks that failed, or were not run after the last change.
    pub checks_failed: u32,
}
