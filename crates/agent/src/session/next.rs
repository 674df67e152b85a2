//! What the driver must do now, read off the state.

use std::sync::Arc;

use recto_protocol::Item;
use recto_protocol::ports::model::Request;
use recto_protocol::profile::CompactionWay;
use recto_protocol::record::Outcome;

use super::{CompactRequest, Next, Session};
use crate::prompts;

impl Session {
    /// What the driver must do now. Total: every state has an answer.
    pub fn next(&self) -> Next {
        let Some(turn) = &self.turn else {
            return Next::Idle(self.outcome.clone());
        };
        if let Some(outcome) = &turn.stop {
            return Next::EndTurn(outcome.clone());
        }
        let open: Vec<_> = self.step.unanswered().cloned().collect();
        if !open.is_empty() {
            return Next::RunTools(open);
        }
        if self.step.open {
            return Next::AwaitResponse;
        }
        if turn.answered {
            return self.finish(turn.answer());
        }
        if let Some(limit) = turn.exceeded(&self.settings.budget, &self.totals) {
            return Next::EndTurn(Outcome::BudgetReached { limit });
        }
        if self
            .compaction
            .is_due(self.context_tokens(), self.settings.profile.compact_limit())
        {
            return Next::Compact(self.compact_request());
        }
        Next::CallModel(self.request(self.history.joined().into()))
    }

    fn finish(&self, answer: String) -> Next {
        let due = self.checks.due();
        if due.is_empty() {
            Next::EndTurn(Outcome::Completed { answer })
        } else {
            Next::RunChecks(due)
        }
    }

    fn request(&self, input: Arc<str>) -> Request {
        let settings = &self.settings;
        Request {
            model: settings.model.clone(),
            instructions: settings.instructions.as_str().into(),
            tools: settings.tools.as_str().into(),
            input,
            reasoning: settings.reasoning.as_deref().map(Into::into),
            text: self.output_schema().map(text_format),
            max_output_tokens: settings.profile.max_output_tokens,
            cache_key: settings.cache_key.clone(),
        }
    }

    /// The session's own prefix with one more item, so that the provider's cache answers it. Only
    /// when the provider refused the request for its length are old outputs left out.
    fn compact_request(&self) -> CompactRequest {
        // A provider that fails to compact is not asked a second time.
        let by_provider = self.settings.profile.compaction == CompactionWay::Provider
            && self.compaction.failures == 0;
        let ask = if by_provider {
            prompts::compaction_trigger()
        } else {
            Item::message("user", prompts::COMPACT.trim_end())
        };
        let input = if self.compaction.overflowed {
            // Each further refusal leaves a smaller share.
            let tries = self.compaction.failures + self.compaction.overflows;
            let target = self.history.weight() >> tries.clamp(1, 6);
            self.history.trimmed(target).joined_with(&ask)
        } else {
            self.history.joined_with(&ask)
        };
        let mut request = self.request(input.into());
        request.text = None;
        CompactRequest {
            request,
            by_provider,
        }
    }
}

/// The `text` field that asks for an answer fitting `schema`.
fn text_format(schema: &str) -> Arc<str> {
    format!(
        r#"{{"format":{{"type":"json_schema","name":"answer","strict":true,"schema":{schema}}}}}"#
    )
    .into()
}
