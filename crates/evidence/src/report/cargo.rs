//! `cargo test`: the output of Rust's own test harness, for any number of test programs.
//!
//! Each program prints `running N tests` and at its end `test result: …`, whose counts must add up
//! to N; a line of another sum is something that a test printed.

use super::lines::{counts, place};
use super::tally::{Counts, Reader, Tally};
use super::{Outcome, Runner, TestName, TestReport};

#[derive(Default)]
pub(super) struct CargoTest {
    tally: Tally,
    /// The program whose output this is.
    suite: Option<String>,
    /// Tests that the running program announced, while it has not told its result.
    open: Option<u64>,
    has_begun: bool,
    has_result: bool,
    is_cut: bool,
    /// The test whose captured output is being read.
    current: Option<TestName>,
    crash: Option<TestName>,
    /// Whether cargo says at its end that programs failed.
    has_failed_targets: bool,
}

impl Reader for CargoTest {
    fn line(&mut self, line: &str) {
        if let Some(suite) = suite(line) {
            self.leave_unfinished();
            self.suite = Some(suite);
        } else if let (Some(count), None) = (announced(line), self.open) {
            self.open = Some(count);
            self.has_begun = true;
            self.current = None;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.result(result);
        } else if line.starts_with("error: test failed, to rerun pass") {
            self.crashed();
            self.has_failed_targets = true;
        } else if is_failed_targets(line) && self.open.is_none() {
            self.has_failed_targets = true;
        } else if self.open.is_some() {
            self.inside(line);
        } else if let (Some(crash), Some(text)) = (&self.crash, line.strip_prefix("  "))
            && let Some(failing) = self.tally.failure(crash)
        {
            failing.say(text);
        }
    }

    fn finish(mut self: Box<Self>, by_form: bool) -> Option<TestReport> {
        let is_recognised = if by_form {
            self.has_begun && self.has_result
        } else {
            self.has_begun || self.has_result
        };
        if !is_recognised {
            return None;
        }
        if self.has_failed_targets && self.tally.counts.failed == 0 {
            // Their output was cut off.
            self.tally.counts.failed = 1;
            self.tally.fail(TestName::new(None, "(another target)"));
            self.is_cut = true;
        }
        let is_complete = self.open.is_none() && !self.is_cut;
        if self.open.is_some() {
            self.leave_unfinished();
        }
        Some(self.tally.report(Runner::CargoTest, is_complete))
    }
}

impl CargoTest {
    fn inside(&mut self, line: &str) {
        if let Some((name, outcome)) = named(line) {
            let test = TestName::new(self.suite.as_deref(), name);
            match outcome {
                Outcome::Failed => self.tally.fail(test),
                _ => self.tally.note(test, outcome),
            }
        } else if let Some(name) = heading(line) {
            let test = TestName::new(self.suite.as_deref(), name);
            self.tally.fail(test.clone());
            self.current = Some(test);
        } else if line == "failures:" {
            self.current = None;
        } else if let Some(failing) = self.current.as_ref().and_then(|t| self.tally.failure(t)) {
            if let Some((_, at)) = line.split_once(" panicked at ") {
                failing.at(place(at.trim_end_matches(':')));
            }
            if !line.starts_with("note: run with `RUST_BACKTRACE") {
                failing.say(line);
            }
        }
    }

    fn result(&mut self, text: &str) {
        let Some((counts, is_ok)) = result_counts(text) else {
            return;
        };
        match self.open {
            Some(announced) if announced != counts.total() => return,
            Some(_) => {}
            // The beginning was cut off, or a test printed this.
            None if self.has_begun => self.tally.is_contradictory = true,
            None => self.is_cut = true,
        }
        self.tally.is_contradictory |= is_ok != (counts.failed == 0);
        self.tally.counts.add(counts);
        self.has_result = true;
        self.open = None;
        self.current = None;
    }

