//! `--json`: one event per line, in the shapes that existing consumers know.
//!
//! Shapes: `thread.started`, `turn.started`, `item.started|updated|completed`, `turn.completed`,
//! `turn.failed`, `error`; see `docs/json-events.md`. Ours differ where the known ones are
//! defective: usage per turn beside the total, an event for every rejected call, an end for every
//! item, a last event on every way out, and warnings that are not errors.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use recto_evidence::Report;
use recto_protocol::record::{Body, Outcome, StepFailed, ToolFinished, TurnEnded};
use recto_protocol::tool::{ChangeKind, Effect, FileChange, PlanStatus, ToolCall, ToolStatus};
use recto_protocol::usage::Usage;
use recto_protocol::{CallId, ChunkId, Item, Record, View};
use recto_runtime::{LiveEvent, Sink};
use serde_json::{Value, json};

use crate::commands::verdict_word;

/// Most bytes of a command's output in its event.
const MOST_OUTPUT: usize = 1 << 20;

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
    failed: bool,
}

/// A command whose item is open.
struct Command {
    item: String,
    command: String,
    output: Vec<u8>,
    cut: bool,
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
            failed: false,
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
    pub fn close(&mut self, report: Option<&Report>) {
        if let Some(report) = report.filter(|report| !report.citations.is_empty()) {
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
                "all_hold": report.all_hold(),
            }));
        }
        if let Some(end) = self.end.take() {
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

    fn line(&mut self, event: &Value) {
        if self.failed {
            return;
        }
        // One write per event, so that a reader never sees half a line for long. A reader that
        // went away must not stop the work.
        let mut line = one_line(event);
        line.push('\n');
        let written = self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush());
        self.failed = written.is_err();
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
                &format!("the log's last line was torn; {} bytes were set aside", body.torn_bytes),
            ),
            Body::SessionStarted(_)
            | Body::ContextAdded(_)
            | Body::SettingsChanged(_)
            | Body::MessageAdded(_)
            | Body::DriverAttached(_)
            | Body::InterruptRequested(_)
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

    // ---- tools ----

    fn tool_started(&mut self, call: &ToolCall) {
        self.calls.insert(call.call_id.clone(), call.clone());
        if call.name != "exec_command" {
            return;
        }
        let arguments: Value = serde_json::from_str(call.input.text()).unwrap_or_default();
        let Some(command) = arguments["cmd"].as_str() else { return };
        if recto_patch::shell_patch(command).is_some() {
            return;
        }
        let open = Command {
            item: self.item_id(),
            command: command.to_owned(),
            output: Vec::new(),
            cut: false,
        };
        self.item("started", &open.event(None, "in_progress"));
        self.commands.insert(call.call_id.clone(), open);
    }

    fn tool_output(&mut self, call: &CallId, bytes: &[u8]) {
        let Some(command) = self.commands.get_mut(call) else { return };
        if command.cut {
            return;
        }
        let room = MOST_OUTPUT - command.output.len();
        command.cut = bytes.len() > room;
        command.output.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if command.cut {
            // Not in the middle of a character.
            let whole = whole_characters(&command.output);
            command.output.truncate(whole);
        }
    }

    fn tool_finished(&mut self, body: &ToolFinished) {
        let call = self.calls.remove(&body.call_id);
        match &body.effect {
            Effect::Command { chunk, session, exit_code, .. } => {
                self.command_finished(body, chunk.as_ref(), session.is_some(), *exit_code);
            }
            Effect::Files { changes } => self.files_changed(body, changes),
            Effect::Plan { plan } => {
                let steps: Vec<Value> = plan
                    .steps
                    .iter()
                    .map(|step| {
                        json!({
                            "text": step.step,
                            "completed": step.status == PlanStatus::Completed,
                        })
                    })
                    .collect();
                self.plan_changed(steps.into());
            }
            Effect::Image { path } => {
                self.whole_item(json!({"type": "image_view", "path": path, "status": "completed"}));
            }
            Effect::None => self.plain_call(body, call),
        }
    }

    fn command_finished(
        &mut self,
        body: &ToolFinished,
        chunk: Option<&ChunkId>,
        runs_on: bool,
        exit_code: Option<i32>,
    ) {
        let first = chunk.and_then(|chunk| self.background.get(chunk)).unwrap_or(&body.call_id);
        let first = first.clone();
        if runs_on && body.status != ToolStatus::Interrupted {
            if let Some(chunk) = chunk {
                self.background.insert(chunk.clone(), first);
            }
            return;
        }
        if let Some(chunk) = chunk {
            self.background.remove(chunk);
        }
        let Some(open) = self.commands.remove(&first) else { return };
        let status = if exit_code == Some(0) { "completed" } else { "failed" };
        let mut event = open.event(exit_code, status);
        if let Some(chunk) = chunk {
            event["chunk_id"] = chunk.as_str().into();
        }
        self.item("completed", &event);
    }

    fn files_changed(&mut self, body: &ToolFinished, changes: &[FileChange]) {
        let ok = body.status == ToolStatus::Ok;
        let changes: Vec<Value> = changes.iter().map(|change| self.change(change)).collect();
        let mut item = json!({
            "id": self.item_id(),
            "type": "file_change",
            "changes": changes,
            "status": "in_progress",
        });
        self.item("started", &item);
        item["status"] = if ok { "completed" } else { "failed" }.into();
        if !ok {
            item["error"] = json!({"message": output_text(body)});
        }
        self.item("completed", &item);
    }

    fn change(&self, change: &FileChange) -> Value {
        let absolute = |path: &str| {
            if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("{}/{path}", self.root.trim_end_matches('/'))
            }
        };
        let kind = match change.change {
            ChangeKind::Add => "add",
            ChangeKind::Update => "update",
            ChangeKind::Delete => "delete",
        };
        let mut event = json!({"path": absolute(&change.path), "kind": kind});
        if let Some(to) = &change.moved_to {
            event["move_path"] = absolute(to).into();
        }
        event
    }

    fn plan_changed(&mut self, steps: Value) {
        self.plan = steps;
        let (stage, id) = match self.plan_item.clone() {
            Some(id) => ("updated", id),
            None => ("started", self.item_id()),
        };
        self.plan_item = Some(id.clone());
        let item = json!({"id": id, "type": "todo_list", "items": self.plan});
        self.item(stage, &item);
    }

    /// A call without an effect of its own: shown when it was refused, or cut off.
    fn plain_call(&mut self, body: &ToolFinished, call: Option<ToolCall>) {
        let message = output_text(body);
        if let Some(open) = self.commands.remove(&body.call_id) {
            let mut event = open.event(None, "failed");
            event["error"] = json!({"message": message});
            self.item("completed", &event);
            return;
        }
        if body.status == ToolStatus::Ok {
            return;
        }
        let status = if body.status == ToolStatus::Rejected { "rejected" } else { "failed" };
        if let Some(call) = call {
            self.call_item(&call, status, &message);
        }
    }

    fn call_item(&mut self, call: &ToolCall, status: &str, message: &str) {
        self.whole_item(json!({
            "type": "tool_call",
            "tool": call.name,
            "input": call.input.text(),
            "status": status,
            "error": {"message": message},
        }));
    }

    fn check_started(&mut self, command: &str) {
        let id = self.item_id();
        self.item("started", &check_event(&id, command, "", None, "in_progress"));
        self.checks.push((command.to_owned(), id));
    }

    fn check_finished(&mut self, body: &recto_protocol::record::CheckFinished) {
        let at = self.checks.iter().position(|(command, _)| *command == body.command);
        let id = match at {
            Some(at) => self.checks.remove(at).1,
            None => self.item_id(),
        };
        let status = if body.exit_code == Some(0) { "completed" } else { "failed" };
        let mut event = check_event(&id, &body.command, &body.output, body.exit_code, status);
        event["chunk_id"] = body.chunk.as_str().into();
        self.item("completed", &event);
    }

    // ---- ends ----

    fn turn_ended(&mut self, body: &TurnEnded) {
        self.in_turn = false;
        self.close_items();
        if let Outcome::Completed { answer } = &body.outcome
            && !answer.is_empty()
            && *answer != self.said
        {
            // The output limit cut the answer into several messages, and consumers take the last
            // one for the answer.
            self.whole_item(json!({"type": "agent_message", "text": answer, "whole_answer": true}));
        }
        let usage = json!(body.usage);
        let rest = json!({
            "usage": usage,
            "thread_usage": self.total,
            "cost_usd": body.cost.map(|cost| cost.0 as f64 / 1e6),
            "duration_ms": body.duration_ms,
        });
        let (kind, reason, message) = match &body.outcome {
            Outcome::Completed { .. } => ("turn.completed", "", String::new()),
            Outcome::Failed { reason, message } => ("turn.failed", reason.as_str(), message.clone()),
            Outcome::Interrupted { by } => {
                ("turn.failed", "interrupted", format!("The turn was interrupted by {by}."))
            }
            Outcome::BudgetReached { limit } => {
                ("turn.failed", "budget", format!("The budget is used up: {limit}."))
            }
        };
        let mut event = json!({"type": kind});
        if kind == "turn.failed" {
            event["error"] = json!({"message": message, "reason": reason});
        }
        if let (Some(event), Value::Object(rest)) = (event.as_object_mut(), rest) {
            event.extend(rest);
        }
        // Held back until the answer's evidence is checked: it is the last event of a turn.
        self.end = Some(event);
    }

    /// Ends every item that is still open: what runs does not outlive the turn's end for a reader.
    fn close_items(&mut self) {
        self.background.clear();
        for (call, open) in std::mem::take(&mut self.commands) {
            self.calls.remove(&call);
            let mut event = open.event(None, "failed");
            event["error"] = json!({"message": "it was stopped when the turn ended"});
            self.item("completed", &event);
        }
        for call in std::mem::take(&mut self.calls).into_values() {
            self.call_item(&call, "failed", "it was not run to its end before the turn ended");
        }
        for (command, id) in std::mem::take(&mut self.checks) {
            self.item("completed", &check_event(&id, &command, "", None, "failed"));
        }
        if let Some(id) = self.plan_item.take() {
            let item = json!({"id": id, "type": "todo_list", "items": self.plan});
            self.item("completed", &item);
        }
    }
}

