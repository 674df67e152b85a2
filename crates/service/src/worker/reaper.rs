//! Gives the attempts of dead workers back to the queue.

use std::collections::HashMap;
use std::time::Instant;

use recto_protocol::WorkerId;
use recto_protocol::ports::tasks::StoreError;
use tokio_util::sync::CancellationToken;

use super::Pace;
use crate::service::Service;

/// What the attempts' users are told.
const REASON: &str = "the worker stopped answering";

/// Watches the workers. Any number of reapers may run at once.
///
/// A worker is dead when this process has itself seen the same beat number for the whole patience,
/// on its own clock. Nothing is remembered over a restart, and a store that could not be reached
/// counts as not having looked: else one failure of the store would expire everybody at once.
pub struct Reaper {
    service: Service,
    pace: Pace,
    seen: HashMap<WorkerId, (u64, Instant)>,
}

impl Reaper {
    /// A reaper that has seen nothing yet.
    pub fn new(service: Service, pace: Pace) -> Self {
        Self {
            service,
            pace,
            seen: HashMap::new(),
        }
    }

    /// Watches until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(self.pace.beat);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "cannot look after the workers");
                self.seen.clear();
            }
        }
    }

    /// Looks once.
    async fn look(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        let workers = self.service.store.workers().await?;
        self.seen
            .retain(|id, _| workers.iter().any(|(worker, _)| worker == id));
        for (worker, beat) in workers {
            let seen = self.seen.entry(worker.clone()).or_insert((beat, now));
            if seen.0 != beat {
                *seen = (beat, now);
            }
            if now.duration_since(seen.1) < self.pace.patience {
                continue;
            }
            self.seen.remove(&worker);
            let at = self.service.outside.now();
            let queued = self.service.store.expire(&worker, beat, REASON, at).await?;
            for attempt in queued {
                tracing::warn!(%attempt, %worker, "given back to the queue");
                self.service.hints.call(&attempt);
            }
        }
        Ok(())
    }

    /// Gives up every worker there is, at once: for a process that knows that it is alone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_over(&mut self) -> Result<(), StoreError> {
        for (worker, beat) in self.service.store.workers().await? {
            let at = self.service.outside.now();
            let reason = "the program was stopped";
            self.service.store.expire(&worker, beat, reason, at).await?;
        }
        Ok(())
    }
}
