//! `vitest`: failures as `FAIL file > group > test`, and a summary of files and tests.

use super::lines::{counts, place};
use super::tally::{Counts, Reader, Tally};
use super::{Outcome, Runner, TestName, TestReport};

const JOIN: &str = " > ";

#[derive(Default)]
pub(super) struct Vitest {
    tally: Tally,
    has_header: bool,
    has_files: bool,
    has_tests: bool,
    not_loaded: u64,
    /// Errors outside of tests: vitest fails for them though no test did.
    errors: u64,
    current: Option<TestName>,
}

impl Reader for Vitest {
    fn line(&mut self, line: &str) {
        if line.starts_with(" RUN  v") {
            self.has_header = true;
        } else if line.starts_with(" Test Files  ") {
            self.has_files = true;
            self.current = None;
        } else if let Some(rest) = line.strip_prefix("      Tests  ") {
            self.summary(rest);
        } else if let Some(rest) = line.strip_prefix("     Errors  ") {
            self.errors = counts(rest, '|').next().map_or(0, |(number, _)| number);
        } else if let Some(rest) = line.strip_prefix(" FAIL  ") {
            self.failure(rest);
        } else if line.starts_with("⎯⎯⎯") {
            self.current = None;
        } else if let Some(failing) = self.current.as_ref().and_then(|t| self.tally.failure(t)) {
            match line.strip_prefix(" ❯ ") {
                Some(at) => failing.at(place(at.rsplit(' ').next().unwrap_or(at))
                    .filter(|_| !at.contains("node_modules"))),
                None if failing.file.is_none() => failing.say(line),
                None => {}
            }
        } else {
            self.verbose(line);
        }
    }

    fn finish(mut self: Box<Self>, by_form: bool) -> Option<TestReport> {
        if !self.has_files || by_form && !self.has_header {
            return None;
        }
        if self.errors > 0 {
            self.tally
                .fail(TestName::new(None, "(errors outside of tests)"));
        }
        let failed = &mut self.tally.counts.failed;
        *failed = failed
            .saturating_add(self.not_loaded)
            .saturating_add(u64::from(self.errors > 0));
        Some(self.tally.report(Runner::Vitest, self.has_tests))
    }
}

impl Vitest {
    /// `2 failed | 2 passed | 1 skipped | 1 todo (6)`, `no tests`
    fn summary(&mut self, text: &str) {
        if !self.has_files {
            return;
        }
        let (results, total) = text.rsplit_once(" (").unwrap_or((text, ""));
        let mut found = Counts::default();
        for (number, word) in counts(results, '|') {
            let counted = match word {
                "passed" => &mut found.passed,
                "failed" => &mut found.failed,
                "skipped" | "todo" | "expected fail" => &mut found.skipped,
                _ => continue,
            };
            *counted = counted.saturating_add(number);
        }
        if let Ok(total) = total.trim_end_matches(')').parse::<u64>() {
            self.tally.is_contradictory |= total != found.total();
        }
        self.tally.counts.add(found);
        self.has_tests = true;
    }

    fn failure(&mut self, text: &str) {
        // A project's name stands in bars before the file.
        let text = match text.strip_prefix('|') {
            Some(rest) => rest.split_once("| ").map_or(text, |(_, text)| text),
            None => text,
        };
        let test = match text.split_once(JOIN) {
            Some((file, name)) => TestName::new(Some(file), name),
            None => {
                // `uncollected.test.js [ uncollected.test.js ]`
                let file = text.split(" [").next().unwrap_or(text);
                let test = TestName::new(Some(file), "(file)");
                self.not_loaded += u64::from(self.tally.failure(&test).is_none());
                test
            }
        };
        self.tally.fail(test.clone());
        self.current = Some(test);
    }

    /// ` ✓ good.test.js > sums > adds 4ms`
    fn verbose(&mut self, line: &str) {
        let Some((mark, rest)) = line.strip_prefix(' ').and_then(|rest| rest.split_once(' '))
        else {
            return;
        };
        let outcome = match mark {
            "✓" => Outcome::Passed,
            "×" => Outcome::Failed,
            "↓" | "□" => Outcome::Skipped,
            _ => return,
        };
        if let Some((file, name)) = without_time(rest).split_once(JOIN) {
            self.tally.note(TestName::new(Some(file), name), outcome);
        }
    }
}

/// Takes ` 12ms` or ` 1.20s` off.
fn without_time(name: &str) -> &str {
    let is_time = |text: &str| {
        let number = text.strip_suffix("ms").or_else(|| text.strip_suffix('s'));
        number.is_some_and(|number| number.parse::<f64>().is_ok())
    };
    match name.rsplit_once(' ') {
        Some((name, time)) if is_time(time) => name,
        _ => name,
    }
}
