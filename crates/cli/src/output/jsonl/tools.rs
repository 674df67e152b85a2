//! Items of tool calls and checks.

use std::io::Write;

use recto_protocol::record::{CheckFinished, ToolFinished};
use recto_protocol::tool::{ChangeKind, Effect, FileChange, PlanStatus, ToolCall, ToolStatus};
use recto_protocol::{CallId, ChunkId};
use serde_json::{Value, json};

use super::super::told;
use super::Jsonl;
use super::command::{Command, check_event};

impl<W: Write + Send> Jsonl<W> {
    pub(super) fn tool_started(&mut self, call: &ToolCall) {
        self.calls.insert(call.call_id.clone(), call.clone());
        if call.name != "exec_command" {
            return;
        }
        let arguments: Value = serde_json::from_str(call.input.text()).unwrap_or_default();
        let Some(command) = arguments["cmd"].as_str() else {
            return;
        };
        if recto_patch::shell_patch(command).is_some() {
            return;
        }
        let open = Command::new(self.item_id(), command);
        self.item("started", &open.event(None, "in_progress"));
        self.commands.insert(call.call_id.clone(), open);
    }

    pub(super) fn tool_output(&mut self, call: &CallId, bytes: &[u8]) {
        if let Some(command) = self.commands.get_mut(call) {
            command.take(bytes);
        }
    }

    pub(super) fn tool_finished(&mut self, body: &ToolFinished) {
        let call = self.calls.remove(&body.call_id);
        match &body.effect {
            Effect::Command {
                chunk,
                session,
                exit_code,
                ..
            } => {
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
        let first = chunk
            .and_then(|chunk| self.background.get(chunk))
            .unwrap_or(&body.call_id);
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
        let Some(open) = self.commands.remove(&first) else {
            return;
        };
        let status = if exit_code == Some(0) {
            "completed"
        } else {
            "failed"
        };
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
            item["error"] = json!({"message": told(body)});
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
        let message = told(body);
        if let Some(open) = self.commands.remove(&body.call_id) {
            let mut event = open.event(None, "failed");
            event["error"] = json!({"message": message});
            self.item("completed", &event);
            return;
        }
        if body.status == ToolStatus::Ok {
            return;
        }
        let status = if body.status == ToolStatus::Rejected {
            "rejected"
        } else {
            "failed"
        };
        if let Some(call) = call {
            self.call_item(&call, status, &message);
        }
    }

    pub(super) fn call_item(&mut self, call: &ToolCall, status: &str, message: &str) {
        self.whole_item(json!({
            "type": "tool_call",
            "tool": call.name,
            "input": call.input.text(),
            "status": status,
            "error": {"message": message},
        }));
    }

    pub(super) fn check_started(&mut self, command: &str) {
        let id = self.item_id();
        self.item(
            "started",
            &check_event(&id, command, "", None, "in_progress"),
        );
        self.checks.push((command.to_owned(), id));
    }

    pub(super) fn check_finished(&mut self, body: &CheckFinished) {
        let at = self
            .checks
            .iter()
            .position(|(command, _)| *command == body.command);
        let id = match at {
            Some(at) => self.checks.remove(at).1,
            None => self.item_id(),
        };
        let status = if body.exit_code == Some(0) {
            "completed"
        } else {
            "failed"
        };
        let mut event = check_event(&id, &body.command, &body.output, body.exit_code, status);
        event["chunk_id"] = body.chunk.as_str().into();
        self.item("completed", &event);
    }
}
