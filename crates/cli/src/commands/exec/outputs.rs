//! Where a turn's progress and answer go: JSON lines, or words for people.

use std::io::IsTerminal as _;

use recto_protocol::{Record, SessionId};
use recto_runtime::{LiveEvent, Sink};
use recto_workspace::git::import::Imported;

use super::super::report::{Ages, Closing, Output, verdict_word};
use super::opening::Opened;
use crate::args::RunArgs;
use crate::compose::git::Work;
use crate::compose::place::text;
use crate::exit::Failure;
use crate::output::human::Human;
use crate::output::jsonl::Jsonl;
use crate::output::plural;
use crate::output::safe::{safe, safe_line};

/// Most characters of a name that is shown.
const MOST_NAME: usize = 1000;

/// The surface of one turn.
pub struct Surface {
    face: Face,
    ages: Ages,
}

enum Face {
    Jsonl(Box<Jsonl<std::io::Stdout>>),
    Human(Box<Human>),
}

impl Surface {
    /// The surface that the command line asks for.
    pub fn new(run: &RunArgs) -> Self {
        let face = if run.json {
            Face::Jsonl(Box::new(Jsonl::new(std::io::stdout(), run.deltas)))
        } else {
            let terminal = std::io::stderr().is_terminal();
            let colour = match run.color.as_str() {
                "always" => true,
                "never" => false,
                _ => terminal && crate::compose::home::variable("NO_COLOR").is_none(),
            };
            Face::Human(Box::new(Human::new(terminal, colour)))
        };
        Self {
            face,
            ages: Ages::default(),
        }
    }

    /// Which outputs are older than the last change.
    pub fn ages(&self) -> Ages {
        self.ages.clone()
    }

    /// Says which session this is. `earlier` is its log so far.
    pub fn begin(&mut self, opened: &Opened, id: &SessionId, earlier: &[Record]) {
        for record in earlier {
            self.ages.note(record);
        }
        match &mut self.face {
            Face::Jsonl(jsonl) => {
                // Without a message, it is an unfinished turn that is gone on with.
                let goes_on = opened.message.is_none();
                jsonl.begin(id.as_str(), text(opened.place.root()), earlier, goes_on);
            }
            Face::Human(human) => human.banner(&format!(
                "session {id} · {} · {} · {}",
                safe_line(&opened.settled.model, MOST_NAME),
                opened.policy().access.name(),
                safe_line(&text(&opened.place.cwd), MOST_NAME),
            )),
        }
    }

    /// Something about the configuration that users should know.
    pub fn notice(&mut self, notice: &str) {
        self.warning("config", notice);
    }

    /// Something that users should know. `code` tells programs what it is about.
    pub fn warning(&mut self, code: &str, text: &str) {
        match &mut self.face {
            Face::Jsonl(jsonl) => jsonl.warning(code, text),
            Face::Human(human) => human.banner(&format!("warning: {}", safe(text))),
        }
    }

    /// Tells of branches and tags that came home, and of what did not.
    pub fn imported(&mut self, imported: &Imported) {
        if let Face::Human(human) = &mut self.face {
            for line in imported.lines() {
                human.banner(&safe_line(&line, MOST_NAME));
            }
        }
        for warning in imported.warnings() {
            self.warning("git", &warning);
        }
    }

    /// Takes the live status away: something else is written to the terminal.
    pub fn still(&mut self) {
        match &mut self.face {
            Face::Jsonl(_) => {}
            Face::Human(human) => human.still(),
        }
    }

    /// Why events were lost, if they were.
    pub fn lost(&self) -> Option<String> {
        match &self.face {
            Face::Jsonl(jsonl) => jsonl.lost().map(ToString::to_string),
            Face::Human(_) => None,
        }
    }

    /// Tells people what was committed: commits only if HEAD has moved.
    pub fn work(&mut self, work: &Work, moved: bool, on_branch: bool) {
        const SHOWN: usize = 5;
        let Face::Human(human) = &mut self.face else {
            return;
        };
        let commits = if moved { work.commits.as_slice() } else { &[] };
        for commit in commits.iter().take(SHOWN) {
            let id = &commit.id.as_str()[..10];
            let place = if on_branch { "" } else { " (on no branch)" };
            human.banner(&format!(
                "commit {id}{place} {}",
                safe_line(&commit.subject, 100)
            ));
        }
        if commits.len() > SHOWN {
            let more = commits.len() - SHOWN;
            human.banner(&format!("… and {more} {} more", plural(more, "commit")));
        }
        if work.clean == Some(false) {
            human.banner("warning: not everything in the work tree is committed");
        }
    }

    /// Tells of a failure that ends the program.
    pub fn fatal(&mut self, failure: &Failure) {
        if let Face::Jsonl(jsonl) = &mut self.face {
            jsonl.error(&failure.message(), failure.hint.as_deref());
        }
    }
}

impl Sink for Surface {
    fn event(&mut self, event: LiveEvent<'_>) {
        if let LiveEvent::Record(record) = event {
            self.ages.note(record);
        }
        match &mut self.face {
            Face::Jsonl(jsonl) => jsonl.event(event),
            Face::Human(human) => human.event(event),
        }
    }
}

impl Output for Surface {
    fn close(&mut self, closing: &Closing<'_>) {
        match &mut self.face {
            Face::Jsonl(jsonl) => jsonl.close(closing),
            Face::Human(human) => human.close(last_lines(closing)),
        }
    }
}

/// What people are told last.
fn last_lines(closing: &Closing<'_>) -> Vec<String> {
    let mut lines = citation_lines(closing);
    if closing.checks_needless {
        lines.push("check not run: nothing was changed".to_owned());
    }
    if let Some(command) = &closing.go_on {
        lines.push(format!("go on with: {command}"));
    }
    let failed = closing.failed_checks.iter();
    lines.extend(failed.map(|check| format!("check failed: {}", safe_line(check, MOST_NAME))));
    lines
}

/// The citations that do not hold, one line each, after a line that counts them.
fn citation_lines(closing: &Closing<'_>) -> Vec<String> {
    let Some(report) = closing.report else {
        return Vec::new();
    };
    if report.citations.is_empty() && report.malformed.is_empty() {
        return Vec::new();
    }
    let bad: Vec<String> = report
        .citations
        .iter()
        .filter(|checked| checked.verdict != recto_evidence::Verdict::Holds)
        .map(|checked| {
            format!(
                "  {}: {}",
                safe(&checked.citation.to_string()),
                verdict_word(checked.verdict)
            )
        })
        .collect();
    let mut lines = vec![format!(
        "citations: {} of {} hold",
        report.citations.len() - bad.len(),
        report.citations.len() + report.malformed.len(),
    )];
    lines.extend(bad);
    let malformed = closing.malformed();
    lines.extend(
        malformed
            .iter()
            .map(|text| format!("  {}: malformed", safe_line(text, 160))),
    );
    lines
}

/// Prints the final answer: readable on a terminal, as it is elsewhere.
pub fn print_answer(answer: &str) -> Result<(), Failure> {
    let mut text = if std::io::stdout().is_terminal() {
        safe(&recto_evidence::plain(answer))
    } else {
        answer.to_owned()
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    super::super::print(&text)
}
