//! Everything about an answer in one value: what a surface shows and an export holds.

use std::ops::Range;

use recto_protocol::ChunkId;
use serde::{Deserialize, Serialize};

use crate::check::{Checked, Report, Verdict};
use crate::citation::{Citation, Target};
use crate::claims::{Claim, ClaimVerdict, Judgement, Ran, find, judge};
use crate::report::{Comparison, TestReport, compare};

/// The form that [`Summary`] has. Fields are only added; readers skip what they don't know.
pub const VERSION: u32 = 1;

/// What is known about a final answer, and what is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The form of this value: [`VERSION`].
    pub version: u32,
    /// The citations with their verdicts, in order.
    #[serde(default)]
    pub citations: Vec<CitationSummary>,
    /// Spans that begin like a citation and are none.
    #[serde(default)]
    pub malformed: Vec<Malformed>,
    /// What the answer claims, with verdicts, in order.
    #[serde(default)]
    pub claims: Vec<ClaimSummary>,
    /// The required checks, in the order in which they were named.
    #[serde(default)]
    pub checks: Vec<CheckSummary>,
    /// The tests before and after the work, where any were run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestsSummary>,
    /// What a reader has to look at: all that is not shown by a run or a text.
    #[serde(default)]
    pub not_verified: Vec<NotVerified>,
}

/// A citation and its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CitationSummary {
    /// Its bytes in the answer.
    pub span: Range<usize>,
    /// The path of the cited file, as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The cited output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<ChunkId>,
    /// The first line, counted from 1, as it was written.
    pub first: u64,
    /// The last line.
    pub last: u64,
    /// What became of it.
    pub verdict: CitationVerdict,
    /// The cited lines, cut at 4 KiB.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub excerpt: String,
}

/// A verdict on a citation, in the words of `docs/citations.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CitationVerdict {
    /// The cited lines exist, say something and are current.
    Holds,
    /// There are no such lines.
    OutOfRange,
    /// There is no such file or chunk.
    NotFound,
    /// The cited lines are empty.
    Blank,
    /// The cited command ran before the last change to files.
    Stale,
}

/// Text that begins like a citation and is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Malformed {
    /// Its bytes in the answer.
    pub span: Range<usize>,
    /// The text; at most 256 bytes.
    pub text: String,
}

/// A claim and its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimSummary {
    /// What is claimed.
    #[serde(flatten)]
    pub claim: Claim,
    /// The sentence; at most 512 bytes.
    pub text: String,
    /// What became of it.
    #[serde(flatten)]
    pub judgement: Judgement,
}

/// A required check and how its last run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSummary {
    /// The command.
    pub command: String,
    /// Whether it passed.
    pub state: CheckState,
    /// The exit code of the last run; none when there was no run or a signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Where the output of the last run is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<ChunkId>,
    /// Its test report, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<TestReport>,
}

/// How a required check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// It passed since the last change.
    Passed,
    /// It failed since the last change.
    Failed,
    /// Its last run is older than the last change.
    Stale,
    /// It was not run.
    NotRun,
}

/// Tests before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestsSummary {
    /// The earliest report of the same kind from before the last change, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<TestsOf>,
    /// The latest report since the last change.
    pub after: TestsOf,
    /// The difference, where there is a *before*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Comparison>,
}

/// A report and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestsOf {
    /// The command; none when the report comes from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The chunk of its output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<ChunkId>,
    /// The report.
    pub report: TestReport,
}

/// Something that was not verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum NotVerified {
    /// A citation that does not hold, by its place in `citations`.
    Citation {
        /// The place.
        at: usize,
    },
    /// A malformed citation, by its place in `malformed`.
    Malformed {
        /// The place.
        at: usize,
    },
    /// A claim that is not proven, by its place in `claims`.
    Claim {
        /// The place.
        at: usize,
    },
    /// A check that has not passed since the last change, by its place in `checks`.
    Check {
        /// The place.
        at: usize,
    },
    /// Files changed, and no tests ran to their end since.
    NoTestsSinceChange,
    /// The latest test report was not seen whole, or contradicts itself.
    TestReport,
}

/// What a summary is made from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The final answer.
    pub answer: &'a str,
    /// Its citations, from [`check`](crate::check).
    pub citations: &'a Report,
    /// What ran, in order, required checks included.
    pub runs: &'a [Ran],
    /// The commands of the required checks.
    pub checks: &'a [String],
    /// The tests of the state before the work, when somebody ran them there.
    pub before: Option<&'a TestReport>,
    /// Whether the work changed files.
    pub has_changes: bool,
}

/// Sums up an answer.
pub fn summarize(facts: Facts<'_>) -> Summary {
    let mut summary = Summary {
        version: VERSION,
        citations: facts.citations.citations.iter().map(citation).collect(),
        malformed: malformed(facts),
        claims: claims(facts),
        checks: facts
            .checks
            .iter()
            .map(|command| check(command, facts.runs))
            .collect(),
        tests: tests(facts),
        not_verified: Vec::new(),
    };
    summary.not_verified = not_verified(&summary, facts);
    summary
}

