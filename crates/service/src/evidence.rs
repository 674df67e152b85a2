//! What is known about an attempt's last answer, from its log, its outputs and its files.

use std::sync::Arc;

use recto_evidence::claims::Ran;
use recto_evidence::report::detect;
use recto_evidence::summary::{Facts, Summary, summarize};
use recto_evidence::{ChunkText, Lookup};
use recto_protocol::ports::files::Files;
use recto_protocol::ports::log::Chunks;
use recto_protocol::record::{Body, Outcome};
use recto_protocol::tool::Effect;
use recto_protocol::{ChunkId, Record};

/// Most bytes of a file or an output that verdicts are based on.
const MOST_BYTES: u64 = 64 << 20;

/// What an attempt's log says of its last turn, as far as verdicts need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The turn's number.
    pub(crate) turn: u32,
    /// The final answer; none when the turn gave none.
    pub(crate) answer: Option<String>,
    checks: Vec<String>,
    runs: Vec<Run>,
    /// The work tree as it was last written down.
    tree: Option<String>,
    has_changes: bool,
}

/// A command that ran.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    command: String,
    exit_code: Option<i32>,
    chunk: ChunkId,
    is_check: bool,
    /// The work tree after it; none until that is known.
    tree: Option<Option<String>>,
}

impl Told {
    /// Reads a whole log.
    pub(crate) fn by(records: &[Record]) -> Self {
        let mut told = Self::default();
        for record in records {
            told.take_in(&record.body);
        }
        told.place_runs();
        told
    }

    fn take_in(&mut self, body: &Body) {
        match body {
            Body::SessionStarted(body) => self.checks.clone_from(&body.settings.checks),
            Body::SettingsChanged(body) => {
                if let Some(checks) = &body.checks {
                    self.checks.clone_from(checks);
                }
            }
            Body::TurnStarted(body) => {
                self.turn = body.turn;
                self.answer = None;
            }
            // Written before the next request and at a turn's end, of what ran until then.
            Body::Checkpointed(body) => self.tree = Some(body.tree.clone()),
            Body::StepStarted(_) => self.place_runs(),
            Body::ToolFinished(body) => {
                if let Effect::Command {
                    command,
                    exit_code,
                    chunk: Some(chunk),
                    ..
                } = &body.effect
                {
                    self.ran(command, *exit_code, chunk, false);
                }
            }
            Body::CheckFinished(body) => self.ran(&body.command, body.exit_code, &body.chunk, true),
            Body::TurnEnded(body) => {
                if let Outcome::Completed { answer } = &body.outcome {
                    self.answer = Some(answer.clone());
                }
            }
            Body::WorkSettled(body) => self.has_changes = body.files > 0,
            _ => {}
        }
    }

    /// Notes a run. One that went on in the background is told again when it ends.
    fn ran(&mut self, command: &str, exit_code: Option<i32>, chunk: &ChunkId, is_check: bool) {
        self.runs.retain(|run| &run.chunk != chunk);
        self.runs.push(Run {
            command: command.to_owned(),
            exit_code,
            chunk: chunk.clone(),
            is_check: is_check || self.checks.iter().any(|check| check == command),
            tree: None,
        });
    }

    /// What ran since the last request left the tree that was written down before this one.
    fn place_runs(&mut self) {
        for run in self.runs.iter_mut().filter(|run| run.tree.is_none()) {
            run.tree = Some(self.tree.clone());
        }
    }

    /// Whether the work tree is another one by now than after a run.
    fn is_stale(&self, run: &Run) -> bool {
        run.tree.as_ref().is_some_and(|tree| tree != &self.tree)
    }
}