impl Command {
    fn event(&self, exit_code: Option<i32>, status: &str) -> Value {
        let mut event = json!({
            "id": self.item,
            "type": "command_execution",
            "command": self.command,
            "aggregated_output": String::from_utf8_lossy(&self.output),
            "exit_code": exit_code,
            "status": status,
        });
        if self.cut {
            event["output_cut"] = true.into();
        }
        event
    }
}

fn check_event(
    id: &str,
    command: &str,
    output: &str,
    exit_code: Option<i32>,
    status: &str,
) -> Value {
    json!({
        "id": id,
        "type": "command_execution",
        "command": command,
        "aggregated_output": output,
        "exit_code": exit_code,
        "status": status,
        "check": true,
    })
}

/// The event's JSON without any character that some reader takes for the end of a line (Node's
/// `readline` splits at U+2028, Python's `splitlines` at U+0085) or a terminal for a command. They
/// can only stand inside strings, where an escape means the same.
fn one_line(event: &Value) -> String {
    let line = ordered(event, &["type"]);
    let is_risky = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}');
    if !line.contains(is_risky) {
        return line;
    }
    let mut escaped = String::with_capacity(line.len() + 64);
    for character in line.chars() {
        if is_risky(character) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// The JSON of an object with these keys at its beginning, where people and simple programs look.
fn ordered(object: &Value, first: &[&str]) -> String {
    let Some(fields) = object.as_object() else { return object.to_string() };
    let leading = first.iter().filter_map(|&key| fields.get_key_value(key));
    let rest = fields.iter().filter(|(key, _)| !first.contains(&key.as_str()));
    let parts: Vec<String> = leading
        .chain(rest)
        .map(|(key, value)| {
            let value = match key.as_str() {
                "item" => ordered(value, &["id", "type"]),
                _ => value.to_string(),
            };
            format!("{}:{value}", Value::from(key.as_str()))
        })
        .collect();
    format!("{{{}}}", parts.join(","))
}

/// How many of the bytes are left without a character cut at their end.
fn whole_characters(bytes: &[u8]) -> usize {
    // A character has at most four bytes: the last one starts among them.
    let tail = bytes.len().saturating_sub(3);
    for start in (tail..bytes.len()).rev() {
        let byte = bytes[start];
        if byte & 0xc0 == 0x80 {
            continue;
        }
        let length = match byte {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0.. => 4,
            _ => 1,
        };
        return if start + length > bytes.len() { start } else { bytes.len() };
    }
    bytes.len()
}

/// What the model was told, as text.
fn output_text(body: &ToolFinished) -> String {
    let item: Value = serde_json::from_str(body.item.raw()).unwrap_or_default();
    match &item["output"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
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
