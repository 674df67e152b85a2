//! `jest`: a block per file, and a summary of suites and tests.

use super::groups::Groups;
use super::lines::{counts, indent, place};
use super::tally::{Counts, Reader, Tally};
use super::{Outcome, Runner, TestName, TestReport};

/// What jest writes between a group and its members.
const JOIN: &str = " › ";
/// The heading of a file that could not be loaded.
const NOT_LOADED: &str = "Test suite failed to run";

#[derive(Default)]
pub(super) struct Jest {
    tally: Tally,
    suite: Option<String>,
    /// Groups that are open in the tree of a file.
    groups: Groups,
    /// Whether lines are the tree of results, before the failures are told.
    in_tree: bool,
    /// The failure whose message is being read.
    current: Option<TestName>,
    has_suites: bool,
    has_tests: bool,
    unloaded: u64,
}

impl Reader for Jest {
    fn line(&mut self, line: &str) {
        if let Some(suite) = suite(line) {
            self.suite = Some(suite.to_owned());
            self.groups.clear();
            self.in_tree = true;
            self.current = None;
        } else if line.starts_with("Test Suites: ") {
            self.has_suites = true;
            self.in_tree = false;
            self.current = None;
        } else if let Some(rest) = line.strip_prefix("Tests: ") {
            if self.has_suites {
                self.summary(rest);
            }
        } else if let Some(heading) = line.strip_prefix("  ● ") {
            self.failure(heading);
        } else if let Some(failing) = self.current.as_ref().and_then(|t| self.tally.failure(t)) {
            if let Some(at) = line.trim_start().strip_prefix("at ") {
                let at = at.rsplit_once(" (").map_or(at, |(_, at)| at);
                let is_outside = at.contains("node_modules");
                failing.at(place(at.trim_end_matches(')')).filter(|_| !is_outside));
            } else {
                failing.say(line.trim_start_matches("    "));
            }
        } else if self.in_tree {
            self.tree(line);
        }
    }

    fn finish(mut self: Box<Self>, by_form: bool) -> Option<TestReport> {
        if !self.has_suites || by_form && !self.has_tests {
            return None;
        }
        // Files that did not load are counted among the suites only.
        self.tally.counts.failed = self.tally.counts.failed.saturating_add(self.unloaded);
        Some(self.tally.report(Runner::Jest, self.has_tests))
    }
}

impl Jest {
    fn tree(&mut self, line: &str) {
        let depth = indent(line);
        let text = line.trim_start_matches(' ');
        if text.is_empty() || depth == 0 {
            return;
        }
        let Some((outcome, name)) = result(text) else {
            return self.groups.open(depth, text);
        };
        self.groups.close(depth);
        let path = self.groups.path(depth, without_time(name), JOIN);
        let test = TestName::new(self.suite.as_deref(), &path);
        match outcome {
            Outcome::Failed => self.tally.fail(test),
            _ => self.tally.note(test, outcome),
        }
    }

    fn failure(&mut self, heading: &str) {
        self.in_tree = false;
        self.current = None;
        let is_about_a_test =
            heading == NOT_LOADED || !matches!(heading, "Console" | "") && !heading.ends_with(':');
        if !is_about_a_test || self.suite.is_none() {
            return;
        }
        let test = TestName::new(self.suite.as_deref(), heading);
        if heading == NOT_LOADED && self.tally.failure(&test).is_none() {
            self.unloaded += 1;
        }
        self.tally.fail(test.clone());
        self.current = Some(test);
    }

    /// `2 failed, 1 skipped, 1 todo, 2 passed, 6 total`
    fn summary(&mut self, text: &str) {
        let (mut found, mut total) = (Counts::default(), None);
        for (number, word) in counts(text, ',') {
            let counted = match word {
                "passed" => &mut found.passed,
                "failed" => &mut found.failed,
                "skipped" | "todo" | "pending" => &mut found.skipped,
                "total" => {
                    total = Some(number);
                    continue;
                }
                _ => continue,
            };
            *counted = counted.saturating_add(number);
        }
        let Some(total) = total else { return };
        self.tally.is_contradictory |= total != found.total();
        self.tally.counts.add(found);
        self.has_tests = true;
    }
}

/// `FAIL ./bad.test.js`, also with a project's name before and a time behind the path.
fn suite(line: &str) -> Option<&str> {
    let rest = line
        .strip_prefix("PASS ")
        .or_else(|| line.strip_prefix("FAIL "))?;
    let rest = rest.rsplit_once(" (").map_or(rest, |(path, _)| path);
    let path = rest.rsplit(' ').next()?;
    let path = path.strip_prefix("./").unwrap_or(path);
    (path.contains('.') && !path.is_empty()).then_some(path)
}

fn result(text: &str) -> Option<(Outcome, &str)> {
    let (mark, name) = text.split_once(' ')?;
    match mark {
        "✓" | "√" => Some((Outcome::Passed, name)),
        "✕" | "×" => Some((Outcome::Failed, name)),
        "○" => Some((
            Outcome::Skipped,
            name.strip_prefix("skipped ").unwrap_or(name),
        )),
        "✎" => Some((Outcome::Skipped, name.strip_prefix("todo ").unwrap_or(name))),
        _ => None,
    }
}

/// Takes `(2 ms)` off.
fn without_time(name: &str) -> &str {
    match name.rsplit_once(" (") {
        Some((name, time))
            if time.ends_with("s)") && time.starts_with(|c: char| c.is_ascii_digit()) =>
        {
            name
        }
        _ => name,
    }
}
