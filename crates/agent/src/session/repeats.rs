//! Notices a model that makes the same failing call over and over.

use recto_protocol::tool::{Effect, ToolCall, ToolStatus};

/// Equal failing calls in a row after which the model is told.
const WARN_AT: u32 = 3;
/// Equal failing calls in a row after which the turn ends.
const STOP_AT: u32 = 6;

/// The last failing call and how often it came in a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Repeats {
    last: Option<(ToolCallKey, u32)>,
}

type ToolCallKey = (String, String, ToolStatus, Option<i32>);

/// What to do about a repeated call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeated {
    No,
    Warn,
    Stop,
}

impl Repeats {
    /// Takes note of a finished call. Ids, times and chunk numbers differ every time, so calls
    /// are compared by what was asked and how it ended.
    pub(super) fn note(
        &mut self,
        call: &ToolCall,
        status: ToolStatus,
        effect: &Effect,
    ) -> Repeated {
        let failed = matches!(status, ToolStatus::Failed | ToolStatus::Rejected);
        if !failed {
            self.last = None;
            return Repeated::No;
        }
        let exit = match effect {
            Effect::Command { exit_code, .. } => *exit_code,
            _ => None,
        };
        let key = (
            call.name.clone(),
            call.input.text().to_owned(),
            status,
            exit,
        );
        let count = match self.last.take() {
            Some((last, count)) if last == key => count + 1,
            _ => 1,
        };
        self.last = Some((key, count));
        match count {
            WARN_AT => Repeated::Warn,
            STOP_AT.. => Repeated::Stop,
            _ => Repeated::No,
        }
    }
}
