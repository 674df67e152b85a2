//! `go test -json`: an event per line.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use super::go::tell;
use super::tally::{MOST_TESTS, Reader, Tally};
use super::{Outcome, Runner, TestName, TestReport};

#[derive(Default)]
pub(super) struct GoJson {
    tally: Tally,
    begun: HashSet<TestName>,
    ended: HashSet<TestName>,
    open_packages: HashSet<String>,
    said: HashMap<TestName, Vec<String>>,
    said_lines: usize,
    failed_packages: HashSet<String>,
    has_package: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    action: String,
    package: Option<String>,
    test: Option<String>,
    output: Option<String>,
}

impl Reader for GoJson {
    fn line(&mut self, line: &str) {
        if !line.starts_with("{\"") || !line.contains("\"Action\":") {
            return;
        }
        let Ok(event) = serde_json::from_str::<Event>(line) else {
            return;
        };
        let Some(package) = event.package else { return };
        match &event.test {
            Some(test) => {
                let test = TestName::new(Some(&package), test);
                self.open_packages.insert(package);
                self.test(test, &event.action, event.output.as_deref());
            }
            None => self.package(package, &event.action),
        }
    }

    fn finish(mut self: Box<Self>, _by_form: bool) -> Option<TestReport> {
        if !self.has_package && self.begun.is_empty() {
            return None;
        }
        let is_complete = self.has_package && self.open_packages.is_empty();
        self.tally.count_names();
        Some(self.tally.report(Runner::GoTest, is_complete))
    }
}

impl GoJson {
    fn test(&mut self, test: TestName, action: &str, output: Option<&str>) {
        let outcome = match action {
            "run" => {
                self.begun.insert(test);
                return;
            }
            "output" => {
                let text = output.unwrap_or_default().trim();
                let is_frame = text.starts_with("=== ") || text.starts_with("--- ");
                if !is_frame && self.said_lines < MOST_TESTS {
                    self.said_lines += 1;
                    self.said.entry(test).or_default().push(text.to_owned());
                }
                return;
            }
            "pass" => Outcome::Passed,
            "fail" => Outcome::Failed,
            "skip" => Outcome::Skipped,
            _ => return,
        };
        // The converter believes what tests print; a result of what never began is such.
        if !self.begun.contains(&test) || !self.ended.insert(test.clone()) {
            self.tally.is_contradictory = true;
            return;
        }
        if outcome != Outcome::Failed {
            return self.tally.note(test, outcome);
        }
        self.tally.fail(test.clone());
        self.failed_packages.extend(test.suite.clone());
        if let Some(failing) = self.tally.failure(&test) {
            for text in self.said.remove(&test).unwrap_or_default() {
                tell(failing, &text);
            }
        }
    }

    fn package(&mut self, package: String, action: &str) {
        match action {
            "start" => {
                self.open_packages.insert(package);
            }
            "pass" | "skip" | "fail" => {
                self.has_package = true;
                self.open_packages.remove(&package);
                let has_failure = self.failed_packages.contains(&package);
                if action == "fail" && !has_failure {
                    self.tally.fail(TestName::new(Some(&package), "(package)"));
                } else if action == "pass" && has_failure {
                    self.tally.is_contradictory = true;
                }
            }
            _ => {}
        }
    }
}
