//! Collects results while a report is read, and holds names against counts at its end.

use std::collections::HashMap;

use super::lines::cut;
use super::{Failing, Outcome, Runner, TestName, TestReport, TestResult};

/// Most results that a report names.
pub(super) const MOST_TESTS: usize = 10_000;
/// Most failures that a report tells of.
pub(super) const MOST_FAILING: usize = 1_000;
/// Most bytes of a name, and of a suite.
pub(super) const NAME_BYTES: usize = 512;
/// Most bytes of a failure's message.
const MESSAGE_BYTES: usize = 2 << 10;

/// Reads the lines of one runner's output.
pub(super) trait Reader {
    /// Takes in the next line, cleaned.
    fn line(&mut self, line: &str);

    /// The report, when the lines were this runner's. `by_form`: nothing but the form of the output
    /// says so, and it has to be all there.
    fn finish(self: Box<Self>, by_form: bool) -> Option<TestReport>;
}

/// Results so far.
#[derive(Default)]
pub(super) struct Tally {
    tests: Vec<TestResult>,
    failing: Vec<Failing>,
    known: HashMap<TestName, usize>,
    failing_known: HashMap<TestName, usize>,
    pub(super) counts: Counts,
    pub(super) is_contradictory: bool,
}

/// What a runner's own summary says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    pub(super) filtered: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.filtered = self.filtered.saturating_add(other.filtered);
    }

    /// Tests that ran or were skipped.
    pub(super) fn total(&self) -> u64 {
        self.passed
            .saturating_add(self.failed)
            .saturating_add(self.skipped)
    }
}

impl Tally {
    /// Notes a named result. Said twice, the worse one holds.
    pub(super) fn note(&mut self, test: TestName, outcome: Outcome) {
        match self.known.get(&test) {
            Some(&at) if outcome == Outcome::Failed => self.tests[at].outcome = outcome,
            Some(_) => {}
            None if self.tests.len() < MOST_TESTS => {
                self.known.insert(test.clone(), self.tests.len());
                self.tests.push(TestResult { test, outcome });
            }
            None => {}
        }
    }

    /// Notes a failure and opens it for details.
    pub(super) fn fail(&mut self, test: TestName) {
        self.note(test.clone(), Outcome::Failed);
        if !self.failing_known.contains_key(&test) && self.failing.len() < MOST_FAILING {
            self.failing_known.insert(test.clone(), self.failing.len());
            self.failing.push(Failing::of(test));
        }
    }

    /// A failure that was noted.
    pub(super) fn failure(&mut self, test: &TestName) -> Option<&mut Failing> {
        let at = *self.failing_known.get(test)?;
        self.failing.get_mut(at)
    }

    /// Named results of one kind.
    pub(super) fn named(&self, outcome: Outcome) -> u64 {
        let found = self.tests.iter().filter(|result| result.outcome == outcome);
        found.count() as u64
    }

    /// Takes the named results as the counts: for runners without a summary.
    pub(super) fn count_names(&mut self) {
        self.counts.passed = self.named(Outcome::Passed);
        self.counts.failed = self.named(Outcome::Failed);
        self.counts.skipped = self.named(Outcome::Skipped);
    }

    /// Makes the report. More names than counts is a contradiction.
    pub(super) fn report(mut self, runner: Runner, is_complete: bool) -> TestReport {
        let too_many = self.named(Outcome::Failed) > self.counts.failed
            || self.named(Outcome::Passed) > self.counts.passed;
        for failing in &mut self.failing {
            failing.message.truncate(failing.message.trim_end().len());
        }
        TestReport {
            runner,
            passed: self.counts.passed,
            failed: self.counts.failed,
            skipped: self.counts.skipped,
            filtered: self.counts.filtered,
            tests: self.tests,
            failing: self.failing,
            counts_tests: true,
            is_complete,
            is_contradictory: self.is_contradictory || too_many,
        }
    }
}

impl Failing {
    /// A failure of which nothing is known yet.
    pub(super) fn of(test: TestName) -> Self {
        Self {
            test,
            file: None,
            line: None,
            message: String::new(),
        }
    }

    /// Adds a line to the message, up to its limit. Blank lines don't begin one.
    pub(super) fn say(&mut self, line: &str) {
        let room = MESSAGE_BYTES.saturating_sub(self.message.len());
        let is_blank_start = self.message.is_empty() && line.trim().is_empty();
        if room == 0 || is_blank_start {
            return;
        }
        self.message.push_str(cut(line, room));
        if self.message.len() < MESSAGE_BYTES {
            self.message.push('\n');
        }
    }

    /// Notes where it is, unless that is known.
    pub(super) fn at(&mut self, place: Option<(&str, u64)>) {
        if let (None, Some((file, line))) = (&self.file, place) {
            self.file = Some(cut(file, NAME_BYTES).to_owned());
            self.line = Some(line);
        }
    }
}
