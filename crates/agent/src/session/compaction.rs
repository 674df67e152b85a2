//! When the conversation must be made shorter.

use recto_protocol::usage::Usage;

/// Failed compactions in a row after which old outputs are dropped instead.
const TRIES: u32 = 2;

/// What is known of the conversation's size, and of attempts to shorten it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Compaction {
    /// The provider's last count, and the weight in bytes that it was for.
    counted: Option<(u64, usize)>,
    /// The size below which requests are kept because the provider refused a longer one.
    learned_limit: Option<u64>,
    /// The provider refused the last request for its length.
    pub(super) overflowed: bool,
    /// Requests in a row that it refused for their length.
    pub(super) overflows: u32,
    /// Compactions in a row that failed.
    pub(super) failures: u32,
    /// Up to this size nothing is tried, because it was no use last time.
    futile_below: u64,
    /// Nothing was counted since the conversation was made shorter.
    fresh: bool,
}

impl Compaction {
    /// Likely tokens of a request that weighs `bytes`.
    pub(super) fn tokens(&self, bytes: usize) -> u64 {
        match self.counted {
            Some((tokens, at)) => tokens.saturating_add(estimate(bytes.saturating_sub(at))),
            None => estimate(bytes),
        }
    }

    /// The provider took a request, and counted it and its answer if it counts at all.
    pub(super) fn accepted(&mut self, usage: Option<&Usage>, bytes: usize, limit: u64) {
        self.overflows = 0;
        // Some servers send zeros instead of nothing.
        let usage = usage.filter(|usage| usage.input_tokens > 0);
        // A longer request than the learned limit went through, so that was learned from a wrong
        // estimate.
        let input = usage.map_or(self.tokens(bytes), |usage| usage.input_tokens);
        self.learned_limit = self.learned_limit.filter(|&learned| input <= learned);
        let Some(usage) = usage else { return };
        let tokens = usage.total();
        self.counted = Some((tokens, bytes));
        // What is left after a compaction is above the limit already: another one right away would
        // only forget the step in between.
        if std::mem::take(&mut self.fresh) && self.is_due(tokens, limit) {
            self.futile(tokens);
        }
    }

    /// The provider refused a request of about `tokens` for its length.
    pub(super) fn overflow(&mut self, tokens: u64) {
        self.learned_limit = Some(self.learned_limit.unwrap_or(u64::MAX).min(tokens / 10 * 8));
        self.overflowed = true;
        self.overflows += 1;
    }

    /// Whether a request of `tokens` must be compacted first.
    pub(super) fn is_due(&self, tokens: u64, limit: u64) -> bool {
        let limit = self
            .learned_limit
            .map_or(limit, |learned| learned.min(limit));
        self.overflowed || (tokens > limit && tokens > self.futile_below)
    }

    /// Whether summaries have failed often enough.
    pub(super) fn must_drop(&self) -> bool {
        self.failures >= TRIES
    }

    /// The conversation was made shorter, as far as it went.
    pub(super) fn done(&mut self) {
        let (overflows, learned_limit) = (self.overflows, self.learned_limit);
        *self = Self {
            overflows,
            learned_limit,
            fresh: true,
            ..Self::default()
        };
    }

    /// Trying again makes no sense before the conversation has grown beyond `tokens`.
    pub(super) fn futile(&mut self, tokens: u64) {
        self.futile_below = tokens.saturating_add(tokens / 10);
    }
}

fn estimate(bytes: usize) -> u64 {
    bytes.div_ceil(4) as u64
}
