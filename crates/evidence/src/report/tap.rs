//! The Test Anything Protocol: indented subtests, subtests in braces, and what `node --test`, tape
//! and others say beyond it.
//!
//! Only results without subtests are counted: a group's own result repeats theirs.

use super::groups::Groups;
use super::lines::{counts, indent, place};
use super::tally::{Reader, Tally};
use super::{Outcome, Runner, TestName, TestReport};

const JOIN: &str = " > ";

pub(super) struct Tap {
    tally: Tally,
    runner: Runner,
    groups: Groups,
    has_version: bool,
    /// What the top level's plan promises, and how many results it has.
    plan: Option<u64>,
    top: u64,
    /// Where results stand whose group has not told its own yet.
    deepest: usize,
    passed: u64,
    failed: u64,
    skipped: u64,
    bailed_out: bool,
    current: Option<TestName>,
    in_details: bool,
}

impl Tap {
    /// `runner`: who is known to speak it.
    pub(super) fn new(runner: Runner) -> Self {
        Self {
            tally: Tally::default(),
            runner,
            groups: Groups::default(),
            has_version: false,
            plan: None,
            top: 0,
            deepest: 0,
            passed: 0,
            failed: 0,
            skipped: 0,
            bailed_out: false,
            current: None,
            in_details: false,
        }
    }
}

impl Reader for Tap {
    fn line(&mut self, line: &str) {
        let depth = indent(line);
        let text = &line[depth..];
        if self.in_details {
            return self.detail(text);
        }
        if text.starts_with("TAP version ") && depth == 0 {
            self.has_version = true;
        } else if let Some((is_ok, rest)) = point(text) {
            self.point(depth, is_ok, rest);
        } else if let Some(name) = text.strip_prefix("# Subtest: ") {
            self.groups.open(depth, &unescaped(name));
        } else if let (Some(count), 0) = (plan(text), depth) {
            self.plan = Some(self.plan.unwrap_or(0).saturating_add(count));
        } else if text.starts_with("Bail out!") && depth == 0 {
            self.bailed_out = true;
        } else if text == "---" {
            self.in_details = true;
        } else if let (Some(test), 2..) = (&self.current, depth) {
            // Mocha writes the error as it is.
            if let Some(failing) = self.tally.failure(test) {
                let at = text
                    .strip_prefix("at ")
                    .map(|at| at.rsplit('(').next().unwrap_or(at));
                match at {
                    Some(at) if at.starts_with("node:") => {}
                    Some(at) => failing.at(place(at.trim_end_matches(')'))),
                    None => failing.say(text),
                }
            }
        } else if text == "}" {
            self.groups.close(depth);
            self.deepest = depth;
        }
    }

    fn finish(mut self: Box<Self>, by_form: bool) -> Option<TestReport> {
        let is_framed = self.has_version || self.plan.is_some();
        if self.top == 0 && self.plan.is_none() || !is_framed || by_form && self.plan.is_none() {
            return None;
        }
        if self.bailed_out {
            self.failed += 1;
            self.tally.fail(TestName::new(None, "(bailed out)"));
        }
        let counts = &mut self.tally.counts;
        (counts.passed, counts.failed, counts.skipped) = (self.passed, self.failed, self.skipped);
        self.tally.is_contradictory |= self.plan.is_some_and(|plan| self.top > plan);
        let is_complete = self.plan == Some(self.top) && !self.bailed_out;
        Some(self.tally.report(self.runner, is_complete))
    }
}

impl Tap {
    fn point(&mut self, depth: usize, is_ok: bool, rest: &str) {
        self.current = None;
        self.top += u64::from(depth == 0);
        let (name, directive) = described(rest);
        if let Some(name) = name.strip_suffix(" {") {
            return self.groups.open(depth, name.trim_end());
        }
        let has_subtests = self.deepest > depth;
        self.deepest = depth;
        if has_subtests {
            return self.groups.close(depth);
        }
        // The own heading `# Subtest: …` of a test without any.
        if self.groups.is_open(depth, &name) {
            self.groups.close(depth);
        }
        let path = match name.is_empty() {
            true => self.groups.path(depth, &format!("#{}", self.top), JOIN),
            false => self.groups.path(depth, &name, JOIN),
        };
        let test = TestName::new(None, &path);
        match (directive, is_ok) {
            (true, _) => {
                self.skipped += 1;
                self.tally.note(test, Outcome::Skipped);
            }
            (false, true) => {
                self.passed += 1;
                self.tally.note(test, Outcome::Passed);
            }
            (false, false) => {
                self.failed += 1;
                self.tally.fail(test.clone());
                self.current = Some(test);
            }
        }
    }

    /// A line of the YAML block under a result.
    fn detail(&mut self, text: &str) {
        if text == "..." {
            self.in_details = false;
            return;
        }
        let Some(failing) = self
            .current
            .as_ref()
            .and_then(|test| self.tally.failure(test))
        else {
            return;
        };
        let Some((key, value)) = text.split_once(':') else {
            return;
        };
        let value = value.trim().trim_matches(['\'', '"']);
        match key {
            "location" => failing.at(place(value)),
            "at" => {
                let inside = value.rsplit_once('(').map_or(value, |(_, at)| at);
                failing.at(place(inside.trim_end_matches(')')));
            }
            "message" | "error" | "operator" | "expected" | "actual" if !value.is_empty() => {
                failing.say(&format!("{key}: {value}"));
            }
            _ => {}
        }
    }
}

/// `ok 1 - adds` as whether it is, and what follows the word.
fn point(text: &str) -> Option<(bool, &str)> {
    let (is_ok, rest) = match text.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix("ok")?),
    };
    let rest = rest.strip_prefix(' ').or((rest.is_empty()).then_some(""))?;
    let number_end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let has_number = number_end > 0 && rest[number_end..].chars().next().is_none_or(|c| c == ' ');
    // `ok` without a number is too common a line.
    has_number.then(|| (is_ok, &rest[number_end..]))
}

/// The description, and whether a directive says that the result does not count.
fn described(rest: &str) -> (String, bool) {
    let rest = rest.trim_start();
    let rest = rest.strip_prefix("- ").unwrap_or(rest);
    let mut directive = false;
    let mut name = rest;
    let mut from = 0;
    while let Some(at) = rest[from..].find("# ").map(|at| at + from) {
        let after = rest[at + 2..].trim_start();
        let word = after
            .split(|c: char| !c.is_ascii_alphabetic())
            .next()
            .unwrap_or_default();
        let is_escaped = rest[..at].ends_with('\\');
        let is_skip = word.eq_ignore_ascii_case("skip") || word.eq_ignore_ascii_case("skipped");
        let is_directive = is_skip || word.eq_ignore_ascii_case("todo");
        if !is_escaped && (is_directive || after.starts_with("time=")) {
            directive = is_directive;
            name = &rest[..at];
            // A group in braces opens behind its time.
            if after.ends_with('{') {
                return (format!("{} {{", unescaped(name.trim_end())), directive);
            }
            break;
        }
        from = at + 2;
    }
    (unescaped(name.trim_end()), directive)
}

fn unescaped(name: &str) -> String {
    match name.contains('\\') {
        true => name.replace("\\#", "#").replace("\\\\", "\\"),
        false => name.to_owned(),
    }
}

/// `1..7`
fn plan(text: &str) -> Option<u64> {
    let rest = text.strip_prefix("1..")?;
    let number = rest.split(' ').next()?;
    let is_end = counts(text, '\n').next().is_none();
    number.parse().ok().filter(|_| is_end)
}
