//! Maven's Surefire: counts per class, failures under them, and counts per module after `Results:`.

use super::lines::place;
use super::tally::{Counts, Reader, Tally};
use super::{Runner, TestName, TestReport};

#[derive(Default)]
pub(super) struct Surefire {
    tally: Tally,
    classes: Counts,
    modules: Counts,
    has_begun: bool,
    has_results: bool,
    summaries: u64,
    class: Option<String>,
    current: Option<TestName>,
}

impl Reader for Surefire {
    fn line(&mut self, line: &str) {
        let Some(text) = tagged(line) else {
            return self.trace(line);
        };
        if text.trim() == "T E S T S" {
            self.has_begun = true;
            self.has_results = false;
        } else if text == "Results:" || text == "Results :" {
            self.has_results = true;
            self.current = None;
        } else if let Some(found) = summary(text) {
            self.summary(text, found);
        } else if let Some(name) = failure(text) {
            self.failure(name);
        } else if let Some(class) = text.strip_prefix("Running ") {
            self.class = Some(class.trim().to_owned());
        }
    }

    fn finish(mut self: Box<Self>, by_form: bool) -> Option<TestReport> {
        if self.summaries == 0 && self.classes == Counts::default() || by_form && !self.has_begun {
            return None;
        }
        let is_complete = self.summaries > 0 && self.has_begun;
        if self.summaries > 0 {
            self.tally.counts = self.modules;
            // A test that is run again after it failed counts twice among the classes.
            self.tally.is_contradictory |= self.classes.failed < self.modules.failed && is_complete;
        } else {
            self.tally.counts = self.classes;
        }
        Some(self.tally.report(Runner::Surefire, is_complete))
    }
}

impl Surefire {
    fn summary(&mut self, text: &str, found: Counts) {
        if text.contains("Time elapsed:") {
            self.classes.add(found);
            let class = text
                .rsplit_once(" in ")
                .map(|(_, class)| class.trim().to_owned());
            self.class = class.or(self.class.take());
            self.current = None;
        } else if self.has_results {
            self.modules.add(found);
            self.summaries += 1;
            self.has_results = false;
        }
    }

    /// `addsWrongly`, `demo.BadTest.addsWrongly`, `addsWrongly(demo.BadTest)`
    fn failure(&mut self, name: &str) {
        let (class, method) = match (
            name.strip_suffix(')').and_then(|n| n.split_once('(')),
            &self.class,
        ) {
            (Some((method, class)), _) if class.contains('.') => (Some(class), method),
            (_, Some(class)) => {
                let method = name.strip_prefix(class.as_str());
                (
                    Some(class.as_str()),
                    method.map_or(name, |name| name.trim_start_matches('.')),
                )
            }
            _ => (None, name),
        };
        let test = TestName::new(class, method);
        self.tally.fail(test.clone());
        self.current = Some(test);
    }

    fn trace(&mut self, line: &str) {
        let Some(failing) = self
            .current
            .as_ref()
            .and_then(|test| self.tally.failure(test))
        else {
            return;
        };
        match line.trim_start().strip_prefix("at ") {
            Some(at) => {
                let inside = at.rsplit_once('(').map_or(at, |(_, at)| at);
                let is_own = failing
                    .test
                    .suite
                    .as_deref()
                    .is_some_and(|class| at.contains(class));
                failing.at(place(inside.trim_end_matches(')')).filter(|_| is_own));
            }
            None if failing.file.is_none() => failing.say(line),
            None => {}
        }
    }
}

/// What follows `[INFO] `, `[WARNING] ` or `[ERROR] `.
fn tagged(line: &str) -> Option<&str> {
    let (tag, text) = line.strip_prefix('[')?.split_once("] ")?;
    matches!(tag, "INFO" | "WARNING" | "ERROR").then_some(text)
}

/// `Tests run: 5, Failures: 1, Errors: 1, Skipped: 1`
fn summary(text: &str) -> Option<Counts> {
    let rest = text.strip_prefix("Tests run: ")?;
    let mut numbers = rest
        .splitn(5, ", ")
        .map(|part| part.split(' ').find_map(|word| word.parse::<u64>().ok()));
    let mut next = || numbers.next().flatten();
    let (run, failures, errors, skipped) = (next()?, next()?, next()?, next()?);
    let failed = failures.saturating_add(errors);
    let passed = run.saturating_sub(failed.saturating_add(skipped));
    Some(Counts {
        passed,
        failed,
        skipped,
        filtered: 0,
    })
}

/// `addsWrongly  Time elapsed: 0.002 s  <<< FAILURE!`
fn failure(text: &str) -> Option<&str> {
    let (head, _) = text.split_once("<<< ")?;
    let (name, _) = head.split_once("Time elapsed:")?;
    let name = name.trim_end_matches([' ', '-']).trim();
    (!name.is_empty()).then_some(name)
}
