//! One event's JSON read into what the port speaks of.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use recto_protocol::Item;
use recto_protocol::ports::model::{
    Delta, DeltaKind, ErrorKind, Finish, FinishReason, ModelError, ModelEvent,
};
use recto_protocol::usage::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::{self, Told};

pub(super) type Outcome = Result<ModelEvent, ModelError>;

/// Events that say nothing which others do not say.
const SILENT: [&str; 17] = [
    "keepalive",
    "ping",
    "response.queued",
    "response.output_item.added",
    "response.content_part.added",
    "response.content_part.done",
    "response.output_text.done",
    "response.output_text.annotation.added",
    "response.refusal.done",
    "response.function_call_arguments.done",
    "response.custom_tool_call_input.done",
    "response.reasoning_summary_part.done",
    "response.reasoning_summary_text.done",
    "response.reasoning_text.done",
    "response.web_search_call.in_progress",
    "response.web_search_call.searching",
    "response.web_search_call.completed",
];

/// What was seen of one response so far.
#[derive(Debug, Default)]
pub(super) struct Events {
    started: bool,
    /// Finished items so far, by type.
    sent: BTreeMap<String, usize>,
    pub(super) ended: bool,
    pub(super) queue: VecDeque<Outcome>,
}

/// The two fields that all but a few events are decided by. Nothing else is looked at, so that
/// a delta costs one pass over its bytes.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", default, borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
}

impl Events {
    /// Takes one event.
    pub(super) fn take(&mut self, name: &str, data: &str) {
        if self.ended || data == "[DONE]" {
            return;
        }
        if let Err(error) = self.read(name, data) {
            let message = format!(
                "malformed event in the stream ({error}): {}",
                failure::shortened(data)
            );
            self.fail(ModelError::new(ErrorKind::Stream, message));
        }
    }

    /// Ends the response with `error`.
    pub(super) fn fail(&mut self, error: ModelError) {
        self.queue.push_back(Err(error));
        self.ended = true;
    }

    /// Takes a whole response object, as a server sends it that does not stream.
    pub(super) fn take_whole(&mut self, json: &str) -> Result<(), serde_json::Error> {
        self.start();
        self.close(serde_json::from_str(json)?)
    }

