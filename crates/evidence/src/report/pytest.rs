//! `pytest`: names by verbose lines and the short summary, counts by the last line.
//!
//! A test may print what looks like the last line, so only the last such line of a session counts;
//! a session begins at its header or, in quiet runs, at its first progress line.

use std::collections::HashMap;

use super::lines::{counts, place};
use super::tally::{Counts, Reader, Tally};
use super::{Failing, Outcome, Runner, TestName, TestReport};

#[derive(Default)]
pub(super) struct Pytest {
    tally: Tally,
    part: Part,
    has_header: bool,
    has_summary: bool,
    /// The last line so far that may be the session's summary.
    candidate: Option<Counts>,
    selected: Option<u64>,
    stopped_early: bool,
    unfinished: u64,
    /// The heading under which a failure is told, and what is told there.
    heading: Option<String>,
    told: HashMap<String, Failing>,
    /// Failures of this session, by the short summary or, without one, by verbose lines.
    failed: Vec<TestName>,
}

/// Where in a session a line stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Progress,
    Failures,
    Summary,
}

impl Reader for Pytest {
    fn line(&mut self, line: &str) {
        let title = title(line);
        if title == Some("test session starts") {
            self.end_session();
            self.has_header = true;
            self.unfinished += 1;
            return;
        }
        if let Some(counts) = summary(title.unwrap_or(line)) {
            self.candidate = Some(counts);
            return;
        }
        match title {
            Some("FAILURES" | "ERRORS") => self.part = Part::Failures,
            Some("short test summary info") => self.part = Part::Summary,
            _ => self.inside(line),
        }
    }

    fn finish(mut self: Box<Self>, by_form: bool) -> Option<TestReport> {
        self.end_session();
        if !self.has_header && (by_form || !self.has_summary) {
            return None;
        }
        let is_complete = self.has_summary && self.unfinished == 0;
        if !self.has_summary {
            self.tally.count_names();
        }
        Some(self.tally.report(Runner::Pytest, is_complete))
    }
}

impl Pytest {
    fn inside(&mut self, line: &str) {
        if let Some(rest) = collected(line) {
            self.selected = selected(rest);
        } else if line.starts_with("!!!!") {
            self.stopped_early = true;
        }
        match self.part {
            Part::Progress => {
                if self.candidate.is_some() && line.ends_with("%]") {
                    self.end_session();
                }
                if let Some((id, outcome)) = verbose(line) {
                    self.named(id, outcome);
                }
            }
            Part::Failures => self.failure(line),
            Part::Summary => {
                if let Some((id, outcome)) = short(line) {
                    self.named(id, outcome);
                } else if line.ends_with("%]") && self.candidate.is_some() {
                    self.end_session();
                }
            }
        }
    }

    fn named(&mut self, id: &str, outcome: Outcome) {
        let test = TestName::new(None, id);
        if outcome == Outcome::Failed {
            self.tally.fail(test.clone());
            if self.failed.last() != Some(&test) {
                self.failed.push(test);
            }
        } else {
            self.tally.note(test, outcome);
        }
    }

    fn failure(&mut self, line: &str) {
        if let Some(heading) = underlined(line) {
            self.heading = Some(heading.to_owned());
            return;
        }
        let Some(heading) = &self.heading else { return };
        if self.told.len() >= super::tally::MOST_FAILING && !self.told.contains_key(heading) {
            return;
        }
        let failing = self
            .told
            .entry(heading.clone())
            .or_insert_with(|| Failing::of(TestName::new(None, heading)));
        if let Some(error) = line.strip_prefix("E   ") {
            failing.say(error.strip_prefix("    ").unwrap_or(error));
        } else if let Some((at, _)) = line.split_once(": ").filter(|_| !line.starts_with(' ')) {
            // The last place of a trace is where it happened.
            if let Some(found) = place(at) {
                (failing.file, failing.line) = (None, None);
                failing.at(Some(found));
            }
        }
    }

    fn end_session(&mut self) {
        if let Some(counts) = self.candidate.take() {
            self.has_summary = true;
            self.unfinished = 0;
            let ran = counts.total();
            let errors_apart = self.selected.is_some_and(|selected| {
                ran.saturating_sub(counts.failed) > selected && !self.stopped_early
            });
            self.tally.is_contradictory |= errors_apart;
            self.tally.counts.add(counts);
        }
        let told = std::mem::take(&mut self.told);
        let failed = std::mem::take(&mut self.failed);
        if failed.is_empty() && self.part == Part::Failures {
            // No short summary was asked for: the headings are all there is.
            let mut headings: Vec<_> = told.into_iter().collect();
            headings.sort_by(|a, b| a.0.cmp(&b.0));
            for (heading, failing) in headings {
                let test = TestName::new(None, in_error(&heading));
                self.tally.fail(test.clone());
                self.tell(&test, &failing);
            }
        } else {
            for test in failed {
                let found = told.get(&heading_of(&test.name));
                let found = found.or_else(|| told.get(&format!("ERROR collecting {}", test.name)));
                let on_setup = format!("ERROR at setup of {}", heading_of(&test.name));
                let found = found.or_else(|| told.get(&on_setup));
                if let Some(failing) = found {
                    self.tell(&test, failing);
                }
            }
        }
        self.part = Part::Progress;
        self.heading = None;
        self.selected = None;
        self.stopped_early = false;
    }

