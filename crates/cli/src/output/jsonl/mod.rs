//! `--json`: one event per line, in the shapes that existing consumers know.
//!
//! Shapes: `thread.started`, `turn.started`, `item.started|updated|completed`, `turn.completed`,
//! `turn.failed`, `error`; see `docs/json-events.md`. Ours differ where the known ones are
//! defective: usage per turn beside the total, an event for every rejected call, an end for every
//! item, a last event on every way out, and warnings that are not errors.

mod command;
mod end;
mod line;
mod tools;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use recto_evidence::Report;
use recto_protocol::record::{Body, StepFailed};
use recto_protocol::tool::ToolCall;
use recto_protocol::usage::Usage;
use recto_protocol::{CallId, ChunkId, Item, Record, View};
use recto_runtime::{LiveEvent, Sink};
use serde_json::{Value, json};

use crate::commands::{Closing, verdict_word};
use command::Command;
use line::one_line;

/// Turns live events into JSON lines.
pub struct Jsonl<W> {
    out: W,
    root: String,
    deltas: bool,
    next_item: u64,
    commands: BTreeMap<CallId, Command>,
    /// Which item a command that runs on in the background belongs to.
    background: BTreeMap<ChunkId, CallId>,
    /// Calls without a result so far.
    calls: BTreeMap<CallId, ToolCall>,
    /// The calls of the response that is being taken in.
    step_calls: BTreeSet<CallId>,
    plan_item: Option<String>,
    plan: Value,
    checks: Vec<(String, String)>,
    total: Usage,
    /// The last message that was shown.
    said: String,
    begun: bool,
    /// Warnings from before the session's beginning: it is the first event.
    waiting: Vec<Value>,
    in_turn: bool,
    end: Option<Value>,
    failed: Option<io::Error>,
}

impl<W: Write + Send> Jsonl<W> {
    /// Writes to `out`; `deltas` adds an event per piece of text.
    pub fn new(out: W, deltas: bool) -> Self {
        Self {
            out,
            root: String::new(),
            deltas,
            next_item: 0,
            commands: BTreeMap::new(),
            background: BTreeMap::new(),
            calls: BTreeMap::new(),
            step_calls: BTreeSet::new(),
            plan_item: None,
            plan: Value::Null,
            checks: Vec::new(),
            total: Usage::default(),
            said: String::new(),
            begun: false,
            waiting: Vec::new(),
            in_turn: false,
            end: None,
            failed: None,
        }
    }

    /// Tells which session this is. Changed files' paths are below `root`; `earlier` is the
    /// session's log so far, whose last turn is gone on with if `goes_on`.
    pub fn begin(&mut self, id: &str, root: String, earlier: &[Record], goes_on: bool) {
        self.root = root;
        for record in earlier {
            self.total += match &record.body {
                Body::StepFinished(body) => body.finish.usage.unwrap_or_default(),
                Body::Compacted(body) => body.usage,
                Body::CompactionFailed(body) => body.usage,
                _ => Usage::default(),
            };
        }
        self.line(&json!({"type": "thread.started", "thread_id": id}));
        self.begun = true;
        for warning in std::mem::take(&mut self.waiting) {
            self.line(&warning);
        }
        if goes_on {
            self.turn_started();
        }
    }

    /// Says the last words: the answer's citations, then how the turn ended.
    pub fn close(&mut self, closing: &Closing<'_>) {
        let has_some =
            |report: &&Report| !(report.citations.is_empty() && report.malformed.is_empty());
        if let Some(report) = closing.report.filter(has_some) {
            let citations: Vec<Value> = report
                .citations
                .iter()
                .map(|checked| {
                    json!({
                        "citation": checked.citation.to_string(),
                        "verdict": verdict_word(checked.verdict),
                    })
                })
                .collect();
            self.line(&json!({
                "type": "evidence",
                "citations": citations,
                "malformed": closing.malformed(),
                "all_hold": report.all_hold(),
            }));
        }
        if let Some(mut end) = self.end.take() {
            if !closing.failed_checks.is_empty() {
                end["checks_failed"] = closing.failed_checks.into();
            }
            self.line(&end);
        }
    }

    /// Tells of a failure that ends the program: as the turn's end if one runs.
    pub fn error(&mut self, message: &str, hint: Option<&str>) {
        for warning in std::mem::take(&mut self.waiting) {
            self.line(&warning);
        }
        let mut error = json!({"message": message});
        if let Some(hint) = hint {
            error["hint"] = hint.into();
        }
        if std::mem::take(&mut self.in_turn) {
            self.close_items();
            error["reason"] = "unavailable".into();
            self.line(&json!({"type": "turn.failed", "error": error}));
        } else {
            error["type"] = "error".into();
            self.line(&error);
        }
    }

    /// Why events were lost, if they were; a reader that went away wanted no more of them.
    pub fn lost(&self) -> Option<&io::Error> {
        self.failed
            .as_ref()
            .filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }

    fn line(&mut self, event: &Value) {
        if self.failed.is_some() {
            return;
        }
        // One write per event, so that a reader never sees half a line for long. A reader that
        // went away must not stop the work.
        let mut line = one_line(event);
        line.push('\n');
        let written = self
            .out
            .write_all(line.as_bytes())
            .and_then(|()| self.out.flush());
        self.failed = written.err();
    }

    fn item_id(&mut self) -> String {
        let id = format!("item_{}", self.next_item);
        self.next_item += 1;
        id
    }

