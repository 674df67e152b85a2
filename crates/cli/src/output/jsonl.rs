//! `--json`: one event per line, in the shapes that existing consumers know.
//!
//! Shapes: `thread.started`, `turn.started`, `item.started|updated|completed`, `turn.completed`,
//! `turn.failed`, `error`; see `docs/json-events.md`. Ours differ where the known ones are
//! defective: usage per turn beside the total, an event for every rejected call, an end for every
//! item, a last event on every way out, and warnings that are not errors.

use std::collections::BTreeMap;
use std::io::Write;

use recto_evidence::Report;
use recto_protocol::record::{Body, Outcome, StepFailed, ToolFinished, TurnEnded};
use recto_protocol::tool::{ChangeKind, Effect, FileChange, PlanStatus, ToolCall, ToolStatus};
use recto_protocol::usage::Usage;
use recto_protocol::{CallId, ChunkId, Record, View};
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
    calls: BTreeMap<CallId, ToolCall>,
    plan_item: Option<String>,
    plan: Value,
    checks: Vec<(String, String)>,
    total: Usage,
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
            plan_item: None,
            plan: Value::Null,
            checks: Vec::new(),
            total: Usage::default(),
            end: None,
            failed: false,
        }
    }

    /// Tells which session this is. Changed files' paths are below `root`; `earlier` is the
    /// session's log so far.
    pub fn begin(&mut self, id: &str, root: String, earlier: &[Record]) {
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

    /// Tells of a failure outside any turn.
    pub fn error(&mut self, message: &str) {
        self.line(&json!({"type": "error", "message": message}));
    }

    fn line(&mut self, event: &Value) {
        if self.failed {
            return;
        }
        // One write per event, so that a reader never sees half a line for long. A reader that
        // went away must not stop the work.
        let mut line = event.to_string();
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
        if let Some(end) = self.end.take() {
            // An earlier turn that was ended to make room for a new message.
            self.line(&end);
        }
        match &record.body {
            Body::TurnStarted(_) => self.line(&json!({"type": "turn.started"})),
            Body::StepItem(body) => self.model_item(&body.item.view()),
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
            Body::TurnEnded(body) => self.turn_ended(body),
            Body::DriverAttached(body) if body.torn_bytes > 0 => self.warning(
                "torn_log",
                &format!("the log's last line was torn; {} bytes were set aside", body.torn_bytes),
            ),
            Body::SessionStarted(_)
            | Body::ContextAdded(_)
            | Body::SettingsChanged(_)
            | Body::MessageAdded(_)
            | Body::StepStarted(_)
            | Body::DriverAttached(_)
            | Body::InterruptRequested(_)
            | Body::Unknown { .. } => {}
        }
    }

    /// Something that users should know and that stops nothing.
    pub fn warning(&mut self, code: &str, message: &str) {
        self.line(&json!({"type": "warning", "code": code, "message": message}));
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

    fn model_item(&mut self, view: &View) {
        match view {
            View::Message { role, text, .. } if role == "assistant" && !text.is_empty() => {
                self.whole_item(json!({"type": "agent_message", "text": text}));
            }
            View::Reasoning { summary } if !summary.is_empty() => {
                self.whole_item(json!({"type": "reasoning", "text": summary}));
            }
            View::WebSearch { query } => {
                self.whole_item(json!({"type": "web_search", "query": query}));
            }
            View::Call(call) => {
                self.calls.insert(call.call_id.clone(), call.clone());
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
        let room = MOST_OUTPUT - command.output.len();
        command.cut |= bytes.len() > room;
        command.output.extend_from_slice(&bytes[..bytes.len().min(room)]);
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
        let (tool, input) = call.map_or((String::new(), String::new()), |call| {
            (call.name, call.input.text().to_owned())
        });
        self.whole_item(json!({
            "type": "tool_call",
            "tool": tool,
            "input": input,
            "status": if body.status == ToolStatus::Rejected { "rejected" } else { "failed" },
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
        self.close_items();
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
        for (_, open) in std::mem::take(&mut self.commands) {
            self.item("completed", &open.event(None, "failed"));
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
