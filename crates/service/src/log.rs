//! The log of one attempt, written under a lease.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use recto_protocol::Record;
use recto_protocol::ports::log::{Log, LogError};
use recto_protocol::ports::tasks::{AppendError, Change, Lease, Release, TaskStore};
use recto_protocol::record::{Body, InterruptRequested, StateChanged};
use recto_protocol::task::{Standing, State};

use crate::hints::Hints;
use crate::service::Outside;
use crate::standing;

/// Writes one attempt's log. The driver appends to it while a turn runs, and the worker before and
/// after, so clones share one position.
#[derive(Clone)]
pub(crate) struct AttemptLog {
    store: Arc<dyn TaskStore>,
    lease: Lease,
    hints: Hints,
    outside: Outside,
    position: Arc<Mutex<Position>>,
}

/// Where the log is, and what it adds up to.
#[derive(Clone, Default)]
struct Position {
    records: u64,
    taken: u64,
    standing: Standing,
    /// Turns that have ended since work was settled last.
    unsettled: u32,
}

impl AttemptLog {
    /// The log that holds `records`.
    pub(crate) fn new(
        store: Arc<dyn TaskStore>,
        lease: Lease,
        hints: Hints,
        outside: Outside,
        records: &[Record],
    ) -> Self {
        let mut position = Position::default();
        for record in records {
            position.take_in(record);
        }
        Self {
            store,
            lease,
            hints,
            outside,
            position: Arc::new(Mutex::new(position)),
        }
    }

    /// The number of the last message that the log has taken in; 0 for none.
    pub(crate) fn taken(&self) -> u64 {
        self.now().taken
    }

    /// Whether the work of every turn that has ended is settled.
    pub(crate) fn is_settled(&self) -> bool {
        self.now().unsettled == 0
    }

    /// Changes the attempt's state, and gives it back or not.
    pub(crate) async fn change(
        &self,
        state: State,
        reason: impl Into<String>,
        release: Release,
    ) -> Result<(), LogError> {
        let reason = reason.into();
        let body = StateChanged {
            state,
            reason: reason.clone(),
        };
        let change = Change {
            state: Some((state, reason)),
            release,
            ..Change::default()
        };
        self.write(vec![body.into()], change).await.map(drop)
    }

    /// Ends the attempt because of a message that asked for it.
    pub(crate) async fn stopped(&self, number: u64, by: String) -> Result<(), LogError> {
        let reason = format!("stopped by {by}");
        let asked = InterruptRequested {
            by,
            limit: None,
            inbox: Some(number),
        };
        let state = StateChanged {
            state: State::Cancelled,
            reason: reason.clone(),
        };
        let change = Change {
            state: Some((State::Cancelled, reason)),
            release: Release::Done,
            ..Change::default()
        };
        let bodies = vec![asked.into(), state.into()];
        self.write(bodies, change).await.map(drop)
    }

    /// Notes how many required checks passed and failed, to be stored with the next append.
    pub(crate) fn note_checks(&self, passed: u32, failed: u32) {
        let mut position = self.lock();
        position.standing.checks_passed = passed;
        position.standing.checks_failed = failed;
    }

    async fn write(&self, bodies: Vec<Body>, mut change: Change) -> Result<Vec<Record>, LogError> {
        if bodies.is_empty() {
            return Ok(Vec::new());
        }
        let before = self.now();
        let at = self.outside.now();
        let mut after = before.clone();
        for (body, seq) in bodies.iter().zip(before.records..) {
            let body = body.clone();
            after.take_in(&Record { seq, at, body });
        }
        change.taken = (after.taken > before.taken).then_some(after.taken);
        change.answer = bodies
            .iter()
            .rev()
            .find_map(standing::answer)
            .map(str::to_owned);
        change.standing = Some(after.standing.clone());
        let appended = self
            .store
            .append(&self.lease, before.records, bodies, &change, at)
            .await;
        let records = match appended {
            Ok(records) => records,
            // Both mean that somebody else has written this log.
            Err(AppendError::Fenced | AppendError::Conflict { .. }) => {
                return Err(LogError::Fenced);
            }
            // Not known to be written: the lease is as good as lost, since the position is.
            Err(AppendError::Store(error)) => return Err(LogError::Store(Box::new(error))),
        };
        *self.lock() = after;
        match change.release {
            Release::No => self.hints.tell(&self.lease.attempt),
            // Where a message came meanwhile, it is queued again.
            Release::Done | Release::Stuck => self.hints.call(&self.lease.attempt),
        }
        Ok(records)
    }

    fn now(&self) -> Position {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Position> {
        // Replaced whole, so a panic elsewhere leaves it whole.
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Position {
    fn take_in(&mut self, record: &Record) {
        self.records = record.seq + 1;
        if let Some(number) = standing::taken(&record.body) {
            self.taken = self.taken.max(number);
        }
        match &record.body {
            Body::TurnEnded(_) => self.unsettled += 1,
            Body::WorkSettled(_) => self.unsettled = 0,
            _ => {}
        }
        standing::apply(&mut self.standing, record);
    }
}

#[async_trait]
impl Log for AttemptLog {
    async fn append(&mut self, bodies: Vec<Body>) -> Result<Vec<Record>, LogError> {
        self.write(bodies, Change::default()).await
    }
}