    fn item(&mut self, stage: &str, item: &Value) {
        self.line(&json!({"type": format!("item.{stage}"), "item": item}));
    }

    /// An item that begins and ends at once.
    fn whole_item(&mut self, mut item: Value) {
        item["id"] = self.item_id().into();
        self.item("completed", &item);
    }

    fn record(&mut self, record: &Record) {
        match &record.body {
            Body::TurnStarted(_) => self.turn_started(),
            Body::StepItem(body) => self.model_item(&body.item),
            Body::StepFailed(body) => self.step_failed(body),
            Body::ToolFinished(body) => self.tool_finished(body),
            Body::CheckFinished(body) => self.check_finished(body),
            Body::Warning(body) => self.warning(&body.code, &body.message),
            Body::NetworkRequested(body) => self.line(&json!({
                "type": "network.request",
                "request": body.request,
                "missed": body.missed,
            })),
            Body::Compacted(body) => {
                self.total += body.usage;
                self.line(&json!({"type": "context.compacted", "ok": true}));
            }
            Body::CompactionFailed(body) => {
                self.total += body.usage;
                self.warning("compaction", &body.reason);
            }
            Body::AnswerRejected(body) => self.warning(&body.reason, &body.message),
            Body::StepFinished(body) => self.total += body.finish.usage.unwrap_or_default(),
            Body::StepStarted(_) => self.step_calls.clear(),
            Body::TurnEnded(body) => self.turn_ended(body),
            Body::DriverAttached(body) if body.torn_bytes > 0 => self.warning(
                "torn_log",
                &format!(
                    "the log's last line was torn; {} bytes were set aside",
                    body.torn_bytes
                ),
            ),
            Body::SessionStarted(_)
            | Body::ContextAdded(_)
            | Body::SettingsChanged(_)
            | Body::MessageAdded(_)
            | Body::DriverAttached(_)
            | Body::InterruptRequested(_)
            | Body::StateChanged(_)
            | Body::Checkpointed(_)
            | Body::WorkSettled(_)
            | Body::EvidenceGathered(_)
            | Body::Unknown { .. } => {}
        }
    }

    /// Something that users should know and that stops nothing.
    pub fn warning(&mut self, code: &str, message: &str) {
        let warning = json!({"type": "warning", "code": code, "message": message});
        if self.begun {
            self.line(&warning);
        } else {
            self.waiting.push(warning);
        }
    }

    fn turn_started(&mut self) {
        if self.end.take().is_some() {
            // Consumers stop at the first end of a turn, and this one is not theirs.
            self.warning(
                "unfinished_turn",
                "the turn before was left unfinished; it was ended for the new message",
            );
        }
        self.in_turn = true;
        self.said.clear();
        self.line(&json!({"type": "turn.started"}));
    }

    fn step_failed(&mut self, body: &StepFailed) {
        if let Some(wait) = body.retry_in {
            self.line(&json!({
                "type": "warning",
                "code": "retry",
                "message": body.error.message,
                "status": body.error.status,
                "retry_in_ms": wait.as_millis() as u64,
            }));
        }
    }

    fn model_item(&mut self, item: &Item) {
        match item.view() {
            View::Message { role, text, .. } if role == "assistant" && !text.is_empty() => {
                self.whole_item(json!({"type": "agent_message", "text": text}));
                self.said = text;
            }
            View::Reasoning { summary } if !summary.is_empty() => {
                self.whole_item(json!({"type": "reasoning", "text": summary}));
            }
            View::WebSearch { query } => {
                let raw: Value = serde_json::from_str(item.raw()).unwrap_or_default();
                let mut event = json!({"type": "web_search", "query": query});
                if raw["action"].is_object() {
                    event["action"] = raw["action"].clone();
                }
                self.whole_item(event);
            }
            View::Call(call) => {
                if self.step_calls.insert(call.call_id.clone()) {
                    self.calls.insert(call.call_id.clone(), call);
                } else {
                    self.call_item(&call, "rejected", "another call has the same id");
                }
            }
            View::Other { kind } if kind == "function_call" || kind == "custom_tool_call" => {
                self.whole_item(json!({
                    "type": "tool_call",
                    "tool": "",
                    "input": item.raw(),
                    "status": "rejected",
                    "error": {"message": "the call is malformed: it has no name or no id"},
                }));
            }
            View::Message { .. }
            | View::Reasoning { .. }
            | View::CallOutput { .. }
            | View::Compaction
            | View::Other { .. } => {}
        }
    }
}

impl<W: Write + Send> Sink for Jsonl<W> {
    fn event(&mut self, event: LiveEvent<'_>) {
        match event {
            LiveEvent::Record(record) => self.record(record),
            LiveEvent::Delta(delta) if self.deltas => {
                let kind = match delta.kind {
                    recto_protocol::ports::model::DeltaKind::Text => "agent_message",
                    recto_protocol::ports::model::DeltaKind::Reasoning => "reasoning",
                    recto_protocol::ports::model::DeltaKind::ToolInput => "tool_input",
                };
                self.line(&json!({"type": "item.delta", "kind": kind, "text": delta.text}));
            }
            LiveEvent::Delta(_) | LiveEvent::Compacting => {}
            LiveEvent::ToolStarted(call) => self.tool_started(call),
            LiveEvent::ToolOutput(call, bytes) => self.tool_output(call, bytes),
            LiveEvent::CheckStarted(command) => self.check_started(command),
        }
    }
}