    fn tell(&mut self, test: &TestName, told: &Failing) {
        if let Some(failing) = self.tally.failure(test) {
            failing.file.clone_from(&told.file);
            failing.line = told.line;
            failing.message.clone_from(&told.message);
        }
    }
}

/// The words between `=====` and `=====`.
fn title(line: &str) -> Option<&str> {
    let inside = line.strip_prefix("==")?.strip_suffix("==")?;
    Some(inside.trim_matches('=').trim())
}

/// `2 failed, 5 passed, 1 error in 0.04s`, with a longer time in brackets after it.
fn summary(line: &str) -> Option<Counts> {
    let (results, time) = line.rsplit_once(" in ")?;
    let time = time.split(' ').next()?.strip_suffix('s')?;
    if time.parse::<f64>().is_err() {
        return None;
    }
    let mut found = Counts::default();
    if results == "no tests ran" {
        return Some(found);
    }
    let mut parts = 0;
    for (number, word) in counts(results, ',') {
        parts += 1;
        let counted = match word {
            "passed" | "xpassed" => &mut found.passed,
            "failed" | "error" | "errors" => &mut found.failed,
            "skipped" | "xfailed" => &mut found.skipped,
            "deselected" => &mut found.filtered,
            "warning" | "warnings" | "rerun" | "subtests passed" => continue,
            "subtests failed" => &mut found.failed,
            _ => return None,
        };
        *counted = counted.saturating_add(number);
    }
    (parts > 0 && parts == results.split(',').count()).then_some(found)
}

/// What follows `collected ` at the line's start or after `collecting ... `.
fn collected(line: &str) -> Option<&str> {
    let line = line.strip_prefix("collecting ... ").unwrap_or(line);
    line.strip_prefix("collected ")
}

/// `10 items`, `5 items / 4 deselected / 1 selected`
fn selected(text: &str) -> Option<u64> {
    let mut parts = text.split(" / ");
    let items = counts(parts.next()?, '\n').next()?.0;
    let chosen = parts
        .flat_map(|part| counts(part, '\n'))
        .find(|(_, word)| *word == "selected");
    Some(chosen.map_or(items, |(number, _)| number))
}

/// `test_a.py::test_b PASSED   [ 10%]`, `[gw1] [ 10%] PASSED test_a.py::test_b`
fn verbose(line: &str) -> Option<(&str, Outcome)> {
    if let Some(rest) = line.strip_prefix("[gw") {
        let (_, rest) = rest.split_once("%] ")?;
        let (word, id) = rest.split_once(' ')?;
        return Some((id.trim_end(), outcome(word)?));
    }
    let line = match line.strip_suffix("%]") {
        Some(rest) => {
            rest.trim_end_matches([' ', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
        }
        None => line,
    };
    let line = line.trim_end_matches(['[', ' ']);
    if !line.contains("::") {
        return None;
    }
    // The reason of a skip stands in brackets behind the word.
    let line = match (line.ends_with(')'), line.rfind(" (")) {
        (true, Some(at)) => &line[..at],
        _ => line,
    };
    let (id, word) = line.rsplit_once(' ')?;
    Some((id, outcome(word)?))
}

fn outcome(word: &str) -> Option<Outcome> {
    match word {
        "PASSED" | "XPASS" => Some(Outcome::Passed),
        "FAILED" | "ERROR" => Some(Outcome::Failed),
        "SKIPPED" | "XFAIL" => Some(Outcome::Skipped),
        _ => None,
    }
}

/// `FAILED test_a.py::test_b[a - b] - AssertionError: …`
fn short(line: &str) -> Option<(&str, Outcome)> {
    let (word, rest) = line.split_once(' ')?;
    let outcome = outcome(word)?;
    if word == "SKIPPED" {
        return None;
    }
    let mut depth = 0_i32;
    let end = rest.char_indices().find_map(|(at, char)| {
        match char {
            '[' => depth += 1,
            ']' => depth -= 1,
            ' ' if depth <= 0 && rest[at..].starts_with(" - ") => return Some(at),
            _ => {}
        }
        None
    });
    Some((rest[..end.unwrap_or(rest.len())].trim_end(), outcome))
}

/// The words between `____` and `____`.
fn underlined(line: &str) -> Option<&str> {
    let inside = line.strip_prefix('_')?.strip_suffix('_')?;
    let inside = inside.trim_start_matches('_').trim_end_matches('_');
    let inside = inside.strip_prefix(' ')?.strip_suffix(' ')?;
    (!inside.is_empty() && !inside.starts_with("_ ")).then_some(inside)
}

/// `test_a.py::TestB::test_c` has the heading `TestB.test_c`.
fn heading_of(id: &str) -> String {
    let (_, name) = id.split_once("::").unwrap_or(("", id));
    match name.split_once('[') {
        Some((name, parameters)) => format!("{}[{parameters}", name.replace("::", ".")),
        None => name.replace("::", "."),
    }
}

fn in_error(heading: &str) -> &str {
    let rest = heading.strip_prefix("ERROR at setup of ");
    rest.or_else(|| heading.strip_prefix("ERROR at teardown of "))
        .or_else(|| heading.strip_prefix("ERROR collecting "))
        .unwrap_or(heading)
}
