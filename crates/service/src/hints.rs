//! Hints that something has changed. They may be lost or come twice: whoever needs to know looks
//! into the store, on a hint and now and then without one.

use recto_protocol::AttemptId;
use tokio::sync::broadcast;

/// Hints that are kept for a listener that is slow; it misses the others.
const KEPT: usize = 4096;

/// Passes hints on within this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hints {
    changes: broadcast::Sender<AttemptId>,
    calls: broadcast::Sender<AttemptId>,
}

impl Default for Hints {
    fn default() -> Self {
        Self {
            changes: broadcast::channel(KEPT).0,
            calls: broadcast::channel(KEPT).0,
        }
    }
}

impl Hints {
    /// Tells watchers that an attempt's log, state or place in lists has changed.
    pub fn tell(&self, attempt: &AttemptId) {
        // Nobody may be listening.
        let _ = self.changes.send(attempt.clone());
    }

    /// Tells workers, too, that there is something to do for an attempt: it waits in the queue, or a
    /// message in its inbox. Apart from the others, since each makes a worker look into the store.
    pub fn call(&self, attempt: &AttemptId) {
        self.tell(attempt);
        let _ = self.calls.send(attempt.clone());
    }

    /// Hears of all changes from now on.
    pub fn listen(&self) -> Listener {
        Listener(self.changes.subscribe())
    }

    /// Hears of everything there is to do from now on.
    pub(crate) fn listen_for_work(&self) -> Listener {
        Listener(self.calls.subscribe())
    }
}

/// Hears hints.
pub struct Listener(broadcast::Receiver<AttemptId>);

impl Listener {
    /// The next attempt; none when some were missed, so that it may be any.
    pub async fn next(&mut self) -> Option<AttemptId> {
        match self.0.recv().await {
            Ok(attempt) => Some(attempt),
            Err(broadcast::error::RecvError::Lagged(_)) => None,
            // The sender lives as long as the service; without it there is nothing to hear.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
