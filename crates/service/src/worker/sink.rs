//! Passes on what is said live.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use recto_protocol::record::Body;
use recto_protocol::{AttemptId, CallId};
use recto_runtime::{LiveEvent, Sink};

use crate::feed::{Event, Feeds};

/// Passes an agent's words and its commands' output to those who watch. Records are not passed on:
/// watchers have them from the store, once they are durable.
pub(super) struct LiveSink {
    feeds: Arc<Feeds>,
    attempt: AttemptId,
    /// Bytes that each running command has said.
    said: HashMap<CallId, u64>,
}

impl LiveSink {
    pub(super) fn new(feeds: Arc<Feeds>, attempt: AttemptId) -> Self {
        Self {
            feeds,
            attempt,
            said: HashMap::new(),
        }
    }
}

impl Sink for LiveSink {
    fn event(&mut self, event: LiveEvent<'_>) {
        match event {
            LiveEvent::Delta(delta) => self
                .feeds
                .say(&self.attempt, || Event::Delta(Arc::new(delta.clone()))),
            LiveEvent::ToolOutput(call, bytes) => {
                let said = self.said.entry(call.clone()).or_default();
                let offset = *said;
                *said += bytes.len() as u64;
                self.feeds.say(&self.attempt, || Event::Output {
                    call: call.clone(),
                    offset,
                    bytes: Bytes::copy_from_slice(bytes),
                });
            }
            LiveEvent::Record(record) => {
                if let Body::TurnEnded(_) = &record.body {
                    self.said.clear();
                }
            }
            LiveEvent::ToolStarted(_) | LiveEvent::CheckStarted(_) | LiveEvent::Compacting => {}
        }
    }
}