    /// A program that ended without a result crashed, and that is a failure of its own.
    fn crashed(&mut self) {
        if self.open.is_none() {
            return;
        }
        let name = self.suite.clone().unwrap_or_default();
        let test = TestName::new(None, &format!("{name} (crashed)"));
        self.tally.fail(test.clone());
        self.tally.counts.failed += 1;
        self.leave_unfinished();
        self.has_result = true;
        self.crash = Some(test);
    }

    /// Counts what an unfinished program named. Its other tests are unknown.
    fn leave_unfinished(&mut self) {
        self.crash = None;
        if self.open.take().is_some() {
            self.is_cut = true;
            let named = |outcome| self.tally.named(outcome);
            let (passed, failed) = (named(Outcome::Passed), named(Outcome::Failed));
            let skipped = named(Outcome::Skipped);
            let counts = &mut self.tally.counts;
            counts.passed = counts.passed.max(passed);
            counts.failed = counts.failed.max(failed);
            counts.skipped = counts.skipped.max(skipped);
        }
    }
}

/// `     Running unittests src/lib.rs (target/debug/deps/sums-ecd90ae6b2807d0f)`, `   Doc-tests sums`
fn suite(line: &str) -> Option<String> {
    if let Some(name) = line.strip_prefix("   Doc-tests ") {
        return Some(format!("{name} (doc)"));
    }
    let (source, program) = line
        .strip_prefix("     Running ")?
        .strip_suffix(')')?
        .split_once(" (")?;
    let source = source.strip_prefix("unittests ").unwrap_or(source);
    let program = program.rsplit('/').next()?;
    // The hash changes from build to build.
    let name = program.rsplit_once('-').map_or(program, |(name, _)| name);
    Some(format!("{name} ({source})"))
}

/// `error: 2 targets failed:`
fn is_failed_targets(line: &str) -> bool {
    let rest = line.strip_prefix("error: ");
    rest.is_some_and(|rest| rest.ends_with(" target failed:") || rest.ends_with(" targets failed:"))
}

fn announced(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("running ")?;
    let number = rest
        .strip_suffix(" tests")
        .or_else(|| rest.strip_suffix(" test"))?;
    number.parse().ok()
}

/// `test tests::adds ... ok`; in quiet runs `tests::adds --- FAILED`
fn named(line: &str) -> Option<(&str, Outcome)> {
    if let Some(name) = line.strip_suffix(" --- FAILED") {
        return Some((name, Outcome::Failed));
    }
    let (name, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let outcome = match outcome.split([' ', ',']).next()? {
        "ok" | "bench:" => Outcome::Passed,
        "FAILED" => Outcome::Failed,
        "ignored" => Outcome::Skipped,
        _ => return None,
    };
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    Some((name, outcome))
}

/// `---- tests::adds stdout ----`
fn heading(line: &str) -> Option<&str> {
    let inside = line.strip_prefix("---- ")?.strip_suffix(" ----")?;
    let name = inside
        .strip_suffix(" stdout")
        .or_else(|| inside.strip_suffix(" stderr"))?;
    Some(name.strip_suffix(" - should panic").unwrap_or(name))
}

/// `ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`
fn result_counts(text: &str) -> Option<(Counts, bool)> {
    let (word, rest) = text.split_once(". ")?;
    let is_ok = match word {
        "ok" => true,
        "FAILED" => false,
        _ => return None,
    };
    let (mut found, mut measured, mut parts) = (Counts::default(), 0_u64, 0);
    for (number, word) in counts(rest, ';') {
        parts += 1;
        match word {
            "passed" => found.passed = number,
            "failed" => found.failed = number,
            "ignored" => found.skipped = number,
            "measured" => measured = number,
            "filtered out" => found.filtered = number,
            _ => parts -= 1,
        }
    }
    found.passed = found.passed.saturating_add(measured);
    (parts >= 4).then_some((found, is_ok))
}
