//! JUnit XML, in the dialects that runners write.
//!
//! The reader is a pull parser: nesting costs nothing, and entities other than XML's own are not
//! expanded.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::lines::{cut, place};
use super::tally::{Counts, Tally};
use super::{Outcome, Runner, TestName, TestReport};

/// Deeper suites are read as if they stood here.
const MOST_SUITES: usize = 32;
/// More of their names is left out of names of tests.
const SUITE_BYTES: usize = 128;

/// Why a file gives no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// It is not well-formed.
    #[error("not well-formed XML at byte {at}")]
    Malformed {
        /// Where reading stopped.
        at: u64,
    },
    /// It is XML and no report.
    #[error("no test suite in this XML")]
    NoSuite,
}

/// Reads a JUnit XML file.
///
/// # Errors
///
/// When the text is not well-formed, or holds no `testsuite`.
pub fn junit(xml: &str) -> Result<TestReport, XmlError> {
    let mut reader = Reader::from_str(xml);
    let mut state = State::default();
    loop {
        let event = reader.read_event().map_err(|_| XmlError::Malformed {
            at: reader.error_position(),
        })?;
        match event {
            Event::Start(tag) => state.start(&tag),
            Event::Empty(tag) => {
                state.start(&tag);
                state.end(tag.local_name().as_ref());
            }
            Event::End(tag) => state.end(tag.local_name().as_ref()),
            Event::Text(text) => state.text(&text),
            Event::CData(text) => state.text(&text),
            Event::GeneralRef(entity) => state.text(match &*entity {
                "lt" => "<",
                "gt" => ">",
                "amp" => "&",
                "quot" => "\"",
                "apos" => "'",
                _ => "",
            }),
            Event::Eof => break,
            _ => {}
        }
    }
    state.finish(reader.buffer_position())
}

#[derive(Default)]
struct State {
    tally: Tally,
    counted: Counts,
    /// Names of the open suites; beyond the most only their number is known.
    suites: Vec<String>,
    unnamed: usize,
    has_suite: bool,
    /// What the outermost elements that count say, and how deep they are.
    announced: Option<Announced>,
    /// Whether suites stand in suites or cases outside of them: what a suite counts differs then.
    is_nested: bool,
    case: Option<Case>,
    in_failure: bool,
}

#[derive(Default)]
struct Announced {
    tests: u64,
    failed: u64,
    is_total: bool,
}

struct Case {
    test: TestName,
    outcome: Outcome,
    file: Option<(String, u64)>,
    message: String,
}

