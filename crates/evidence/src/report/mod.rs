//! Test reports: what the output of a test runner says, as counts and names.
//!
//! [`detect`] reads a command's output, [`junit`] a file. Both are total: any text gives a report
//! or none, in time linear in its length. `docs/evidence.md` tells what detection rests on.

mod cargo;
mod compare;
mod detect;
mod go;
mod go_json;
mod groups;
mod jest;
mod junit;
mod lines;
mod mocha;
mod nextest;
mod node;
mod phpunit;
mod pytest;
mod rspec;
mod surefire;
mod tally;
mod tap;
mod unittest;
mod vitest;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use compare::{Comparison, compare};
pub use detect::detect;
pub use junit::{XmlError, junit};
pub(crate) use lines::cut;

/// What one or more runs of a test runner said, in one command's output or one report file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestReport {
    /// Whose form the output has.
    pub runner: Runner,
    /// Tests that passed, expected failures excluded.
    pub passed: u64,
    /// Tests that failed, and whatever kept tests from running: set-up errors, files that did not
    /// load, crashed test programs.
    pub failed: u64,
    /// Tests that were skipped or ignored, are still to be written, or are expected to fail.
    pub skipped: u64,
    /// Tests that the command's own filter left out, where the runner tells.
    #[serde(default)]
    pub filtered: u64,
    /// The results that the output names, in order; at most 10,000. Many runners name only what failed.
    #[serde(default)]
    pub tests: Vec<TestResult>,
    /// The failures, in order; at most 1,000.
    #[serde(default)]
    pub failing: Vec<Failing>,
    /// Whether `passed` counts tests. `go test` without `-v` tells of packages only.
    #[serde(default = "yes")]
    pub counts_tests: bool,
    /// Whether the report was seen from its beginning to its end.
    pub is_complete: bool,
    /// Whether the report contradicts itself: counts that don't add up, more results named than
    /// counted, a result of a test that never began. Its text is not only the runner's then.
    #[serde(default)]
    pub is_contradictory: bool,
}

/// A program that runs tests, or a form of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runner {
    /// `cargo test`, and whatever uses Rust's own test harness.
    CargoTest,
    /// `cargo nextest run`.
    Nextest,
    /// `pytest`.
    Pytest,
    /// `python -m unittest`, and what prints like it (Django).
    Unittest,
    /// `go test`, also with `-json`.
    GoTest,
    /// `jest`.
    Jest,
    /// `vitest`.
    Vitest,
    /// `mocha`.
    Mocha,
    /// `node --test`.
    NodeTest,
    /// Any producer of the Test Anything Protocol.
    Tap,
    /// `rspec`.
    Rspec,
    /// `phpunit`.
    Phpunit,
    /// Maven's Surefire.
    Surefire,
    /// A JUnit XML file.
    Junit,
    /// Several of these in one output.
    Several,
}

/// Names one test.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TestName {
    /// What it belongs to (a binary, a file, a package, a class), where the runner tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// Its name as the runner writes it.
    pub name: String,
}

/// What became of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed, or could not run.
    Failed,
    /// It was skipped, or is expected to fail.
    Skipped,
}

/// A test and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    /// Which test.
    #[serde(flatten)]
    pub test: TestName,
    /// What became of it.
    pub outcome: Outcome,
}

/// A test that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// Which test.
    #[serde(flatten)]
    pub test: TestName,
    /// The file that the failure points at, as the runner writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The beginning of what was said about it; at most 2 KiB.
    #[serde(default)]
    pub message: String,
}

impl TestReport {
    /// Whether it shows that tests ran and none failed. A contradictory report shows nothing.
    pub fn is_green(&self) -> bool {
        self.failed == 0 && self.passed > 0 && !self.is_contradictory
    }

    /// Whether every test that it counts is named too, so that a missing name tells something.
    pub fn names_all(&self) -> bool {
        let counted = self.passed.saturating_add(self.failed);
        let named = self
            .tests
            .iter()
            .filter(|result| result.outcome != Outcome::Skipped);
        let is_told_whole = self.is_complete && !self.is_contradictory;
        is_told_whole && self.counts_tests && named.count() as u64 >= counted
    }

    /// Takes in what another runner said in the same output.
    fn join(&mut self, other: Self) {
        if self.runner != other.runner {
            self.runner = Runner::Several;
        }
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.filtered = self.filtered.saturating_add(other.filtered);
        self.tests.extend(other.tests);
        self.tests.truncate(tally::MOST_TESTS);
        self.failing.extend(other.failing);
        self.failing.truncate(tally::MOST_FAILING);
        self.counts_tests &= other.counts_tests;
        self.is_complete &= other.is_complete;
        self.is_contradictory |= other.is_contradictory;
    }
}

impl TestName {
    fn new(suite: Option<&str>, name: &str) -> Self {
        Self {
            suite: suite.map(|suite| cut(suite, tally::NAME_BYTES).to_owned()),
            name: cut(name, tally::NAME_BYTES).to_owned(),
        }
    }
}

impl fmt::Display for TestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.suite {
            Some(suite) => write!(f, "{suite} {}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl Runner {
    /// Whether its last lines sum up the whole run. Where they don't, a part that was cut out may have
    /// held failures.
    fn has_total(self) -> bool {
        match self {
            Self::Nextest
            | Self::Pytest
            | Self::Unittest
            | Self::Jest
            | Self::Vitest
            | Self::Mocha => true,
            Self::NodeTest | Self::Rspec | Self::Phpunit => true,
            Self::CargoTest | Self::GoTest | Self::Tap | Self::Surefire => false,
            Self::Junit | Self::Several => false,
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::CargoTest => "cargo test",
            Self::Nextest => "nextest",
            Self::Pytest => "pytest",
            Self::Unittest => "unittest",
            Self::GoTest => "go test",
            Self::Jest => "jest",
            Self::Vitest => "vitest",
            Self::Mocha => "mocha",
            Self::NodeTest => "node --test",
            Self::Tap => "TAP",
            Self::Rspec => "rspec",
            Self::Phpunit => "phpunit",
            Self::Surefire => "surefire",
            Self::Junit => "JUnit XML",
            Self::Several => "several runners",
        }
    }
}

fn yes() -> bool {
    true
}
