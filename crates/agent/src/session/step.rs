//! The response that is being taken in, and the tool calls in it.

use recto_protocol::Item;
use recto_protocol::tool::ToolCall;

/// Most calls of one response that are run.
pub(super) const MAX_CALLS: usize = 64;

/// One model response and its calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Step {
    /// Between `step.started` and the response's end.
    pub(super) open: bool,
    /// Reasoning that waits for the item it led to. Providers refuse reasoning that stands alone.
    pub(super) reasoning: Vec<Item>,
    /// The response's calls, in its order.
    pub(super) calls: Vec<Call>,
    /// Whether there was a call that can't be run or answered.
    pub(super) unrunnable: bool,
    /// The last message.
    pub(super) answer: Option<String>,
    /// The last message that calls itself an interim remark.
    pub(super) remark: Option<String>,
    /// What the model said when it refused.
    pub(super) refusal: Option<String>,
    /// Requests in a row that failed.
    pub(super) failures: u32,
}

/// A call and its output.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) call: ToolCall,
    pub(super) output: Option<Item>,
}

impl Step {
    /// The calls that have no output yet.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = &ToolCall> {
        self.calls
            .iter()
            .filter(|call| call.output.is_none())
            .map(|call| &call.call)
    }

    /// Whether the response has ended and every call in it is answered.
    pub(super) fn is_settled(&self) -> bool {
        !self.open && self.calls.iter().all(|call| call.output.is_some())
    }

    /// Whether a call can be run and answered: its id must be its own, and their number has an end.
    pub(super) fn takes(&self, call: &ToolCall) -> bool {
        self.calls.len() < MAX_CALLS
            && self
                .calls
                .iter()
                .all(|other| other.call.call_id != call.call_id)
    }

    /// Takes the answer: the last message that is no remark, else the last remark.
    pub(super) fn take_answer(&mut self) -> Option<String> {
        let remark = self.remark.take();
        self.answer.take().or(remark)
    }

    /// Forgets the response, but not the failures in a row.
    pub(super) fn clear(&mut self) {
        *self = Self {
            failures: self.failures,
            ..Self::default()
        };
    }
}
