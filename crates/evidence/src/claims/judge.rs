//! Holds claims against what ran.

use super::{Claim, ClaimVerdict, Judgement, Ran, Reason, Stance};
use crate::report::TestReport;
use crate::shell::{Line, Step};
use crate::tools::{Action, Subject, recognise};

/// Gives a claim its verdict. `runs` are in the order in which they ran.
pub fn judge(claim: &Claim, runs: &[Ran]) -> Judgement {
    let seen: Vec<Seen<'_>> = runs.iter().filter_map(|ran| Seen::of(ran, claim)).collect();
    match claim.stance {
        Stance::Passes | Stance::Expected => passes(claim, &seen),
        Stance::Fails => fails(claim, &seen),
        Stance::NotRun => not_run(claim, &seen),
    }
}

/// A run that has to do with a claim.
struct Seen<'a> {
    ran: &'a Ran,
    status: Status,
    /// What tells its parts from those of other runs: a later run of the same replaces it.
    key: (String, Vec<String>),
    is_part: bool,
    /// Whether it would complain of warnings.
    denies_warnings: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Passed,
    Failed,
    NoTests,
    Unclear(Reason),
}

fn passes(claim: &Claim, seen: &[Seen<'_>]) -> Judgement {
    let fresh = latest(seen.iter().filter(|seen| !seen.ran.is_stale));
    if fresh.is_empty() {
        return without_fresh(claim, seen);
    }
    let with = |status: Status| fresh.iter().filter(move |seen| seen.status == status);
    let failed: Vec<&&Seen<'_>> = with(Status::Failed).collect();
    if let Some(test) = &claim.test {
        return one_test(test, &fresh);
    }
    if !failed.is_empty() {
        let verdict = match claim.is_some {
            true => (ClaimVerdict::Unproven, Reason::OthersFailed),
            false => (ClaimVerdict::Refuted, Reason::Failed),
        };
        return verdict_by(verdict, failed.iter().map(|seen| seen.ran));
    }
    let passed: Vec<&&Seen<'_>> = with(Status::Passed).collect();
    if passed.is_empty() {
        let why = fresh.iter().rev().find_map(|seen| match seen.status {
            Status::Unclear(reason) => Some(reason),
            Status::NoTests => Some(Reason::NoTests),
            _ => None,
        });
        return verdict_by(
            (ClaimVerdict::Unproven, why.unwrap_or(Reason::NotRun)),
            fresh.iter().map(|seen| seen.ran),
        );
    }
    let covering: Vec<&&Seen<'_>> = passed
        .iter()
        .copied()
        .filter(|seen| covers(seen, claim))
        .collect();
    if covering.is_empty() {
        return verdict_by(
            (ClaimVerdict::Unproven, Reason::PartOnly),
            passed.iter().map(|seen| seen.ran),
        );
    }
    if claim.no_warnings && !covering.iter().any(|seen| seen.denies_warnings) {
        return verdict_by(
            (ClaimVerdict::Unproven, Reason::WarningsPass),
            covering.iter().map(|seen| seen.ran),
        );
    }
    let verdict = match claim.passed {
        Some(count) => counted(count, claim, &covering),
        None => (ClaimVerdict::Proven, Reason::Passed),
    };
    verdict_by(verdict, covering.iter().map(|seen| seen.ran))
}

/// Nothing ran since the last change.
fn without_fresh(claim: &Claim, seen: &[Seen<'_>]) -> Judgement {
    let latest = latest(seen.iter());
    let Some(last) = latest.last() else {
        return verdict_by((ClaimVerdict::Unproven, Reason::NotRun), std::iter::empty());
    };
    let verdict = if latest.iter().any(|seen| seen.status == Status::Failed) {
        (ClaimVerdict::Unproven, Reason::FailedBeforeChange)
    } else if latest
        .iter()
        .any(|seen| seen.status == Status::Passed && covers(seen, claim))
    {
        (ClaimVerdict::Stale, Reason::FilesChanged)
    } else {
        match last.status {
            Status::Unclear(reason) => (ClaimVerdict::Unproven, reason),
            Status::NoTests => (ClaimVerdict::Unproven, Reason::NoTests),
            _ => (ClaimVerdict::Unproven, Reason::PartOnly),
        }
    };
    verdict_by(verdict, latest.iter().map(|seen| seen.ran))
}

fn fails(claim: &Claim, seen: &[Seen<'_>]) -> Judgement {
    let fresh = latest(seen.iter().filter(|seen| !seen.ran.is_stale));
    let runs = |status: Status| -> Vec<&Ran> {
        fresh
            .iter()
            .filter(|seen| seen.status == status)
            .map(|seen| seen.ran)
            .collect()
    };
    let failed = runs(Status::Failed);
    if !failed.is_empty() {
        let count = |ran: &&Ran| ran.report.as_ref().map(|report| report.failed);
        let is_other = claim.failed.is_some_and(|claimed| {
            let all: u64 = failed.iter().filter_map(count).sum();
            failed
                .iter()
                .all(|ran| count(ran).is_some_and(|found| found != claimed))
                && all != claimed
        });
        return match is_other && !claim.is_some {
            true => verdict_by(
                (ClaimVerdict::Refuted, Reason::OtherCount),
                failed.into_iter(),
            ),
            false => verdict_by((ClaimVerdict::Proven, Reason::Failed), failed.into_iter()),
        };
    }
    let passed: Vec<&Ran> = fresh
        .iter()
        .filter(|seen| seen.status == Status::Passed && !seen.is_part)
        .map(|seen| seen.ran)
        .collect();
    if !passed.is_empty() && !claim.is_some {
        return verdict_by((ClaimVerdict::Refuted, Reason::Passed), passed.into_iter());
    }
    let stale = seen
        .iter()
        .rev()
        .find(|seen| seen.ran.is_stale && seen.status == Status::Failed);
    match (stale, fresh.last()) {
        (Some(stale), None) => verdict_by(
            (ClaimVerdict::Stale, Reason::FilesChanged),
            [stale.ran].into_iter(),
        ),
        (_, Some(last)) => {
            let reason = match last.status {
                Status::Unclear(reason) => reason,
                Status::NoTests => Reason::NoTests,
                _ => Reason::PartOnly,
            };
            verdict_by((ClaimVerdict::Unproven, reason), [last.ran].into_iter())
        }
        (None, None) => verdict_by((ClaimVerdict::Unproven, Reason::NotRun), std::iter::empty()),
    }
}

fn not_run(claim: &Claim, seen: &[Seen<'_>]) -> Judgement {
    let is_conclusive = |seen: &&Seen<'_>| matches!(seen.status, Status::Passed | Status::Failed);
    let covered = |seen: &&Seen<'_>| claim.tool.is_none() || covers(seen, claim);
    let fresh: Vec<&Ran> = seen
        .iter()
        .filter(|seen| !seen.ran.is_stale)
        .filter(is_conclusive)
        .filter(covered)
        .map(|seen| seen.ran)
        .collect();
    if !fresh.is_empty() {
        let verdict = match claim.is_some || claim.test.is_some() || claim.is_all {
            true => (ClaimVerdict::Unproven, Reason::PartOnly),
            false => (ClaimVerdict::Refuted, Reason::WasRun),
        };
        return verdict_by(verdict, fresh.into_iter());
    }
    let stale: Vec<&Ran> = seen
        .iter()
        .filter(is_conclusive)
        .filter(covered)
        .map(|seen| seen.ran)
        .collect();
    match stale.is_empty() {
        true => verdict_by((ClaimVerdict::Proven, Reason::NotRun), std::iter::empty()),
        false => verdict_by(
            (ClaimVerdict::Unproven, Reason::FilesChanged),
            stale.into_iter(),
        ),
    }
}

/// A single test by name, in what the runs name.
fn one_test(test: &str, fresh: &[&Seen<'_>]) -> Judgement {
    let is_it = |name: &str| {
        name == test
            || name.ends_with(&format!("::{test}"))
            || test.ends_with(&format!("::{name}"))
            || name.ends_with(&format!(".{test}"))
    };
    for seen in fresh.iter().rev() {
        let Some(report) = seen
            .ran
            .report
            .as_ref()
            .filter(|report| !report.is_contradictory)
        else {
            continue;
        };
        if report
            .failing
            .iter()
            .any(|failing| is_it(&failing.test.name))
        {
            return verdict_by(
                (ClaimVerdict::Refuted, Reason::Failed),
                [seen.ran].into_iter(),
            );
        }
        let passed = |result: &crate::report::TestResult| {
            result.outcome == crate::report::Outcome::Passed && is_it(&result.test.name)
        };
        if report.tests.iter().any(passed) {
            return verdict_by(
                (ClaimVerdict::Proven, Reason::Passed),
                [seen.ran].into_iter(),
            );
        }
        // `cargo test NAME`, and exactly that one passed.
        let is_alone = seen
            .key
            .1
            .iter()
            .any(|part| is_it(part) || part.ends_with(&format!("={test}")));
        if seen.status == Status::Passed && is_alone {
            return verdict_by(
                (ClaimVerdict::Proven, Reason::Passed),
                [seen.ran].into_iter(),
            );
        }
    }
    verdict_by(
        (ClaimVerdict::Unproven, Reason::TestNotNamed),
        fresh.iter().map(|seen| seen.ran),
    )
}

/// Whether a run covers what is claimed, and not only a part of it.
fn covers(seen: &Seen<'_>, claim: &Claim) -> bool {
    if claim.tool.is_some() {
        return !seen.is_part || seen.key.1 == claim.parts;
    }
    !claim.is_all || !seen.is_part
}

/// A claimed number against what the covering runs counted.
fn counted(count: u64, claim: &Claim, covering: &[&&Seen<'_>]) -> (ClaimVerdict, Reason) {
    let reports: Vec<&TestReport> = covering
        .iter()
        .filter_map(|seen| seen.ran.report.as_ref())
        .filter(|report| report.counts_tests && report.is_complete)
        .collect();
    if reports.is_empty() {
        return (ClaimVerdict::Unproven, Reason::CountUnknown);
    }
    let sum: u64 = reports
        .iter()
        .map(|report| report.passed)
        .fold(0, u64::saturating_add);
    let fits = reports.iter().any(|report| {
        report.passed == count || report.passed.saturating_add(report.skipped) == count
    });
    let is_within = claim.is_some && reports.iter().any(|report| count <= report.passed);
    match fits || sum == count || is_within {
        true => (ClaimVerdict::Proven, Reason::Passed),
        false => (ClaimVerdict::Refuted, Reason::OtherCount),
    }
}

/// The last run of each command and part; a run of all replaces earlier runs of parts.
fn latest<'a, 'b: 'a>(seen: impl Iterator<Item = &'a Seen<'b>>) -> Vec<&'a Seen<'b>> {
    let mut kept: Vec<&Seen<'b>> = Vec::new();
    for seen in seen {
        // What ended without a word replaces nothing.
        let is_telling = !matches!(seen.status, Status::Unclear(_));
        kept.retain(|old| {
            let is_same = old.key == seen.key;
            let is_part_of = old.key.0 == seen.key.0 && !seen.is_part;
            !(is_telling && (is_same || is_part_of))
        });
        kept.push(seen);
    }
    kept
}

fn verdict_by<'a>(
    (verdict, reason): (ClaimVerdict, Reason),
    runs: impl Iterator<Item = &'a Ran>,
) -> Judgement {
    Judgement {
        verdict,
        reason,
        by: runs.map(|ran| ran.chunk.clone()).collect(),
    }
}

impl<'a> Seen<'a> {
    fn of(ran: &'a Ran, claim: &Claim) -> Option<Self> {
        let line = Line::parse(&ran.command);
        let actions: Vec<(&Step, Action)> = line
            .steps
            .iter()
            .filter_map(|step| Some((step, recognise(step)?)))
            .filter(|(_, action)| is_about(action, claim))
            .collect();
        if claim.subject == Subject::Checks && claim.tool.is_none() && ran.is_check {
            return Some(Self::whole(ran));
        }
        if actions.is_empty() {
            // A script of an unknown name that printed a report ran tests.
            let ran_tests =
                claim.subject == Subject::Tests && claim.tool.is_none() && ran.report.is_some();
            return ran_tests.then(|| Self::whole(ran));
        }
        let mut status = Status::Passed;
        for (step, _) in &actions {
            status = worse(status, status_of(ran, claim.subject, Some(step)));
        }
        let filtered = ran
            .report
            .as_ref()
            .is_some_and(|report| report.filtered > 0);
        let is_part = filtered || actions.iter().all(|(_, action)| !action.parts.is_empty());
        let denies_warnings = actions
            .iter()
            .all(|(step, action)| denies_warnings(step, action));
        let (_, action) = actions.into_iter().next()?;
        Some(Self {
            ran,
            status,
            key: (action.tool, action.parts),
            is_part,
            denies_warnings,
        })
    }

    fn whole(ran: &'a Ran) -> Self {
        Self {
            ran,
            status: status_of(ran, Subject::Tests, None),
            key: (ran.command.clone(), Vec::new()),
            is_part: ran
                .report
                .as_ref()
                .is_some_and(|report| report.filtered > 0),
            denies_warnings: false,
        }
    }
}

fn is_about(action: &Action, claim: &Claim) -> bool {
    match &claim.tool {
        Some(tool) => action.tool == *tool,
        None => action.shows.contains(&claim.subject),
    }
}

fn worse(one: Status, other: Status) -> Status {
    let rank = |status: Status| match status {
        Status::Passed => 0,
        Status::NoTests => 1,
        Status::Unclear(_) => 2,
        Status::Failed => 3,
    };
    if rank(other) > rank(one) { other } else { one }
}

/// How a run ended, for one of its commands or for the whole line.
fn status_of(ran: &Ran, subject: Subject, step: Option<&&Step>) -> Status {
    let success_shows = step.is_none_or(|step| step.success_shows);
    let failure_shows = step.is_none_or(|step| step.failure_shows);
    let report = ran.report.as_ref().filter(|_| subject == Subject::Tests);
    if let Some(report) = report {
        if report.is_contradictory {
            return Status::Unclear(Reason::Contradictory);
        }
        if report.failed > 0 {
            return Status::Failed;
        }
        let green = if report.passed > 0 {
            Status::Passed
        } else {
            Status::NoTests
        };
        return match ran.exit_code {
            Some(0) if success_shows || report.is_complete => green,
            Some(0) => Status::Unclear(Reason::ExitCodeHidden),
            None => Status::Unclear(Reason::DidNotEnd),
            Some(_) if failure_shows && green == Status::NoTests => Status::NoTests,
            Some(_) if failure_shows => Status::Unclear(Reason::ExitCode),
            Some(_) if report.is_complete => green,
            Some(_) => Status::Unclear(Reason::ExitCodeHidden),
        };
    }
    match ran.exit_code {
        Some(0) if success_shows => Status::Passed,
        None | Some(126 | 127) => Status::Unclear(Reason::DidNotEnd),
        Some(0) => Status::Unclear(Reason::ExitCodeHidden),
        Some(_) if failure_shows => Status::Failed,
        Some(_) => Status::Unclear(Reason::ExitCodeHidden),
    }
}

/// Whether a command fails when there is a warning.
fn denies_warnings(step: &Step, action: &Action) -> bool {
    let words = &step.words;
    let pairs = words.windows(2).any(|pair| {
        matches!(pair[0].as_str(), "-D" | "--deny" | "--max-warnings")
            && matches!(pair[1].as_str(), "warnings" | "0")
    });
    match action.tool.as_str() {
        "cargo clippy" => pairs || words.iter().any(|word| word == "-Dwarnings"),
        "cargo build" | "cargo check" | "cargo test" | "cargo nextest" | "eslint" | "make" => {
            pairs || words.iter().any(|word| word == "--max-warnings=0")
        }
        "pylint" | "ruff" | "flake8" | "golangci-lint" | "rubocop" | "shellcheck" | "mypy"
        | "pyright" | "tsc" | "go vet" | "cargo fmt" | "black" | "prettier" => true,
        _ => false,
    }
}
