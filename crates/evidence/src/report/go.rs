//! `go test`: results by test where it tells them, and a line per package.
//!
//! Without `-v` only failures are named, and a package that passed says `ok` and not how many tests
//! it has: `passed` counts packages then.

use super::lines::indent;
use super::tally::{Reader, Tally};
use super::{Outcome, Runner, TestName, TestReport};

#[derive(Default)]
pub(super) struct GoTest {
    tally: Tally,
    /// Results since the last package line: they belong to the next.
    pending: Vec<(String, Outcome)>,
    /// What was said about tests of the next package.
    said: Vec<(String, String)>,
    /// The test whose output is being read.
    current: Option<String>,
    begun: std::collections::HashSet<String>,
    is_verbose: bool,
    packages: u64,
    passed_packages: u64,
    failed_packages: u64,
    panic: Option<String>,
}

impl Reader for GoTest {
    fn line(&mut self, line: &str) {
        if let Some((state, name)) = running(line) {
            self.is_verbose = true;
            if state == "RUN" {
                self.begun.insert(name.to_owned());
            }
            self.current = Some(name.to_owned());
        } else if let Some((outcome, name)) = result(line) {
            self.result(outcome, name);
        } else if let Some((outcome, package)) = package(line) {
            self.package(outcome, package, line);
        } else if line.starts_with("panic: ") {
            self.panic = Some(line.to_owned());
        } else if let (Some(current), true) = (&self.current, indent(line) >= 4)
            && self.said.len() < super::tally::MOST_TESTS
        {
            self.said.push((current.clone(), line.trim().to_owned()));
        }
    }

    fn finish(mut self: Box<Self>, _by_form: bool) -> Option<TestReport> {
        if self.packages == 0 {
            return None;
        }
        let is_complete = self.pending.is_empty();
        self.count();
        let mut report = self.tally.report(Runner::GoTest, is_complete);
        report.counts_tests = self.is_verbose;
        Some(report)
    }
}

impl GoTest {
    fn result(&mut self, outcome: Outcome, name: &str) {
        // Once `-v` tells what begins, a result of what never began is printed by a test.
        if self.is_verbose && !self.begun.contains(name) {
            self.tally.is_contradictory = true;
            return;
        }
        self.current = Some(name.to_owned());
        if self.pending.len() < super::tally::MOST_TESTS {
            self.pending.push((name.to_owned(), outcome));
        }
    }

    fn package(&mut self, outcome: Outcome, package: &str, line: &str) {
        self.packages += 1;
        let mut failed = 0;
        for (name, outcome) in self.pending.drain(..) {
            let test = TestName::new(Some(package), &name);
            if outcome == Outcome::Failed {
                failed += 1;
                self.tally.fail(test);
            } else {
                self.tally.note(test, outcome);
            }
        }
        for (name, text) in self.said.drain(..) {
            if let Some(failing) = self.tally.failure(&TestName::new(Some(package), &name)) {
                tell(failing, &text);
            }
        }
        self.begun.clear();
        self.current = None;
        let panic = self.panic.take();
        match outcome {
            Outcome::Passed => {
                self.tally.is_contradictory |= failed > 0;
                self.passed_packages += u64::from(!line.ends_with("[no tests to run]"));
            }
            Outcome::Failed if failed == 0 => {
                let test = TestName::new(Some(package), "(package)");
                self.tally.fail(test.clone());
                self.failed_packages += 1;
                if let Some(failing) = self.tally.failure(&test) {
                    let why = line
                        .rsplit_once(" [")
                        .map(|(_, why)| why.trim_end_matches(']'));
                    failing.say(panic.as_deref().or(why).unwrap_or_default());
                }
            }
            _ => {}
        }
    }

    fn count(&mut self) {
        self.tally.count_names();
        if !self.is_verbose {
            self.tally.counts.passed = self.tally.counts.passed.max(self.passed_packages);
        }
    }
}

/// `sums_test.go:18: no 2`
pub(super) fn tell(failing: &mut super::Failing, text: &str) {
    if let Some((at, rest)) = text.split_once(": ")
        && let Some((file, line)) =
            super::lines::place(at).filter(|(file, _)| file.ends_with(".go"))
    {
        failing.at(Some((file, line)));
        return failing.say(rest);
    }
    failing.say(text);
}

/// `=== RUN   TestAdd`
fn running(line: &str) -> Option<(&str, &str)> {
    let (state, name) = line.strip_prefix("=== ")?.split_once(' ')?;
    matches!(state, "RUN" | "CONT" | "NAME" | "PAUSE").then_some((state, name.trim()))
}

/// `    --- FAIL: TestCases/n=2 (0.00s)`
fn result(line: &str) -> Option<(Outcome, &str)> {
    let rest = line.trim_start_matches(' ').strip_prefix("--- ")?;
    let (word, rest) = rest.split_once(": ")?;
    let (name, time) = rest.rsplit_once(" (")?;
    time.strip_suffix("s)")?.parse::<f64>().ok()?;
    let outcome = match word {
        "PASS" => Outcome::Passed,
        "FAIL" => Outcome::Failed,
        "SKIP" => Outcome::Skipped,
        _ => return None,
    };
    Some((outcome, name))
}

/// `ok  \tPACKAGE\t0.004s`, `FAIL\tPACKAGE [build failed]`, `?   \tPACKAGE\t[no test files]`
fn package(line: &str) -> Option<(Outcome, &str)> {
    let (word, rest) = line.split_once('\t')?;
    let outcome = match word.trim_end() {
        "ok" => Outcome::Passed,
        "FAIL" => Outcome::Failed,
        "?" => Outcome::Skipped,
        _ => return None,
    };
    let (name, more) = rest.split_once(['\t', ' '])?;
    let is_end = more.starts_with(['[', '(']) || more.split('s').next()?.parse::<f64>().is_ok();
    (is_end && !name.is_empty()).then_some((outcome, name))
}
