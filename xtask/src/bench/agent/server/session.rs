//! One session on the server: what it is answered, and what was noted about it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What the model says: one command per answer, then a message in so many pieces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) commands: Vec<&'static str>,
    pub(crate) deltas: usize,
    /// The answer (counted from 0) that is held back until it is released.
    pub(crate) held: Option<usize>,
}

impl Script {
    /// A message and nothing else.
    pub(crate) fn talk(deltas: usize) -> Self {
        Self {
            deltas,
            ..Self::default()
        }
    }

    /// So many steps with the same command, then a message.
    pub(crate) fn steps(count: usize, command: &'static str) -> Self {
        Self {
            commands: vec![command; count],
            deltas: 1,
            held: None,
        }
    }

    pub(crate) fn holding(mut self, answer: usize) -> Self {
        self.held = Some(answer);
        self
    }
}

/// One request and its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    /// When the request's last byte had arrived.
    pub(crate) arrived: Instant,
    pub(crate) body_bytes: usize,
    /// When the answer was handed to the kernel, in one write. Taken before that write: a server thread that loses its
    /// processor to the agent right after it would make the agent look faster than it is.
    pub(crate) handed: Option<Instant>,
}

#[derive(Default)]
struct State {
    exchanges: Vec<Exchange>,
    released: bool,
}

/// A session's script and notes, shared between the connection and the one who measures.
pub(crate) struct Session {
    script: Script,
    state: Mutex<State>,
    changed: Condvar,
}

impl Session {
    pub(super) fn new(script: Script) -> Self {
        Self {
            script,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn script(&self) -> &Script {
        &self.script
    }

    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.lock().exchanges.clone()
    }

    /// Lets the held answer go, now or when it is its turn.
    pub(crate) fn release(&self) {
        self.lock().released = true;
        self.changed.notify_all();
    }

    /// Waits a moment for so many requests, and says whether they have come.
    pub(crate) fn has_requests(&self, count: usize, patience: Duration) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), patience, |state| state.exchanges.len() < count);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.exchanges.len() >= count
    }

    pub(super) fn arrived(&self, arrived: Instant, body_bytes: usize) -> usize {
        let mut state = self.lock();
        state.exchanges.push(Exchange {
            arrived,
            body_bytes,
            handed: None,
        });
        self.changed.notify_all();
        state.exchanges.len() - 1
    }

    /// Blocks while this answer is held back.
    pub(super) fn hold(&self, number: usize) {
        if self.script.held == Some(number) {
            let state = self
                .changed
                .wait_while(self.lock(), |state| !state.released);
            drop(state.unwrap_or_else(PoisonError::into_inner));
        }
    }

    pub(super) fn handing(&self, number: usize, at: Instant) {
        self.lock().exchanges[number].handed = Some(at);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
