//! Which reply a request gets.
//!
//! The conversation itself says how far the script is: the newest id in the input that the script
//! gave out names the last reply that arrived. So a process that was killed and resumed goes on
//! with the right reply, and a fork or a rollback finds its own place. Memory serves for what
//! leaves no id behind: replies that failed, and a conversation that was compacted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use recto_protocol::ports::model::ModelError;

use super::Script;
use super::chunks;
use super::expect::Asked;
use super::reply::{self, Reply};

/// The replies of one conversation, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    condition: Option<String>,
    replies: Vec<Reply>,
    /// The number of the reply, from 1, that gave out each id.
    ids: HashMap<String, usize>,
    has_summaries: bool,
}

/// How many replies of each lane every session got, by cache key.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<(String, usize), usize>>);

impl Lane {
    pub(super) fn new(condition: Option<&str>) -> Self {
        Self {
            condition: condition.map(str::to_owned),
            ..Self::default()
        }
    }

    pub(super) fn condition(&self) -> Option<&str> {
        self.condition.as_deref()
    }

    pub(super) fn len(&self) -> usize {
        self.replies.len()
    }

    pub(super) fn push(&mut self, reply: Reply) {
        let number = self.replies.len() + 1;
        self.ids
            .extend(reply.ids().into_iter().map(|id| (id, number)));
        self.has_summaries |= reply.line.summary;
        self.replies.push(reply);
    }

    /// The index of the next reply. `seen` is the number of the newest reply that the input shows,
    /// `served` how many this process has given out.
    fn next(&self, seen: Option<usize>, served: usize) -> usize {
        if let Some(seen) = seen {
            return self.skip(seen, served);
        }
        // Nothing to see: a new session, one whose first answer got lost, or a compacted one.
        let restart = self.skip(0, served);
        if restart + 1 >= served {
            restart
        } else {
            served
        }
    }

    /// Passes over replies that were given out and left no id.
    fn skip(&self, mut index: usize, served: usize) -> usize {
        while index < served && self.replies.get(index).is_some_and(Reply::is_traceless) {
            index += 1;
        }
        index
    }

    /// The number of the newest reply that `input`, JSON text, shows.
    fn seen(&self, input: &str) -> Option<usize> {
        let by_id = self.newest_id(input);
        let by_marker = if self.has_summaries {
            self.newest_marker(input)
        } else {
            None
        };
        by_id.max(by_marker).map(|(_, number)| number)
    }

    /// Looks for the fields `id` and `call_id` from the end. The quote before the colon is bare,
    /// which it never is inside a JSON text, so that quoted conversations are not mistaken.
    fn newest_id(&self, input: &str) -> Option<(usize, usize)> {
        input.rmatch_indices("id\":").find_map(|(at, key)| {
            let value = input[at + key.len()..].trim_start().strip_prefix('"')?;
            let id = &value[..value.find('"')?];
            Some((at, *self.ids.get(id)?))
        })
    }

    fn newest_marker(&self, input: &str) -> Option<(usize, usize)> {
        let summaries = self
            .replies
            .iter()
            .enumerate()
            .filter(|(_, reply)| reply.line.summary);
        summaries
            .filter_map(|(index, reply)| {
                Some((input.rfind(&Reply::marker(&reply.name))?, index + 1))
            })
            .max()
    }
}

impl Script {
    /// The reply to `asked`, whose expectations were checked.
    ///
    /// # Errors
    /// A script error when the script is used up or the request is not what it expects.
    pub(super) fn reply(&self, asked: &Asked<'_>, memory: &Memory) -> Result<Reply, ModelError> {
        if let Some(reply) = self.matching(asked) {
            check(&reply, asked)?;
            return Ok(chunks::fill(reply, asked.input()));
        }
        let at = self.lane_of(asked);
        let lane = &self.lanes[at];
        let mut served = memory.0.lock().unwrap_or_else(PoisonError::into_inner);
        let served = served
            .entry((asked.cache_key().to_owned(), at))
            .or_default();
        let index = lane.next(lane.seen(asked.input()), *served);
        let Some(reply) = lane.replies.get(index) else {
            return Err(reply::mismatch(format!(
                "the script has {} {}{}, and this request asks for number {}",
                lane.len(),
                if lane.len() == 1 { "reply" } else { "replies" },
                lane.condition()
                    .map(|c| format!(" for conversation {c:?}"))
                    .unwrap_or_default(),
                index + 1,
            )));
        };
        check(reply, asked)?;
        *served = index + 1;
        Ok(chunks::fill(reply.clone(), asked.input()))
    }

    /// A reply chosen by the last item. Its ids hold the number of items, so that it can be given
    /// again in the same conversation.
    fn matching(&self, asked: &Asked<'_>) -> Option<Reply> {
        if self.matched.is_empty() {
            return None;
        }
        let last = asked.last_item_text();
        let wanted = |reply: &&Reply| {
            reply
                .line
                .on_match
                .as_deref()
                .is_some_and(|text| last.contains(text))
        };
        let reply = self.matched.iter().find(wanted)?;
        Some(reply.renamed(format!("{}i{}", reply.name, asked.items())))
    }

    fn lane_of(&self, asked: &Asked<'_>) -> usize {
        let conditional = self.lanes.iter().enumerate().skip(1);
        conditional
            .filter(|(_, lane)| lane.condition().is_some_and(|text| asked.user_says(text)))
            .map(|(at, _)| at)
            .next()
            .unwrap_or(0)
    }
}

fn check(reply: &Reply, asked: &Asked<'_>) -> Result<(), ModelError> {
    let Some(expect) = reply.expect() else {
        return Ok(());
    };
    expect.check(asked).map_err(|problem| {
        reply::mismatch(format!(
            "the script's reply {} expects {problem}",
            reply.name
        ))
    })
}

#[cfg(test)]
#[path = "position_tests.rs"]
mod tests;
