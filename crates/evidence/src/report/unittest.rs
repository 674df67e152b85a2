//! `python -m unittest`, and what uses its text runner.

use super::lines::counts;
use super::tally::{Counts, Reader, Tally};
use super::{Outcome, Runner, TestName, TestReport};

/// The rule before `Ran N tests` is of exactly this many dashes.
const RULE: usize = 70;

#[derive(Default)]
pub(super) struct Unittest {
    tally: Tally,
    before: Before,
    /// `Ran N tests` was read, and its result is awaited.
    ran: Option<u64>,
    summaries: u64,
    /// The failure whose trace is being read.
    current: Option<TestName>,
    /// A test whose result stands on the next line, after its description.
    named: Option<TestName>,
}

/// What the line before was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Before {
    #[default]
    Other,
    DoubleRule,
    Rule,
}

impl Reader for Unittest {
    fn line(&mut self, line: &str) {
        let before = std::mem::replace(&mut self.before, kind(line));
        if self.before == Before::Rule && line.len() == RULE {
            return;
        }
        if let (Before::Rule, Some(count)) = (before, ran(line)) {
            self.ran = Some(count);
            self.current = None;
        } else if let (Some(count), false) = (self.ran, line.is_empty()) {
            self.result(count, line);
        } else if let (Before::DoubleRule, Some(test)) = (before, failure(line)) {
            self.tally.fail(test.clone());
            self.current = Some(test);
        } else if let Some(failing) = self.current.as_ref().and_then(|t| self.tally.failure(t)) {
            if let Some(place) = trace(line) {
                (failing.file, failing.line) = (None, None);
                failing.at(Some(place));
            } else if !line.starts_with("  ") && !line.starts_with("Traceback ") {
                failing.say(line);
            }
        } else {
            self.verbose(line);
        }
    }

    fn finish(self: Box<Self>, _by_form: bool) -> Option<TestReport> {
        if self.summaries == 0 {
            return None;
        }
        let is_complete = self.ran.is_none();
        Some(self.tally.report(Runner::Unittest, is_complete))
    }
}

impl Unittest {
    fn result(&mut self, ran: u64, line: &str) {
        self.ran = None;
        let (word, rest) = line.split_once(" (").unwrap_or((line, ""));
        let is_ok = match word {
            "OK" | "NO TESTS RAN" => true,
            "FAILED" => false,
            _ => return,
        };
        let rest = rest.trim_end_matches(')').replace('=', " ");
        let mut found = Counts::default();
        for part in rest.split(", ") {
            let Some((word, number)) = part.rsplit_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            let counted = match word {
                "failures" | "errors" | "unexpected successes" => &mut found.failed,
                "skipped" | "expected failures" => &mut found.skipped,
                _ => continue,
            };
            *counted = counted.saturating_add(number);
        }
        // Subtests fail one by one but belong to one test.
        found.passed = ran.saturating_sub(found.total());
        self.tally.is_contradictory |= is_ok != (found.failed == 0);
        self.tally.counts.add(found);
        self.summaries += 1;
    }

    /// `test_adds (tests.Good.test_adds) ... ok`
    fn verbose(&mut self, line: &str) {
        let (head, word) = match line.rsplit_once(" ... ") {
            Some((head, word)) => (head, word),
            None => {
                self.named = (!line.starts_with(' ')).then(|| name(line)).flatten();
                return;
            }
        };
        let Some(test) = name(head).or_else(|| self.named.take()) else {
            return;
        };
        let outcome = match word.split(' ').next().unwrap_or_default() {
            "ok" => Outcome::Passed,
            "skipped" | "expected" => Outcome::Skipped,
            "FAIL" | "ERROR" | "unexpected" => Outcome::Failed,
            _ => return,
        };
        match outcome {
            Outcome::Failed => self.tally.fail(test),
            _ => self.tally.note(test, outcome),
        }
    }
}

fn kind(line: &str) -> Before {
    let is_of = |char: u8| line.len() == RULE && line.bytes().all(|byte| byte == char);
    match (is_of(b'='), is_of(b'-')) {
        (true, _) => Before::DoubleRule,
        (_, true) => Before::Rule,
        _ => Before::Other,
    }
}

/// `Ran 8 tests in 0.001s`
fn ran(line: &str) -> Option<u64> {
    let (count, word) = counts(line.strip_prefix("Ran ")?, '\n').next()?;
    (word.starts_with("tests in ") || word.starts_with("test in ")).then_some(count)
}

/// `FAIL: test_subs (tests.Bad.test_subs) (n=1)`
fn failure(line: &str) -> Option<TestName> {
    let rest = line.strip_prefix("FAIL: ");
    name(rest.or_else(|| line.strip_prefix("ERROR: "))?)
}

/// `test_adds (tests.Good.test_adds)`; before Python 3.11 without the name in the brackets.
fn name(text: &str) -> Option<TestName> {
    let (name, rest) = text.trim_start().split_once(" (")?;
    let (class, more) = rest.split_once(')')?;
    let is_name = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    if !is_name(name) || !is_name(class) || !(more.is_empty() || more.starts_with([' ', '('])) {
        return None;
    }
    let class = class
        .strip_suffix(name)
        .map_or(class, |class| class.trim_end_matches('.'));
    Some(TestName::new(Some(class), name))
}

/// `  File "tests/test_bad.py", line 9, in test_error`
fn trace(line: &str) -> Option<(&str, u64)> {
    let (file, rest) = line.strip_prefix("  File \"")?.split_once("\", line ")?;
    let number = rest.split(',').next()?;
    Some((file, number.parse().ok()?))
}
