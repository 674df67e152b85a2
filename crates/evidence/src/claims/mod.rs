//! Claims: what an answer says about tests, builds and linters, and whether that is so.
//!
//! Fixed rules find the claims and give the verdicts; no model is asked. A sentence that the rules
//! don't know for sure is no claim: `docs/evidence.md` says what is recognised and what is not.

mod judge;
mod mood;
mod phrase;
mod predicate;
mod prose;
mod topic;

use std::ops::Range;

use recto_protocol::ChunkId;
use serde::{Deserialize, Serialize};

use crate::report::TestReport;
use crate::tools::Subject;

pub use judge::judge;
pub use phrase::find;

/// What an answer says about tests, a build, a linter, a formatter, a type checker or checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The bytes of its sentence in the answer.
    pub span: Range<usize>,
    /// What it is about.
    pub subject: Subject,
    /// What it says.
    pub stance: Stance,
    /// The command that it names, by the tool's name: `cargo test`, `pytest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The words of the named command that restrict it to a part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
    /// The single test that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// Whether it is about all of them: `all tests`, `the full suite`.
    #[serde(default)]
    pub is_all: bool,
    /// Whether it is about some of them, that no run can be told to be: `the new tests`.
    #[serde(default)]
    pub is_some: bool,
    /// Whether it says that there are no warnings, which is more than success.
    #[serde(default)]
    pub no_warnings: bool,
    /// How many it says passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<u64>,
    /// How many it says failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
}

/// What is said of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stance {
    /// It passes.
    Passes,
    /// It should, would or will pass.
    Expected,
    /// It fails.
    Fails,
    /// It was not run.
    NotRun,
}

/// A command that ran in the turn: what verdicts rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The command line.
    pub command: String,
    /// Its exit code; none when a signal or a time limit ended it.
    pub exit_code: Option<i32>,
    /// Its test report, from [`detect`](crate::report::detect).
    pub report: Option<TestReport>,
    /// Where its output is kept.
    pub chunk: ChunkId,
    /// Whether files changed since.
    pub is_stale: bool,
    /// Whether it is one of the checks that the user requires.
    pub is_check: bool,
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: ClaimVerdict,
    /// Why.
    pub reason: Reason,
    /// The runs that it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<ChunkId>,
}

/// A verdict on a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimVerdict {
    /// A run since the last change shows it.
    Proven,
    /// A run since the last change shows the contrary.
    Refuted,
    /// No run shows it.
    Unproven,
    /// A run showed it, and files have changed since.
    Stale,
}

/// Why a claim has its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It was run.
    WasRun,
    /// Nothing of the kind was run.
    NotRun,
    /// Files changed after it passed.
    FilesChanged,
    /// It failed, and files changed after that.
    FailedBeforeChange,
    /// Only a part was run.
    PartOnly,
    /// Others failed; whether the ones in question did is not known.
    OthersFailed,
    /// The run does not name the test in question.
    TestNotNamed,
    /// It ran without any test.
    NoTests,
    /// Another number of tests passed or failed.
    OtherCount,
    /// The run did not tell how many.
    CountUnknown,
    /// Other commands of the line hide its exit code, and its report is not whole.
    ExitCodeHidden,
    /// Its report shows no failure, and its exit code does.
    ExitCode,
    /// The report contradicts itself.
    Contradictory,
    /// It could not be started, or was ended.
    DidNotEnd,
    /// The command succeeds with warnings too.
    WarningsPass,
}