impl Summary {
    /// Whether nothing is left for a reader to doubt. True of an answer that says nothing.
    pub fn is_verified(&self) -> bool {
        self.not_verified.is_empty()
    }
}

fn citation(checked: &Checked) -> CitationSummary {
    let Citation { target, lines } = &checked.citation;
    let (file, chunk) = match target {
        Target::File(path) => (Some(path.clone()), None),
        Target::Chunk(id) => (None, Some(id.clone())),
    };
    CitationSummary {
        span: checked.span.clone(),
        file,
        chunk,
        first: lines.first,
        last: lines.last,
        verdict: match checked.verdict {
            Verdict::Holds => CitationVerdict::Holds,
            Verdict::OutOfRange { .. } => CitationVerdict::OutOfRange,
            Verdict::NotFound => CitationVerdict::NotFound,
            Verdict::Blank => CitationVerdict::Blank,
            Verdict::Stale => CitationVerdict::Stale,
        },
        excerpt: checked.excerpt.clone(),
    }
}

fn malformed(facts: Facts<'_>) -> Vec<Malformed> {
    let spans = facts.citations.malformed.iter();
    spans
        .map(|span| Malformed {
            span: span.clone(),
            text: excerpt(facts.answer, span, 256),
        })
        .collect()
}

fn claims(facts: Facts<'_>) -> Vec<ClaimSummary> {
    let found = find(facts.answer).into_iter();
    found
        .map(|claim| ClaimSummary {
            text: excerpt(facts.answer, &claim.span, 512),
            judgement: judge(&claim, facts.runs),
            claim,
        })
        .collect()
}

fn excerpt(answer: &str, span: &Range<usize>, most: usize) -> String {
    let text = answer.get(span.clone()).unwrap_or_default();
    crate::report::cut(text, most).to_owned()
}

fn check(command: &str, runs: &[Ran]) -> CheckSummary {
    let last = runs
        .iter()
        .rev()
        .find(|ran| ran.command.trim() == command.trim());
    let state = match last {
        None => CheckState::NotRun,
        Some(ran) if ran.is_stale => CheckState::Stale,
        Some(ran) if ran.exit_code == Some(0) => CheckState::Passed,
        Some(_) => CheckState::Failed,
    };
    CheckSummary {
        command: command.to_owned(),
        state,
        exit_code: last.and_then(|ran| ran.exit_code),
        chunk: last.map(|ran| ran.chunk.clone()),
        report: last.and_then(|ran| ran.report.clone()),
    }
}

fn tests(facts: Facts<'_>) -> Option<TestsSummary> {
    let reported = |ran: &&Ran| ran.report.is_some();
    let last = facts
        .runs
        .iter()
        .filter(reported)
        .rfind(|ran| !ran.is_stale)?;
    let after = tests_of(last)?;
    let before = match facts.before {
        Some(report) => Some(TestsOf {
            command: None,
            chunk: None,
            report: report.clone(),
        }),
        None => facts
            .runs
            .iter()
            .filter(|ran| ran.is_stale)
            .filter_map(tests_of)
            .find(|before| before.report.runner == after.report.runner),
    };
    let change = before
        .as_ref()
        .map(|before| compare(&before.report, &after.report));
    Some(TestsSummary {
        before,
        after,
        change,
    })
}

fn tests_of(ran: &Ran) -> Option<TestsOf> {
    Some(TestsOf {
        command: Some(ran.command.clone()),
        chunk: Some(ran.chunk.clone()),
        report: ran.report.clone()?,
    })
}

fn not_verified(summary: &Summary, facts: Facts<'_>) -> Vec<NotVerified> {
    let mut found = Vec::new();
    let places = |list: Vec<bool>| -> Vec<usize> {
        list.into_iter()
            .enumerate()
            .filter_map(|(at, is)| is.then_some(at))
            .collect()
    };
    let citations = summary
        .citations
        .iter()
        .map(|citation| citation.verdict != CitationVerdict::Holds);
    let claims = summary
        .claims
        .iter()
        .map(|claim| claim.judgement.verdict != ClaimVerdict::Proven);
    let checks = summary
        .checks
        .iter()
        .map(|check| check.state != CheckState::Passed);
    found.extend(
        places(citations.collect())
            .into_iter()
            .map(|at| NotVerified::Citation { at }),
    );
    found.extend((0..summary.malformed.len()).map(|at| NotVerified::Malformed { at }));
    found.extend(
        places(claims.collect())
            .into_iter()
            .map(|at| NotVerified::Claim { at }),
    );
    found.extend(
        places(checks.collect())
            .into_iter()
            .map(|at| NotVerified::Check { at }),
    );
    match &summary.tests {
        None if facts.has_changes => found.push(NotVerified::NoTestsSinceChange),
        Some(tests) if !tests.after.report.is_complete || tests.after.report.is_contradictory => {
            found.push(NotVerified::TestReport);
        }
        _ => {}
    }
    found
}