impl State {
    fn start(&mut self, tag: &BytesStart<'_>) {
        match tag.local_name().as_ref() {
            "testsuites" => {
                self.has_suite = true;
                self.announce(tag, true);
            }
            "testsuite" => {
                self.has_suite = true;
                self.is_nested |= !self.suites.is_empty();
                if self.suites.is_empty() {
                    self.announce(tag, false);
                }
                if self.suites.len() < MOST_SUITES {
                    let name = attribute(tag, "name").unwrap_or_default();
                    self.suites.push(cut(&name, SUITE_BYTES).to_owned());
                } else {
                    self.unnamed += 1;
                }
            }
            "testcase" => self.case(tag),
            "failure" | "error" => self.outcome(tag, Outcome::Failed),
            "skipped" => self.outcome(tag, Outcome::Skipped),
            _ => self.in_failure = false,
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "testsuite" if self.unnamed > 0 => self.unnamed -= 1,
            "testsuite" => drop(self.suites.pop()),
            "testcase" => self.close_case(),
            "failure" | "error" | "skipped" => self.in_failure = false,
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if let (true, Some(case)) = (self.in_failure, &mut self.case) {
            let room = 4096_usize.saturating_sub(case.message.len());
            case.message.push_str(cut(text, room));
        }
    }

    /// Notes what the file says of itself. Sums over several outermost suites.
    fn announce(&mut self, tag: &BytesStart<'_>, is_total: bool) {
        let number = |name: &str| attribute(tag, name).and_then(|text| text.parse::<u64>().ok());
        let Some(tests) = number("tests") else {
            return;
        };
        let failed = number("failures")
            .unwrap_or(0)
            .saturating_add(number("errors").unwrap_or(0));
        let announced = self.announced.get_or_insert_default();
        if announced.is_total && !is_total {
            return;
        }
        announced.is_total = is_total;
        announced.tests = announced.tests.saturating_add(tests);
        announced.failed = announced.failed.saturating_add(failed);
    }

    fn case(&mut self, tag: &BytesStart<'_>) {
        self.is_nested |= self.suites.is_empty();
        let name = attribute(tag, "name").unwrap_or_default();
        let class = attribute(tag, "classname").or_else(|| attribute(tag, "class"));
        // Node writes one class name for all; its suites are nested elements.
        let class = class.filter(|class| class != "test" && !class.is_empty());
        let suites = self.suites.join(" > ");
        let suite = class.or(Some(suites).filter(|suites| !suites.is_empty()));
        let line = attribute(tag, "line").and_then(|text| text.parse().ok());
        let file = attribute(tag, "file");
        self.case = Some(Case {
            test: TestName::new(suite.as_deref(), &name),
            outcome: Outcome::Passed,
            file: file.zip(line),
            message: String::new(),
        });
    }

    fn outcome(&mut self, tag: &BytesStart<'_>, outcome: Outcome) {
        let Some(case) = &mut self.case else { return };
        if case.outcome != Outcome::Failed {
            case.outcome = outcome;
        }
        self.in_failure = outcome == Outcome::Failed;
        if self.in_failure
            && case.message.is_empty()
            && let Some(message) = attribute(tag, "message").filter(|text| !text.is_empty())
        {
            case.message = message + "\n";
        }
    }

    fn close_case(&mut self) {
        let Some(case) = self.case.take() else { return };
        self.in_failure = false;
        let counted = match case.outcome {
            Outcome::Passed => &mut self.counted.passed,
            Outcome::Failed => &mut self.counted.failed,
            Outcome::Skipped => &mut self.counted.skipped,
        };
        *counted += 1;
        if case.outcome != Outcome::Failed {
            return self.tally.note(case.test, case.outcome);
        }
        self.tally.fail(case.test.clone());
        if let Some(failing) = self.tally.failure(&case.test) {
            for line in case.message.trim().lines() {
                failing.say(line);
                failing.at(pointed_at(line));
            }
            failing.at(case
                .file
                .as_ref()
                .map(|(file, line)| (file.as_str(), *line)));
        }
    }

    fn finish(mut self, end: u64) -> Result<TestReport, XmlError> {
        if !self.suites.is_empty() || self.case.is_some() {
            return Err(XmlError::Malformed { at: end });
        }
        if !self.has_suite {
            return Err(XmlError::NoSuite);
        }
        let counts_all = |announced: &&Announced| announced.is_total || !self.is_nested;
        if let Some(announced) = self.announced.as_ref().filter(counts_all) {
            self.tally.is_contradictory |= announced.tests != self.counted.total()
                || (announced.failed == 0) != (self.counted.failed == 0);
        }
        self.tally.counts = self.counted;
        Ok(self.tally.report(Runner::Junit, true))
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = tag.attributes();
    let found = attributes
        .with_checks(false)
        .flatten()
        .find(|attribute| attribute.key.as_ref() == name)?;
    let value = found
        .normalized_value(quick_xml::XmlVersion::Implicit1_0)
        .ok()?;
    Some(cut(&value, 2048).to_owned())
}

/// The place in a line of a trace, in the forms of several languages.
fn pointed_at(line: &str) -> Option<(&str, u64)> {
    let line = line.trim_start_matches([' ', '\t', '❯']).trim_end();
    let at = match line.split_once(" panicked at ") {
        Some((_, at)) => at.trim_end_matches(':'),
        None => match line.strip_prefix("at ") {
            Some(at) => at.rsplit('(').next().unwrap_or(at).trim_end_matches(')'),
            None => line.split(": ").next().unwrap_or(line),
        },
    };
    let is_own =
        !at.contains(char::is_whitespace) && !at.contains("node:") && !at.contains("node_modules");
    place(at).filter(|_| is_own)
}
