//! `rspec`: only failures are named; the counts follow `Finished in`.

use super::lines::{counts, place};
use super::tally::{Counts, Reader, Tally};
use super::{Runner, TestName, TestReport};

#[derive(Default)]
pub(super) struct Rspec {
    tally: Tally,
    part: Part,
    was_time: bool,
    summaries: u64,
    /// Failures told under `Failures:` that the list at the end has not named yet.
    current: Option<TestName>,
    told: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Progress,
    Failures,
    List,
}

impl Reader for Rspec {
    fn line(&mut self, line: &str) {
        let was_time = std::mem::replace(&mut self.was_time, line.starts_with("Finished in "));
        if let (true, Some(found)) = (was_time, summary(line)) {
            self.tally.counts.add(found);
            self.summaries += 1;
            self.part = Part::Progress;
        } else if let Some(file) = line.strip_prefix("An error occurred while loading ") {
            let file = file
                .split(" - ")
                .next()
                .unwrap_or(file)
                .trim_end_matches('.');
            let test = TestName::new(None, file);
            self.tally.fail(test.clone());
            self.current = Some(test);
            self.part = Part::Failures;
        } else if line == "Failures:" {
            self.part = Part::Failures;
            self.told = 0;
        } else if line == "Failed examples:" && self.summaries > 0 {
            self.part = Part::List;
        } else if self.part == Part::Failures {
            self.failure(line);
        } else if self.part == Part::List {
            self.listed(line);
        }
    }

    fn finish(self: Box<Self>, _by_form: bool) -> Option<TestReport> {
        if self.summaries == 0 {
            return None;
        }
        Some(self.tally.report(Runner::Rspec, true))
    }
}

impl Rspec {
    fn failure(&mut self, line: &str) {
        if self.was_time {
            self.part = Part::Progress;
        } else if let Some(name) = numbered(line, self.told + 1) {
            self.told += 1;
            let test = TestName::new(None, name);
            self.tally.fail(test.clone());
            self.current = Some(test);
        } else if let Some(failing) = self.current.as_ref().and_then(|t| self.tally.failure(t)) {
            match line.trim_start().strip_prefix("# ") {
                Some(at) => failing.at(place(at.split(":in ").next().unwrap_or(at))),
                None => failing.say(line.trim_start()),
            }
        }
    }

    /// `rspec ./spec/bad_spec.rb:6 # sums throws`
    fn listed(&mut self, line: &str) {
        let Some((at, name)) = line
            .strip_prefix("rspec ")
            .and_then(|rest| rest.split_once(" # "))
        else {
            return;
        };
        let test = TestName::new(None, name);
        self.tally.fail(test.clone());
        if let Some(failing) = self.tally.failure(&test) {
            failing.at(place(at));
        }
    }
}

/// `7 examples, 2 failures, 2 pending, 1 error occurred outside of examples`
fn summary(line: &str) -> Option<Counts> {
    let (mut found, mut examples) = (Counts::default(), None);
    for (number, word) in counts(line, ',') {
        match word {
            "example" | "examples" => examples = Some(number),
            "failure" | "failures" => found.failed = found.failed.saturating_add(number),
            "pending" => found.skipped = number,
            _ if word.starts_with("error") => found.failed = found.failed.saturating_add(number),
            _ => {}
        }
    }
    let errors = counts(line, ',').find(|(_, word)| word.starts_with("error"));
    let inside = found.total() - errors.map_or(0, |(number, _)| number.min(found.failed));
    found.passed = examples?.saturating_sub(inside);
    Some(found)
}

/// `  1) sums throws`
fn numbered(line: &str, number: u64) -> Option<&str> {
    let (found, name) = line.strip_prefix("  ")?.split_once(") ")?;
    (found.parse() == Ok(number)).then_some(name)
}
