//! Hints that something has changed. They may be lost or come twice: whoever needs to know looks
//! into the store, on a hint and now and then without one.

use recto_protocol::AttemptId;
use tokio::sync::broadcast;

/// Hints that are kept for a listener that is slow; it misses the others.
const KEPT: usize = 4096;

/// Passes hints on within this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hints(broadcast::Sender<AttemptId>);

impl Default for Hints {
    fn default() -> Self {
        Self(broadcast::channel(KEPT).0)
    }
}

impl Hints {
    /// Tells everybody that an attempt's log, state or inbox has changed.
    pub fn tell(&self, attempt: &AttemptId) {
        // Nobody may be listening.
        let _ = self.0.send(attempt.clone());
    }

    /// Hears all hints from now on.
    pub fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

/// Hears hints.
pub struct Listener(broadcast::Receiver<AttemptId>);

impl Listener {
    /// The next attempt that changed; none when some were missed, so that any may have changed.
    pub async fn next(&mut self) -> Option<AttemptId> {
        match self.0.recv().await {
            Ok(attempt) => Some(attempt),
            Err(broadcast::error::RecvError::Lagged(_)) => None,
            // The sender lives as long as the service; without it there is nothing to hear.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
