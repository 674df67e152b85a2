//! `cargo nextest run`: a line per test, and a summary.

use super::lines::{counts, place};
use super::tally::{Counts, Reader, Tally};
use super::{Outcome, Runner, TestName, TestReport};

/// Words of the state stand right-aligned before this column.
const STATE_END: usize = 12;

#[derive(Default)]
pub(super) struct Nextest {
    tally: Tally,
    started: u64,
    summaries: u64,
    /// Tests that were to run and were not.
    not_run: bool,
    /// The test whose output is being read.
    current: Option<TestName>,
}

impl Reader for Nextest {
    fn line(&mut self, line: &str) {
        if let Some((state, rest)) = state(line) {
            self.state(state, rest);
        } else if line.starts_with("    Starting ") && line.contains(" tests across ")
            || line.starts_with("    Starting ") && line.contains(" test across ")
        {
            self.started += 1;
        } else if line.starts_with("────") {
            self.current = None;
        } else if let Some(failing) = self.current.as_ref().and_then(|t| self.tally.failure(t)) {
            let Some(text) = line.strip_prefix("    ") else {
                // The harness of the test speaks on standard output; what went wrong comes after.
                if line.starts_with("  stderr ") {
                    failing.message.clear();
                }
                return;
            };
            if let Some((_, at)) = text.split_once(" panicked at ") {
                failing.at(place(at.trim_end_matches(':')));
            }
            failing.say(text);
        }
    }

    fn finish(mut self: Box<Self>, by_form: bool) -> Option<TestReport> {
        if self.started == 0 && (by_form || self.summaries == 0) {
            return None;
        }
        let is_complete = self.summaries > 0 && self.summaries >= self.started && !self.not_run;
        if self.summaries < self.started {
            self.tally.count_names();
        }
        if self.started > 0 && self.summaries > self.started {
            self.tally.is_contradictory = true;
        }
        Some(self.tally.report(Runner::Nextest, is_complete))
    }
}

impl Nextest {
    fn state(&mut self, state: &str, rest: &str) {
        if state == "Summary" {
            return self.summary(rest);
        }
        let state = match state.strip_prefix("TRY ") {
            Some(again) => again.split_once(' ').map_or("", |(_, word)| word),
            None => state,
        };
        let Some(outcome) = outcome(state) else {
            return;
        };
        let name = rest.trim_start();
        let name = match name.starts_with('(') {
            true => name.split_once(") ").map_or(name, |(_, name)| name),
            false => name,
        };
        let Some((suite, name)) = name.trim().split_once(' ') else {
            return;
        };
        let test = TestName::new(Some(suite), name);
        self.current = None;
        match outcome {
            Outcome::Failed => {
                self.tally.fail(test.clone());
                // The list after the summary says it once more, without output.
                self.current = (self.summaries < self.started).then_some(test);
            }
            _ => self.tally.note(test, outcome),
        }
    }

    /// `5/7 tests run: 4 passed (1 slow), 1 failed, 1 skipped`
    fn summary(&mut self, text: &str) {
        let Some((run, results)) = text.trim().split_once(" run: ") else {
            return;
        };
        let run = run.split(' ').next().unwrap_or_default();
        let (run, of) = run.split_once('/').unwrap_or((run, run));
        let mut found = Counts::default();
        for (number, word) in counts(&without_parentheses(results), ',') {
            match word.split(' ').next().unwrap_or_default() {
                "passed" => found.passed = number,
                "failed" | "timed" | "exec" => found.failed = found.failed.saturating_add(number),
                "skipped" => found.skipped = number,
                _ => {}
            }
        }
        let ran = found.passed.saturating_add(found.failed);
        self.tally.is_contradictory |= run.parse() != Ok(ran);
        self.not_run |= run != of;
        self.tally.counts.add(found);
        self.summaries += 1;
        self.current = None;
    }
}

/// `        PASS [   0.010s] …` as `PASS` and what follows the brackets.
fn state(line: &str) -> Option<(&str, &str)> {
    let (state, rest) = line.split_at_checked(STATE_END)?;
    let (time, rest) = rest.strip_prefix(" [")?.split_once(']')?;
    let is_time = time.trim_start_matches(['>', ' ']).ends_with('s');
    let state = state.trim_start();
    (is_time && !state.is_empty()).then_some((state, rest))
}

fn outcome(state: &str) -> Option<Outcome> {
    match state {
        "PASS" | "LEAK" | "FLKY" => Some(Outcome::Passed),
        "SKIP" => Some(Outcome::Skipped),
        "FAIL" | "TIMEOUT" | "TMT" | "ABORT" | "XFAIL" | "LEAK-FAIL" | "FLAKY-FL" => {
            Some(Outcome::Failed)
        }
        _ if state.starts_with("FLAKY ") => Some(Outcome::Passed),
        _ if state.starts_with("SIG") => Some(Outcome::Failed),
        _ => None,
    }
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0_u32;
    text.chars()
        .filter(|char| {
            match char {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .collect()
}