/// Gives the last answer its verdicts. None when there is no answer.
pub(crate) fn summary(
    told: &Told,
    files: &Arc<dyn Files>,
    chunks: &Arc<dyn Chunks>,
) -> Option<Summary> {
    let answer = told.answer.as_deref()?;
    let sources = Sources {
        told,
        files: files.as_ref(),
        chunks: chunks.as_ref(),
    };
    let runs: Vec<Ran> = told
        .runs
        .iter()
        .map(|run| Ran {
            command: run.command.clone(),
            exit_code: run.exit_code,
            report: sources
                .output(&run.chunk)
                .and_then(|text| detect(&run.command, &text)),
            chunk: run.chunk.clone(),
            is_stale: told.is_stale(run),
            is_check: run.is_check,
        })
        .collect();
    Some(summarize(Facts {
        answer,
        citations: &recto_evidence::check(answer, &sources),
        runs: &runs,
        checks: &told.checks,
        before: None,
        has_changes: told.has_changes,
    }))
}

/// Where cited texts come from.
struct Sources<'a> {
    told: &'a Told,
    files: &'a dyn Files,
    chunks: &'a dyn Chunks,
}

impl Sources<'_> {
    fn output(&self, id: &ChunkId) -> Option<String> {
        let bytes = self.chunks.read(id, 0, MOST_BYTES).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Lookup for Sources<'_> {
    fn file(&self, path: &str) -> Option<String> {
        let bytes = self.files.read(path, MOST_BYTES).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn chunk(&self, id: &ChunkId) -> Option<ChunkText> {
        let run = self.told.runs.iter().find(|run| &run.chunk == id);
        Some(ChunkText {
            text: self.output(id)?,
            stale: run.is_some_and(|run| self.told.is_stale(run)),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn records(lines: &[&str]) -> Vec<Record> {
        let line = |(seq, text): (usize, &&str)| {
            let (kind, body) = text.split_once(' ').unwrap();
            Record::from_line(&format!(
                r#"{{"v":1,"seq":{seq},"at":0,"kind":"{kind}","body":{body}}}"#
            ))
            .unwrap()
        };
        lines.iter().enumerate().map(line).collect()
    }

    fn command(chunk: &str, command: &str, code: i32) -> String {
        format!(
            r#"tool.finished {{"call_id":"c","status":"ok","item":{{"type":"function_call_output","call_id":"c","output":""}},"effect":{{"kind":"command","command":"{command}","exit_code":{code},"session":null,"chunk":"{chunk}","output_bytes":0,"output_lines":0}}}}"#
        )
    }

    #[test]
    fn a_run_is_stale_when_the_tree_is_another_one_later() {
        let (tests, edit, again) = (
            command("aaaaaa", "make test", 1),
            command("bbbbbb", "sed -i s/a/b/ x", 0),
            command("cccccc", "make test", 0),
        );
        let told = Told::by(&records(&[
            r#"turn.started {"turn":1,"items":[]}"#,
            r#"step.started {"step":1}"#,
            &tests,
            r#"checkpoint.written {"tree":"t1"}"#,
            r#"step.started {"step":2}"#,
            &edit,
            r#"checkpoint.written {"tree":"t2"}"#,
            r#"step.started {"step":3}"#,
            // Changed nothing, so nothing was written down.
            &again,
            r#"step.started {"step":4}"#,
            r#"turn.ended {"turn":1,"outcome":{"kind":"completed","answer":"ok"},"usage":{"input_tokens":0,"output_tokens":0}}"#,
        ]));
        let stale: Vec<bool> = told.runs.iter().map(|run| told.is_stale(run)).collect();
        assert_eq!(stale, [true, false, false]);
        assert_eq!(told.answer.as_deref(), Some("ok"));
    }

    #[test]
    fn a_command_that_ends_in_the_background_is_one_run() {
        let begun =
            command("aaaaaa", "make test", 0).replace(r#""exit_code":0"#, r#""exit_code":null"#);
        let ended = command("aaaaaa", "make test", 0);
        let told = Told::by(&records(&[&begun, &ended]));
        assert_eq!(told.runs.len(), 1);
        assert_eq!(told.runs[0].exit_code, Some(0));
    }
}
