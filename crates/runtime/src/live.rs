//! What watchers of a running session see: its records, and pieces of what is still being made.

use std::sync::{Arc, Mutex, PoisonError};

use recto_protocol::CallId;
use recto_protocol::Record;
use recto_protocol::ports::model::Delta;
use recto_protocol::tool::ToolCall;

/// Something that happened, for showing. Only records are kept; the rest may be dropped.
#[derive(Clone, Copy, Debug)]
pub enum LiveEvent<'a> {
    /// A record was written.
    Record(&'a Record),
    /// The model said a piece of something.
    Delta(&'a Delta),
    /// A tool call began to run.
    ToolStarted(&'a ToolCall),
    /// A running command said something.
    ToolOutput(&'a CallId, &'a [u8]),
    /// A check began to run.
    CheckStarted(&'a str),
    /// The conversation is being compacted.
    Compacting,
}

/// Takes live events. Called from one place at a time, in order; must not block for long.
pub trait Sink: Send {
    /// Takes one event.
    fn event(&mut self, event: LiveEvent<'_>);
}

impl<F: FnMut(LiveEvent<'_>) + Send> Sink for F {
    fn event(&mut self, event: LiveEvent<'_>) {
        self(event);
    }
}

/// A sink that the driver and its running tools share.
#[derive(Clone)]
pub(crate) struct Live(Arc<Mutex<Box<dyn Sink>>>);

impl Live {
    pub(crate) fn new(sink: Box<dyn Sink>) -> Self {
        Self(Arc::new(Mutex::new(sink)))
    }

    pub(crate) fn emit(&self, event: LiveEvent<'_>) {
        // A sink that panicked once is still the only one there is.
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .event(event);
    }
}
