//! The running turn.

use recto_protocol::record::Outcome;
use recto_protocol::settings::Budget;
use recto_protocol::usage::{Micros, Usage};

use super::Totals;
use super::repeats::Repeats;

/// A turn that has begun and not ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Turn {
    pub(super) output_schema: Option<String>,
    /// The time of the newest record, in milliseconds since the epoch.
    pub(super) now: i64,
    /// How long drivers have been at work on the turn, in milliseconds.
    pub(super) elapsed_ms: u64,
    pub(super) steps: u32,
    pub(super) usage: Usage,
    pub(super) cost: Micros,
    pub(super) cost_unknown: bool,
    /// Parts of the answer so far; more than one when the output limit cut it.
    pub(super) parts: Vec<String>,
    /// The model gave its final answer.
    pub(super) answered: bool,
    /// How the turn must end although the model has not answered.
    pub(super) stop: Option<Outcome>,
    /// Responses without any content, in a row.
    pub(super) empty: u32,
    /// Responses in a row that were cut by the output limit, or that the provider said are not
    /// the last.
    pub(super) continued: u32,
    /// Failed checks were handed back to the model already.
    pub(super) repaired: bool,
    /// Answers that were not accepted.
    pub(super) rejections: u32,
    pub(super) repeats: Repeats,
}

impl Turn {
    /// The answer so far.
    pub(super) fn answer(&self) -> String {
        self.parts.concat()
    }

    /// Ends the turn with a failure, unless something else ends it already.
    pub(super) fn fail(&mut self, reason: &str, message: impl Into<String>) {
        self.stop.get_or_insert_with(|| Outcome::Failed {
            reason: reason.to_owned(),
            message: message.into(),
        });
    }

    /// Takes note of the time. Time without a driver (until one attached again) does not count.
    pub(super) fn tick(&mut self, at: i64, attached: bool) {
        if !attached {
            self.elapsed_ms = self.elapsed_at(at);
        }
        self.now = at;
    }

    /// The time spent on the turn, were it `at` now.
    pub(super) fn elapsed_at(&self, at: i64) -> u64 {
        let since = u64::try_from(at.saturating_sub(self.now)).unwrap_or(0);
        self.elapsed_ms.saturating_add(since)
    }

    /// The first limit of `budget` that is used up, in words.
    pub(super) fn exceeded(&self, budget: &Budget, totals: &Totals) -> Option<String> {
        if let Some(steps) = budget.steps.filter(|&steps| self.steps >= steps) {
            let noun = if steps == 1 { "step" } else { "steps" };
            return Some(format!("{steps} {noun} in one turn"));
        }
        if let Some(cost) = budget.cost.filter(|&cost| totals.cost >= cost) {
            return Some(cost.to_string());
        }
        if let Some(tokens) = budget
            .tokens
            .filter(|&tokens| totals.usage.total() >= tokens)
        {
            return Some(format!("{tokens} tokens"));
        }
        let seconds = budget
            .seconds
            .filter(|&seconds| self.elapsed_ms / 1000 >= seconds)?;
        Some(format!("{seconds} seconds"))
    }
}
