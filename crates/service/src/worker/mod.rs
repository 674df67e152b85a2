//! The worker: claims attempts and runs them, many in one process.

mod attempt;
mod mail;
mod reaper;
mod sink;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use recto_protocol::ports::tasks::{Claim, StoreError};
use recto_protocol::{AttemptId, WorkerId};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::service::Service;
use attempt::Run;

pub use reaper::Reaper;

/// How fast a worker and a reaper go about their rounds.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How often a worker tells that it lives.
    pub beat: Duration,
    /// After how long without a beat a worker is given up. It stops by itself one beat earlier.
    pub patience: Duration,
    /// How often the queue is looked at without a hint.
    pub poll: Duration,
    /// How long the steps that run may take to end when the worker is asked to stop.
    pub drain: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            beat: Duration::from_secs(5),
            patience: Duration::from_secs(15),
            poll: Duration::from_secs(1),
            drain: Duration::from_secs(120),
        }
    }
}

/// Why a worker stopped before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The store could not be reached at the start.
    #[error("the worker can't join")]
    Join(#[source] StoreError),
    /// Others gave it up: it was silent for too long.
    #[error("the worker was silent for too long and lost its attempts")]
    GivenUp,
}

/// Runs attempts of one service.
pub struct Worker {
    service: Service,
    id: WorkerId,
    capacity: usize,
    pace: Pace,
}

impl Worker {
    /// A worker that runs up to `capacity` attempts at once. Its id was never used before.
    pub fn new(service: Service, id: WorkerId, capacity: usize, pace: Pace) -> Self {
        Self {
            service,
            id,
            capacity,
            pace,
        }
    }

    /// Works until `shutdown`: then nothing new is begun, steps that run are finished, and their
    /// attempts given back to the queue.
    ///
    /// # Errors
    /// [`WorkerError`]; nothing of this worker runs any more then.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), WorkerError> {
        let joined = self
            .service
            .store
            .join(&self.id, self.service.outside.now());
        joined.await.map_err(WorkerError::Join)?;
        let mut rounds = Rounds {
            draining: CancellationToken::new(),
            abandoned: CancellationToken::new(),
            running: JoinSet::new(),
            mail: HashMap::new(),
            beat: 0,
            heard: Instant::now(),
            worker: self,
        };
        let ended = rounds.run(&shutdown).await;
        // Dropped at their next wait: nothing is written or run after this.
        rounds.abandoned.cancel();
        while rounds.running.join_next().await.is_some() {}
        ended
    }
}

/// What a worker knows while it works.
struct Rounds {
    worker: Worker,
    draining: CancellationToken,
    abandoned: CancellationToken,
    running: JoinSet<AttemptId>,
    /// How to tell an attempt that something is in its inbox.
    mail: HashMap<AttemptId, Arc<Notify>>,
    beat: u64,
    /// When the store last took a beat.
    heard: Instant,
}

impl Rounds {
    async fn run(&mut self, shutdown: &CancellationToken) -> Result<(), WorkerError> {
        let pace = self.worker.pace;
        let mut hints = self.worker.service.hints.listen_for_work();
        let mut beats = tokio::time::interval(pace.beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut polls = tokio::time::interval(pace.poll);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut give_up = None;
        loop {
            let is_draining = self.draining.is_cancelled();
            if is_draining && self.running.is_empty() {
                return Ok(());
            }
            tokio::select! {
                biased;
                _ = beats.tick() => self.tell().await?,
                () = shutdown.cancelled(), if !is_draining => {
                    self.draining.cancel();
                    give_up = Some(tokio::time::Instant::now() + pace.drain);
                }
                () = until(give_up) => return Ok(()),
                Some(ended) = self.running.join_next() => {
                    self.forget(ended);
                    self.claim().await;
                }
                changed = hints.next() => match changed {
                    Some(attempt) => match self.mail.get(&attempt) {
                        Some(mail) => mail.notify_one(),
                        None => self.claim().await,
                    },
                    None => {
                        self.mail.values().for_each(|mail| mail.notify_one());
                        self.claim().await;
                    }
                },
                _ = polls.tick() => self.claim().await,
            }
        }
    }

    /// Tells the store that this worker lives.
    async fn tell(&mut self) -> Result<(), WorkerError> {
        let pace = self.worker.pace;
        let answer = self
            .worker
            .service
            .store
            .beat(&self.worker.id, self.beat + 1);
        match tokio::time::timeout(pace.beat, answer).await {
            Ok(Ok(answer)) if answer.is_alive => {
                self.beat += 1;
                self.heard = Instant::now();
                for attempt in answer.mail {
                    if let Some(mail) = self.mail.get(&attempt) {
                        mail.notify_one();
                    }
                }
                Ok(())
            }
            Ok(Ok(_)) => Err(WorkerError::GivenUp),
            Ok(Err(_)) | Err(_) if self.heard.elapsed() + pace.beat >= pace.patience => {
                // Somebody else may take over any moment now.
                Err(WorkerError::GivenUp)
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the store took no beat");
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    /// Takes as many attempts as there is room for.
    async fn claim(&mut self) {
        let free = self.worker.capacity.saturating_sub(self.running.len());
        if free == 0 || self.draining.is_cancelled() {
            return;
        }
        let most = u32::try_from(free).unwrap_or(u32::MAX);
        match self.worker.service.store.claim(&self.worker.id, most).await {
            Ok(claims) => claims.into_iter().for_each(|claim| self.start(claim)),
            Err(error) => tracing::warn!(%error, "cannot take attempts"),
        }
    }

    fn start(&mut self, claim: Claim) {
        let attempt = claim.lease.attempt.clone();
        let mail = Arc::new(Notify::new());
        self.mail.insert(attempt.clone(), Arc::clone(&mail));
        let run = Run {
            service: self.worker.service.clone(),
            claim,
            mail,
            draining: self.draining.clone(),
        };
        let abandoned = self.abandoned.clone();
        self.running.spawn(async move {
            let id = run.claim.lease.attempt.clone();
            // Dropping the run drops its cell, which kills everything in it.
            abandoned.run_until_cancelled(run.run_or_fail()).await;
            id
        });
        tracing::info!(%attempt, "taken");
    }

    fn forget(&mut self, ended: Result<AttemptId, tokio::task::JoinError>) {
        match ended {
            Ok(attempt) => {
                self.mail.remove(&attempt);
            }
            // Which one is not told, so all are asked; the attempt is given up with the worker.
            Err(error) => tracing::error!(%error, "an attempt's run ended unexpectedly"),
        }
    }
}

async fn until(end: Option<tokio::time::Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}
