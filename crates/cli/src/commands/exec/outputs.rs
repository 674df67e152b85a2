//! Where a turn's progress and answer go: JSON lines, or words for people.

use std::io::IsTerminal as _;

use recto_evidence::Report;
use recto_protocol::{Record, SessionId};
use recto_runtime::{LiveEvent, Sink};

use super::super::report::{Ages, Output, verdict_word};
use super::opening::Opened;
use crate::args::RunArgs;
use crate::compose::git::Work;
use crate::compose::place::text;
use crate::exit::Failure;
use crate::output::human::Human;
use crate::output::jsonl::Jsonl;
use crate::output::safe::{safe, safe_line};

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
                opened.settled.model,
                opened.policy().access.name(),
                text(&opened.place.cwd),
            )),
        }
    }

    /// Something about the configuration that users should know.
    pub fn notice(&mut self, notice: &str) {
        match &mut self.face {
            Face::Jsonl(jsonl) => jsonl.warning("config", notice),
            Face::Human(human) => human.banner(&format!("warning: {}", safe(notice))),
        }
    }

    /// Why events were lost, if they were.
    pub fn lost(&self) -> Option<String> {
        match &self.face {
            Face::Jsonl(jsonl) => jsonl.lost().map(ToString::to_string),
            Face::Human(_) => None,
        }
    }

    /// Tells people what was committed.
    pub fn work(&mut self, work: &Work) {
        const SHOWN: usize = 5;
        let Face::Human(human) = &mut self.face else {
            return;
        };
        for commit in work.commits.iter().take(SHOWN) {
            let id = &commit.id.as_str()[..10];
            human.banner(&format!("commit {id} {}", safe_line(&commit.subject, 100)));
        }
        if work.commits.len() > SHOWN {
            human.banner(&format!(
                "… and {} commits more",
                work.commits.len() - SHOWN
            ));
        }
        if !work.clean {
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
    fn close(&mut self, report: Option<&Report>) {
        match &mut self.face {
            Face::Jsonl(jsonl) => jsonl.close(report),
            Face::Human(human) => human.close(report.map(citation_lines).unwrap_or_default()),
        }
    }
}

/// The citations that do not hold, one line each, after a line that counts them.
fn citation_lines(report: &Report) -> Vec<String> {
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
