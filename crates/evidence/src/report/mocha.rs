//! `mocha`: a tree of results, and after it counts and failures.

use super::groups::Groups;
use super::lines::{counts, indent, place};
use super::tally::{Counts, Reader, Tally};
use super::{Outcome, Runner, TestName, TestReport};

#[derive(Default)]
pub(super) struct Mocha {
    tally: Tally,
    groups: Groups,
    was_blank: bool,
    /// Where in the summary lines stand.
    part: Part,
    found: Counts,
    summaries: u64,
    told: u64,
    /// The parts of the failure's title that were read, and whether it is whole.
    title: Vec<String>,
    current: Option<TestName>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Tree,
    Counts,
    Title,
    Message,
}

impl Reader for Mocha {
    fn line(&mut self, line: &str) {
        // The summary follows blank lines; what a test prints seldom does.
        let was_blank = std::mem::replace(&mut self.was_blank, line.trim().is_empty());
        if let (true, Some(passed)) = (was_blank, passing(line)) {
            self.commit();
            self.found.passed = passed;
            self.summaries += 1;
            self.part = Part::Counts;
            return;
        }
        match self.part {
            Part::Tree => self.tree(line),
            Part::Counts => self.count(line),
            Part::Title | Part::Message => self.failure(line),
        }
    }

    fn finish(mut self: Box<Self>, _by_form: bool) -> Option<TestReport> {
        if self.summaries == 0 {
            return None;
        }
        self.commit();
        let is_complete = self.told == self.tally.counts.failed;
        Some(self.tally.report(Runner::Mocha, is_complete))
    }
}

impl Mocha {
    fn commit(&mut self) {
        self.tally.counts.add(std::mem::take(&mut self.found));
        self.groups.clear();
    }

    fn tree(&mut self, line: &str) {
        let text = line.trim_start_matches(' ');
        let depth = indent(line);
        if text.is_empty() || depth == 0 || passing(line).is_some() {
            return;
        }
        let (mark, name) = text.split_once(' ').unwrap_or(("", text));
        let outcome = match mark {
            "✔" | "✓" => Outcome::Passed,
            "-" => Outcome::Skipped,
            // Failures are told in full after the summary.
            _ if mark.ends_with(')') => return,
            _ => return self.groups.open(depth, text),
        };
        let name = match name.rsplit_once(" (") {
            Some((name, time)) if time.ends_with("ms)") => name,
            _ => name,
        };
        self.groups.close(depth);
        let path = self.groups.path(depth, name, " ");
        self.tally.note(TestName::new(None, &path), outcome);
    }

    fn count(&mut self, line: &str) {
        for (number, word) in counts(line, '\n') {
            match word {
                "pending" => self.found.skipped = number,
                "failing" => self.found.failed = number,
                _ => {}
            }
        }
        if line.is_empty() {
            self.part = match self.found.failed {
                0 => Part::Tree,
                _ => Part::Message,
            };
        }
    }

    fn failure(&mut self, line: &str) {
        if let Some(title) = numbered(line, self.told + 1) {
            self.title = Vec::new();
            self.current = None;
            self.part = Part::Title;
            return self.title_part(title);
        }
        if self.part == Part::Title {
            return self.title_part(line.trim());
        }
        let Some(failing) = self.current.as_ref().and_then(|t| self.tally.failure(t)) else {
            return;
        };
        match line.trim_start().strip_prefix("at ") {
            Some(at) => {
                let at = at
                    .rsplit_once('(')
                    .map_or(at, |(_, at)| at)
                    .trim_end_matches(')');
                let is_outside = at.starts_with("node:") || at.contains("node_modules");
                failing.at(place(at).filter(|_| !is_outside));
            }
            None => failing.say(line.trim()),
        }
    }

    fn title_part(&mut self, text: &str) {
        let (text, is_last) = match text.strip_suffix(':') {
            Some(text) => (text, true),
            None => (text, false),
        };
        self.title.push(text.to_owned());
        if is_last || self.title.len() > 64 {
            let test = TestName::new(None, &self.title.join(" "));
            self.told += 1;
            self.tally.fail(test.clone());
            self.current = Some(test);
            self.part = Part::Message;
        }
    }
}

/// `  3 passing (8ms)`
fn passing(line: &str) -> Option<u64> {
    let (number, word) = counts(line.strip_prefix("  ")?, '\n').next()?;
    (word.starts_with("passing (") && word.ends_with(')')).then_some(number)
}

/// `  1) sums`
fn numbered(line: &str, number: u64) -> Option<&str> {
    let (found, title) = line.strip_prefix("  ")?.split_once(") ")?;
    (found.parse() == Ok(number)).then_some(title)
}