    fn read(&mut self, name: &str, data: &str) -> Result<(), serde_json::Error> {
        let head: Head<'_> = serde_json::from_str(data)?;
        let kind = if head.kind.is_empty() {
            name
        } else {
            &*head.kind
        };
        match kind {
            "response.output_text.delta" | "response.refusal.delta" => {
                self.delta(DeltaKind::Text, head.delta)
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.delta(DeltaKind::Reasoning, head.delta)
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.delta(DeltaKind::ToolInput, head.delta)
            }
            "response.reasoning_summary_part.added" => self.summary_part(data),
            "response.created" | "response.in_progress" => {
                self.start();
                Ok(())
            }
            "response.output_item.done" => self.item_done(data),
            "response.completed" | "response.incomplete" | "response.failed" | "response.done" => {
                #[derive(Deserialize)]
                struct Ended<'a> {
                    #[serde(borrow)]
                    response: Response<'a>,
                }
                let ended: Ended<'_> = serde_json::from_str(data)?;
                let mut response = ended.response;
                response.insist_on(kind);
                self.close(response)
            }
            "error" => self.failed(data),
            "" if data.contains("\"error\"") => self.failed(data),
            kind if SILENT.contains(&kind) => Ok(()),
            _ => {
                self.queue
                    .push_back(Ok(ModelEvent::Unknown(data.to_owned())));
                Ok(())
            }
        }
    }

    fn start(&mut self) {
        if !std::mem::replace(&mut self.started, true) {
            self.queue.push_back(Ok(ModelEvent::Started));
        }
    }

    fn delta(&mut self, kind: DeltaKind, raw: Option<&RawValue>) -> Result<(), serde_json::Error> {
        let text: String = serde_json::from_str(raw.map_or("\"\"", RawValue::get))?;
        if !text.is_empty() {
            self.queue
                .push_back(Ok(ModelEvent::Delta(Delta { kind, text })));
        }
        Ok(())
    }

    /// Keeps the parts of a summary apart while they stream, as the finished item does.
    fn summary_part(&mut self, data: &str) -> Result<(), serde_json::Error> {
        #[derive(Deserialize)]
        struct Part {
            #[serde(default)]
            summary_index: u64,
        }
        let part: Part = serde_json::from_str(data)?;
        if part.summary_index > 0 {
            let delta = Delta {
                kind: DeltaKind::Reasoning,
                text: "\n\n".into(),
            };
            self.queue.push_back(Ok(ModelEvent::Delta(delta)));
        }
        Ok(())
    }

    fn item_done(&mut self, data: &str) -> Result<(), serde_json::Error> {
        #[derive(Deserialize)]
        struct Done<'a> {
            #[serde(borrow)]
            item: &'a RawValue,
        }
        let done: Done<'_> = serde_json::from_str(data)?;
        let (kind, item) = parse_item(done.item)?;
        *self.sent.entry(kind).or_default() += 1;
        self.queue.push_back(Ok(ModelEvent::Item(item)));
        Ok(())
    }

    fn failed(&mut self, data: &str) -> Result<(), serde_json::Error> {
        let value = serde_json::from_str(data)?;
        let mut told = Told::read(&value);
        // In a bare error event the type is the event's own.
        told.class = told.class.filter(|class| class != "error");
        self.fail(failure::from_event(&told));
        Ok(())
    }

    /// Ends the response: what it holds that was not sent before, then how it finished.
    fn close(&mut self, response: Response<'_>) -> Result<(), serde_json::Error> {
        if response.status.as_deref() == Some("failed") {
            let told = Told::read(&response.error.unwrap_or_default());
            self.fail(failure::from_event(&told));
            return Ok(());
        }
        self.catch_up(response.output.as_deref().unwrap_or_default())?;
        let reason = response.reason();
        self.queue.push_back(Ok(ModelEvent::Finished(Finish {
            reason,
            response_id: response.id.unwrap_or_default(),
            usage: response.usage.map(WireUsage::tokens),
            end_turn: response.end_turn,
        })));
        self.ended = true;
        Ok(())
    }

    /// Emits the items of `output` that never came as events of their own.
    ///
    /// They are counted by type rather than compared by id, because there are servers whose
    /// final response carries other ids than their events did.
    fn catch_up(&mut self, output: &[&RawValue]) -> Result<(), serde_json::Error> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for raw in output {
            let (kind, item) = parse_item(raw)?;
            let nth = seen.entry(kind.clone()).or_default();
            *nth += 1;
            if *nth > self.sent.get(&kind).copied().unwrap_or(0) {
                self.queue.push_back(Ok(ModelEvent::Item(item)));
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Response<'a> {
    id: Option<String>,
    status: Option<String>,
    #[serde(borrow)]
    output: Option<Vec<&'a RawValue>>,
    usage: Option<WireUsage>,
    end_turn: Option<bool>,
    incomplete_details: Option<Incomplete>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

impl Response<'_> {
    /// The event's name outranks a status that is missing or says something else.
    fn insist_on(&mut self, event: &str) {
        match event {
            "response.failed" => self.status = Some("failed".into()),
            "response.incomplete" => self.status = Some("incomplete".into()),
            _ => {}
        }
    }

    fn reason(&self) -> FinishReason {
        if self.status.as_deref() != Some("incomplete") {
            return FinishReason::Complete;
        }
        let details = self.incomplete_details.as_ref();
        match details
            .and_then(|d| d.reason.as_deref())
            .unwrap_or("incomplete")
        {
            "max_output_tokens" | "max_tokens" => FinishReason::OutputLimit,
            "content_filter" => FinishReason::ContentFilter,
            other => FinishReason::Other(other.to_owned()),
        }
    }
}

#[derive(Deserialize)]
struct WireUsage {
    input_tokens: Option<u64>,
    input_tokens_details: Option<InputDetails>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Default, Deserialize)]
struct InputDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Default, Deserialize)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

impl WireUsage {
    fn tokens(self) -> Usage {
        let input = self.input_tokens_details.unwrap_or_default();
        let output = self.output_tokens_details.unwrap_or_default();
        Usage {
            input_tokens: self.input_tokens.unwrap_or(0),
            cached_input_tokens: input.cached_tokens.unwrap_or(0),
            cache_write_input_tokens: input.cache_write_tokens.unwrap_or(0),
            output_tokens: self.output_tokens.unwrap_or(0),
            reasoning_output_tokens: output.reasoning_tokens.unwrap_or(0),
        }
    }
}

fn parse_item(raw: &RawValue) -> Result<(String, Item), serde_json::Error> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "type")]
        kind: String,
    }
    let Kind { kind } = serde_json::from_str(raw.get())?;
    let item = Item::parse(raw.get()).map_err(serde::de::Error::custom)?;
    Ok((kind, item))
}
