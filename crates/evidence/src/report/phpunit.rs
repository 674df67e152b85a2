//! `phpunit`: failures in numbered sections, and the counts after the line with the time.

use super::lines::{counts, place};
use super::tally::{Counts, Reader, Tally};
use super::{Runner, TestName, TestReport};

#[derive(Default)]
pub(super) struct Phpunit {
    tally: Tally,
    has_header: bool,
    /// The line with the time was read: the counts are still to come.
    is_over: bool,
    summaries: u64,
    in_failures: bool,
    current: Option<TestName>,
    /// The class whose results are being told, with `--testdox`.
    class: Option<String>,
}

impl Reader for Phpunit {
    fn line(&mut self, line: &str) {
        if line.starts_with("PHPUnit ") && line.contains(" by Sebastian Bergmann") {
            self.has_header = true;
            self.is_over = false;
        } else if line.starts_with("Time: ") {
            self.is_over = true;
            self.in_failures = false;
        } else if line == "No tests executed!" {
            self.summaries += 1;
        } else if !self.is_over {
            self.testdox(line);
        } else if let Some(counts) = summary(line) {
            self.tally.counts.add(counts);
            self.summaries += 1;
            self.is_over = false;
            self.in_failures = false;
        } else if line.starts_with("There w") {
            let is_of = |word| line.contains(word);
            self.in_failures = is_of(" failure") || is_of(" error");
            self.current = None;
        } else if self.in_failures {
            self.failure(line);
        }
    }

    fn finish(self: Box<Self>, by_form: bool) -> Option<TestReport> {
        if self.summaries == 0 || by_form && !self.has_header {
            return None;
        }
        let is_complete = !self.is_over;
        Some(self.tally.report(Runner::Phpunit, is_complete))
    }
}

impl Phpunit {
    /// `1) BadTest::testWrong`
    fn failure(&mut self, line: &str) {
        let numbered = line
            .split_once(") ")
            .filter(|(n, _)| n.parse::<u64>().is_ok());
        if let Some((_, name)) = numbered {
            // The values of the data set stand behind its name.
            let name = match name.split_once("\" (") {
                Some((named, _)) if named.contains(" with data set ") => &name[..=named.len()],
                _ => name,
            };
            let test = match name.split_once("::") {
                Some((class, name)) => TestName::new(Some(class), name),
                None => TestName::new(None, name),
            };
            self.tally.fail(test.clone());
            self.current = Some(test);
        } else if let Some(failing) = self.current.as_ref().and_then(|t| self.tally.failure(t)) {
            match place(line) {
                Some(at) if line.contains(".php:") => failing.at(Some(at)),
                _ if line == "--" => self.current = None,
                _ => failing.say(line),
            }
        }
    }

    /// ` ✘ Wrong` under the class's name.
    fn testdox(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix(" ✘ ") {
            let test = TestName::new(self.class.as_deref(), rest);
            self.tally.fail(test.clone());
            self.current = Some(test);
        } else if let Some(text) = line.strip_prefix("   │") {
            let Some(failing) = self.current.as_ref().and_then(|t| self.tally.failure(t)) else {
                return;
            };
            let text = text.trim();
            match place(text) {
                Some(at) if text.contains(".php:") => failing.at(Some(at)),
                _ => failing.say(text),
            }
        } else if !line.is_empty() && !line.starts_with(' ') {
            self.class = Some(line.to_owned());
            self.current = None;
        }
    }
}

/// `OK (2 tests, 2 assertions)`, or `Tests: 8, Assertions: 4, Errors: 1, …`
fn summary(line: &str) -> Option<Counts> {
    let mut found = Counts::default();
    if let Some(rest) = line.strip_prefix("OK (") {
        let (number, word) = counts(rest, ',').next()?;
        found.passed = number;
        return word.starts_with("test").then_some(found);
    }
    let rest = line.strip_prefix("Tests: ")?;
    let (total, rest) = rest.split_once(", ")?;
    let total: u64 = total.parse().ok()?;
    for part in rest.trim_end_matches('.').split(", ") {
        let (word, number) = part.split_once(": ")?;
        let number: u64 = number.parse().ok()?;
        match word {
            "Errors" | "Failures" => found.failed = found.failed.saturating_add(number),
            "Skipped" | "Incomplete" => found.skipped = found.skipped.saturating_add(number),
            _ => {}
        }
    }
    found.passed = total.saturating_sub(found.total());
    Some(found)
}
