//! One reply of a script, checked and ready to be sent.

use recto_protocol::ports::model::{ErrorKind, Finish, FinishReason, ModelError};
use serde_json::Value;

use super::event::{self, Event};
use super::file::{Cut, CutAt, EventLine, Expect, Failed, HttpError, ParseError, ReplyLine};

/// A reply with its name, by which its ids are made.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) name: String,
    pub(super) line: ReplyLine,
    pub(super) outcome: Outcome,
}

/// What a request is answered with.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// A stream of events.
    Answer(Answer),
    /// An HTTP error.
    Http(HttpError),
    /// An error as it was recorded, before anything was streamed.
    Recorded(ModelError),
}

/// A stream of events and its end.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) response_id: String,
    pub(super) events: Vec<Event>,
    pub(super) ending: Ending,
}

/// How a stream ends.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    /// In good order.
    Finished(Finish),
    /// With a `response.failed`.
    Failed(Failed),
    /// Before it is complete.
    Cut(CutAt),
    /// With an error as it was recorded.
    Recorded(ModelError),
}

impl Reply {
    pub(super) fn new(name: String, line: ReplyLine) -> Result<Self, ParseError> {
        match outcome(&name, &line) {
            Ok(outcome) => Ok(Self {
                name,
                line,
                outcome,
            }),
            Err(problem) => Err(ParseError::Reply {
                reply: name,
                problem,
            }),
        }
    }

    /// The same reply under another name, and so with other ids.
    pub(super) fn renamed(&self, name: String) -> Self {
        match Self::new(name, self.line.clone()) {
            Ok(reply) => reply,
            // It was built once before, and the name decides nothing.
            Err(_) => self.clone(),
        }
    }

    pub(super) fn expect(&self) -> Option<&Expect> {
        self.line.expect.as_ref()
    }

    /// Ids and call ids of its items.
    pub(super) fn ids(&self) -> Vec<String> {
        let Outcome::Answer(answer) = &self.outcome else {
            return Vec::new();
        };
        let mut ids = Vec::new();
        for event in &answer.events {
            let Event::Item { item, .. } = event else {
                continue;
            };
            let value: Value = serde_json::from_str(item.raw()).unwrap_or_default();
            ids.extend(
                ["id", "call_id"]
                    .iter()
                    .filter_map(|f| value[f].as_str().map(Into::into)),
            );
        }
        ids
    }

    /// Whether a conversation may go on after this reply without holding any of its ids.
    pub(super) fn is_traceless(&self) -> bool {
        let failing = match &self.outcome {
            Outcome::Answer(answer) => !matches!(answer.ending, Ending::Finished(_)),
            Outcome::Http(_) | Outcome::Recorded(_) => true,
        };
        failing || self.line.summary || self.ids().is_empty()
    }

    /// The text by which a summary is recognised later.
    pub(super) fn marker(name: &str) -> String {
        format!("(script reply {name})")
    }
}

fn outcome(name: &str, line: &ReplyLine) -> Result<Outcome, String> {
    let endings = [
        line.error.is_some(),
        line.failed.is_some(),
        line.cut.is_some(),
        line.recorded_error.is_some(),
    ];
    if endings.iter().filter(|given| **given).count() > 1 {
        return Err("only one of error, failed, cut and recorded_error may be given".into());
    }
    let events = events(name, line)?;
    match (&line.error, &line.recorded_error) {
        (Some(_), _) if !events.is_empty() => Err("an HTTP error has no events".into()),
        (Some(error), _) if !(300..600).contains(&error.status) => {
            Err(format!("{} is no error status", error.status))
        }
        (Some(error), _) => Ok(Outcome::Http(error.clone())),
        (None, Some(error)) if events.is_empty() => Ok(Outcome::Recorded(error.clone())),
        _ => Ok(Outcome::Answer(Answer {
            response_id: line
                .response_id
                .clone()
                .unwrap_or_else(|| format!("resp_{name}")),
            events,
            ending: ending(name, line)?,
        })),
    }
}

fn events(name: &str, line: &ReplyLine) -> Result<Vec<Event>, String> {
    let short = line.text.clone().map(|text| EventLine {
        text: Some(text),
        ..Default::default()
    });
    let mut lines: Vec<EventLine> = line.events.iter().cloned().chain(short).collect();
    if line.summary {
        let Some(text) = lines.iter_mut().rev().find_map(|event| event.text.as_mut()) else {
            return Err("a summary needs a text".into());
        };
        text.push('\n');
        text.push_str(&Reply::marker(name));
    }
    let numbered = lines.iter().enumerate();
    numbered
        .map(|(at, event)| {
            event::build(event, name, at).map_err(|why| format!("event {}: {why}", at + 1))
        })
        .collect()
}

fn ending(name: &str, line: &ReplyLine) -> Result<Ending, String> {
    if let Some(failed) = &line.failed {
        return Ok(Ending::Failed(failed.clone()));
    }
    if let Some(error) = &line.recorded_error {
        return Ok(Ending::Recorded(error.clone()));
    }
    match line.cut {
        Some(Cut::Here(true)) => return Ok(Ending::Cut(CutAt::default())),
        Some(Cut::At(CutAt {
            events: Some(_),
            bytes: Some(_),
            ..
        })) => {
            return Err("a cut is after events or after bytes".into());
        }
        Some(Cut::At(at)) => return Ok(Ending::Cut(at)),
        Some(Cut::Here(false)) | None => {}
    }
    Ok(Ending::Finished(Finish {
        reason: reason(line.finish.as_deref()),
        response_id: line
            .response_id
            .clone()
            .unwrap_or_else(|| format!("resp_{name}")),
        usage: line.usage,
        end_turn: line.end_turn,
    }))
}

fn reason(word: Option<&str>) -> FinishReason {
    match word {
        None | Some("complete") => FinishReason::Complete,
        Some("output_limit") => FinishReason::OutputLimit,
        Some("content_filter") => FinishReason::ContentFilter,
        Some(other) => FinishReason::Other(other.to_owned()),
    }
}

/// The word that a script has for `reason`; none for the usual one.
pub(super) fn word(reason: &FinishReason) -> Option<String> {
    match reason {
        FinishReason::Complete => None,
        FinishReason::OutputLimit => Some("output_limit".into()),
        FinishReason::ContentFilter => Some("content_filter".into()),
        FinishReason::Other(other) => Some(other.clone()),
    }
}

/// An error of the script itself.
pub(super) fn mismatch(message: String) -> ModelError {
    ModelError {
        status: Some(400),
        code: Some(super::MISMATCH.into()),
        ..ModelError::new(ErrorKind::Script, message)
    }
}
