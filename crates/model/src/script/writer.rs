//! The events of one stream, written as text.

use std::fmt::Write as _;

use recto_protocol::Item;
use recto_protocol::ports::model::{Finish, FinishReason};
use serde_json::{Value, json};

use super::event::Event;
use super::file::{DeltaWord, Failed};
use super::wire::{Dress, Part};

/// Bytes that are gathered into one part, where nothing else decides.
const LUMP: usize = 64 << 10;

/// Kinds of deltas: the event's name, and the fields that say where in the item it belongs.
const TEXT_DELTA: (&str, &str) = ("response.output_text.delta", "\"content_index\":0,");
const REASONING_DELTA: (&str, &str) = (
    "response.reasoning_summary_text.delta",
    "\"summary_index\":0,",
);
const ARGUMENTS_DELTA: (&str, &str) = ("response.function_call_arguments.delta", "");
const INPUT_DELTA: (&str, &str) = ("response.custom_tool_call_input.delta", "");

/// Writes one stream.
pub(super) struct Writer<'a> {
    dress: &'a Dress,
    response_id: &'a str,
    pub(super) text: String,
    pub(super) parts: Vec<Part>,
    sequence: usize,
    output: Vec<Item>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(dress: &'a Dress, response_id: &'a str) -> Self {
        let text = if dress.bom {
            "\u{feff}".to_owned()
        } else {
            String::new()
        };
        Self {
            dress,
            response_id,
            text,
            parts: Vec::new(),
            sequence: 0,
            output: Vec::new(),
        }
    }

    pub(super) fn start(&mut self) {
        let response = json!({"id": self.response_id, "object": "response", "output": []});
        for (kind, status) in [("created", "queued"), ("in_progress", "in_progress")] {
            let mut response = response.clone();
            response["status"] = json!(status);
            self.put(
                &format!("response.{kind}"),
                &format!("\"response\":{response}"),
            );
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Item { item, pieces } => self.item(item, pieces),
            Event::Deltas { kind, text, count } => {
                let (name, place) = match kind {
                    DeltaWord::Text => TEXT_DELTA,
                    DeltaWord::Reasoning => REASONING_DELTA,
                    DeltaWord::ToolInput => ARGUMENTS_DELTA,
                };
                let fields = self.delta_fields("", place, text);
                for _ in 0..*count {
                    self.put(name, &fields);
                }
            }
            Event::Delay(pause) => {
                self.flush();
                self.parts.push(Part::Delay(*pause));
            }
        }
    }

    /// An item, announced and shown in pieces first, as providers do.
    fn item(&mut self, item: &Item, pieces: &[String]) {
        let index = self.output.len();
        if !pieces.is_empty() {
            self.pieces(item, pieces);
        }
        let done = format!("\"output_index\":{index},\"item\":{}", item.raw());
        self.put("response.output_item.done", &done);
        self.output.push(item.clone());
    }

    fn pieces(&mut self, item: &Item, pieces: &[String]) {
        let mut begun: Value = serde_json::from_str(item.raw()).unwrap_or_default();
        let id = begun["id"].as_str().unwrap_or_default().to_owned();
        begun["status"] = json!("in_progress");
        let ((name, place), part) = match begun["type"].as_str() {
            Some("message") => (TEXT_DELTA, emptied(&mut begun["content"])),
            Some("reasoning") => (REASONING_DELTA, emptied(&mut begun["summary"])),
            Some("custom_tool_call") => (INPUT_DELTA, emptied(&mut begun["input"])),
            _ => (ARGUMENTS_DELTA, emptied(&mut begun["arguments"])),
        };
        let index = self.output.len();
        let added = format!("\"output_index\":{index},\"item\":{begun}");
        self.put("response.output_item.added", &added);
        if let Some(part) = part {
            let event = if name == TEXT_DELTA.0 {
                "response.content_part.added"
            } else {
                "response.reasoning_summary_part.added"
            };
            let at = format!(
                "\"item_id\":{},\"output_index\":{index},{place}",
                quoted(&id)
            );
            self.put(event, &format!("{at}\"part\":{part}"));
        }
        for piece in pieces {
            let fields = self.delta_fields(&id, place, piece);
            self.put(name, &fields);
        }
    }

    fn delta_fields(&self, id: &str, place: &str, text: &str) -> String {
        let (id, index, text) = (quoted(id), self.output.len(), quoted(text));
        format!("\"item_id\":{id},\"output_index\":{index},{place}\"delta\":{text}")
    }

    pub(super) fn finish(&mut self, finish: &Finish) {
        let (kind, details) = match &finish.reason {
            FinishReason::Complete => ("completed", json!(null)),
            FinishReason::OutputLimit => ("incomplete", json!({"reason": "max_output_tokens"})),
            FinishReason::ContentFilter => ("incomplete", json!({"reason": "content_filter"})),
            FinishReason::Other(other) => ("incomplete", json!({"reason": other})),
        };
        let output: Vec<&str> = self.output.iter().map(Item::raw).collect();
        let mut response = format!(
            "\"response\":{{\"id\":{},\"object\":\"response\",\"status\":\"{kind}\",\
             \"incomplete_details\":{details},\"output\":[{}]",
            quoted(self.response_id),
            output.join(","),
        );
        if let Some(usage) = &finish.usage {
            let usage = json!({
                "input_tokens": usage.input_tokens,
                "input_tokens_details": {
                    "cached_tokens": usage.cached_input_tokens,
                    "cache_write_tokens": usage.cache_write_input_tokens,
                },
                "output_tokens": usage.output_tokens,
                "output_tokens_details": {"reasoning_tokens": usage.reasoning_output_tokens},
                "total_tokens": usage.total(),
            });
            let _ = write!(response, ",\"usage\":{usage}");
        }
        if let Some(end_turn) = finish.end_turn {
            let _ = write!(response, ",\"end_turn\":{end_turn}");
        }
        response.push('}');
        self.put(&format!("response.{kind}"), &response);
    }

    pub(super) fn failed(&mut self, failed: &Failed) {
        let response = json!({
            "id": self.response_id, "object": "response", "status": "failed", "output": [],
            "error": {"code": failed.code, "message": failed.message},
        });
        self.put("response.failed", &format!("\"response\":{response}"));
    }

    /// Writes one event; `fields` is the inside of its JSON object after `type`.
    fn put(&mut self, kind: &str, fields: &str) {
        let end = if self.dress.crlf { "\r\n" } else { "\n" };
        if self.dress.comments {
            let _ = write!(self.text, ": still here{end}{end}");
        }
        if !self.dress.only_data {
            let _ = write!(self.text, "event: {kind}{end}");
        }
        let number = self.sequence;
        self.sequence += 1;
        // Writing to a string cannot fail.
        let _ = write!(
            self.text,
            "data: {{\"type\":\"{kind}\",\"sequence_number\":{number},{fields}}}{end}{end}"
        );
        if self.text.len() > LUMP {
            self.flush();
        }
    }

    pub(super) fn flush(&mut self) {
        if !self.text.is_empty() {
            self.parts
                .push(Part::Bytes(std::mem::take(&mut self.text).into()));
        }
    }

    pub(super) fn into_parts(mut self, chunk: Option<usize>) -> Vec<Part> {
        self.flush();
        let Some(size) = chunk.filter(|size| *size > 0) else {
            return self.parts;
        };
        let mut split = Vec::new();
        for part in self.parts {
            match part {
                Part::Bytes(mut bytes) => {
                    while bytes.len() > size {
                        split.push(Part::Bytes(bytes.split_to(size)));
                    }
                    split.push(Part::Bytes(bytes));
                }
                other => split.push(other),
            }
        }
        split
    }
}

/// Takes out what is streamed later. Gives the first part of a list, without its text.
fn emptied(body: &mut Value) -> Option<Value> {
    match body.take() {
        Value::Array(mut parts) => {
            *body = json!([]);
            let mut first = parts.swap_remove(0);
            first["text"] = json!("");
            Some(first)
        }
        _ => {
            *body = json!("");
            None
        }
    }
}

fn quoted(text: &str) -> String {
    // A text always has a JSON form.
    serde_json::to_string(text).unwrap_or_default()
}
