//! `node --test` in its `spec` form: a tree of results, and a count per line at its end.

use std::collections::{HashMap, VecDeque};

use super::groups::Groups;
use super::lines::{indent, place};
use super::tally::{Counts, Reader, Tally};
use super::{Outcome, Runner, TestName, TestReport};

const JOIN: &str = " > ";

#[derive(Default)]
pub(super) struct NodeTest {
    tally: Tally,
    groups: Groups,
    found: Counts,
    total: Option<u64>,
    summaries: u64,
    in_failures: bool,
    /// What the list of failures says about where the next one is.
    at: Option<(String, u64)>,
    /// Failures of the tree by their last name, to be found again in the list.
    by_leaf: HashMap<String, VecDeque<TestName>>,
    current: Option<TestName>,
}

impl Reader for NodeTest {
    fn line(&mut self, line: &str) {
        if let Some((word, number)) = count(line) {
            self.count(word, number);
        } else if line == "✖ failing tests:" {
            self.in_failures = true;
        } else if self.in_failures {
            self.failure(line);
        } else {
            self.tree(line);
        }
    }

    fn finish(self: Box<Self>, _by_form: bool) -> Option<TestReport> {
        if self.summaries == 0 {
            return None;
        }
        let is_complete = self.total.is_none();
        Some(self.tally.report(Runner::NodeTest, is_complete))
    }
}

impl NodeTest {
    fn count(&mut self, word: &str, number: u64) {
        let counted = match word {
            "tests" => {
                self.total = Some(number);
                self.found = Counts::default();
                self.in_failures = false;
                return;
            }
            "pass" => &mut self.found.passed,
            "fail" | "cancelled" => &mut self.found.failed,
            "skipped" | "todo" => &mut self.found.skipped,
            "duration_ms" => {
                if let Some(total) = self.total.take() {
                    self.tally.is_contradictory |= total != self.found.total();
                    self.tally.counts.add(self.found);
                    self.summaries += 1;
                }
                return;
            }
            _ => return,
        };
        *counted = counted.saturating_add(number);
    }

    fn tree(&mut self, line: &str) {
        let depth = indent(line);
        let Some((mark, name)) = line.trim_start_matches(' ').split_once(' ') else {
            return;
        };
        if mark == "▶" {
            return self.groups.open(depth, name);
        }
        let outcome = match mark {
            "✔" => Outcome::Passed,
            "✖" => Outcome::Failed,
            "﹣" | "⚠" => Outcome::Skipped,
            _ => return,
        };
        let Some((name, rest)) = timed(name) else {
            return;
        };
        let is_group = self.groups.is_open(depth, name);
        self.groups.close(depth);
        if is_group {
            return;
        }
        let outcome = match rest.starts_with("# TODO") || rest.starts_with("# SKIP") {
            true => Outcome::Skipped,
            false => outcome,
        };
        let test = TestName::new(None, &self.groups.path(depth, name, JOIN));
        if outcome == Outcome::Failed {
            self.by_leaf
                .entry(name.to_owned())
                .or_default()
                .push_back(test.clone());
            self.tally.fail(test);
        } else {
            self.tally.note(test, outcome);
        }
    }

    fn failure(&mut self, line: &str) {
        if let Some(at) = line.strip_prefix("test at ") {
            self.at = place(at).map(|(file, line)| (file.to_owned(), line));
            self.current = None;
        } else if let Some((name, _)) = line.strip_prefix("✖ ").and_then(timed) {
            let known = self.by_leaf.get_mut(name).and_then(VecDeque::pop_front);
            let test = known.unwrap_or_else(|| TestName::new(None, name));
            self.tally.fail(test.clone());
            if let (Some(failing), Some((file, line))) = (self.tally.failure(&test), &self.at) {
                failing.at(Some((file, *line)));
            }
            self.current = Some(test);
        } else if let Some(failing) = self.current.as_ref().and_then(|t| self.tally.failure(t))
            && !line.trim_start().starts_with("at ")
        {
            failing.say(line.strip_prefix("  ").unwrap_or(line));
        }
    }
}

/// `ℹ pass 4`
fn count(line: &str) -> Option<(&str, u64)> {
    let (word, number) = line.strip_prefix("ℹ ")?.split_once(' ')?;
    let whole = number.split('.').next()?;
    Some((word, whole.parse().ok()?))
}

/// `adds (0.19ms) # TODO` as the name and what follows the time.
fn timed(text: &str) -> Option<(&str, &str)> {
    let at = text.rfind("ms)")?;
    let (name, time) = text[..at].rsplit_once(" (")?;
    time.parse::<f64>().ok()?;
    Some((name, text[at + 3..].trim_start()))
}
