//! How turns end, and with them everything that is still open.

use std::io::Write;

use recto_protocol::record::{Outcome, TurnEnded};
use serde_json::{Value, json};

use super::Jsonl;
use super::command::check_event;

impl<W: Write + Send> Jsonl<W> {
    pub(super) fn turn_ended(&mut self, body: &TurnEnded) {
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
            Outcome::Failed { reason, message } => {
                ("turn.failed", reason.as_str(), message.clone())
            }
            Outcome::Interrupted { by } => (
                "turn.failed",
                "interrupted",
                format!("The turn was interrupted by {by}."),
            ),
            Outcome::BudgetReached { limit } => (
                "turn.failed",
                "budget",
                format!("The budget is used up: {limit}."),
            ),
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
    pub(super) fn close_items(&mut self) {
        self.background.clear();
        for (call, open) in std::mem::take(&mut self.commands) {
            self.calls.remove(&call);
            let mut event = open.event(None, "failed");
            event["error"] = json!({"message": "it was stopped when the turn ended"});
            self.item("completed", &event);
        }
        for call in std::mem::take(&mut self.calls).into_values() {
            self.call_item(
                &call,
                "failed",
                "it was not run to its end before the turn ended",
            );
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
