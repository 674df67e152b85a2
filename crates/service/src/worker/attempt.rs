//! One attempt's run: from a claim until it is given back.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use recto_agent::Session;
use recto_protocol::Item;
use recto_protocol::Record;
use recto_protocol::ports::files::Files;
use recto_protocol::ports::log::{Log as _, LogError};
use recto_protocol::ports::tasks::{AppendError, Change, Claim, Release};
use recto_protocol::record::{Body, EvidenceGathered, Outcome, StateChanged, Warning};
use recto_protocol::task::State;
use recto_runtime::{Control, Driver, DriverError, TurnInput};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::mail::Mail;
use super::sink::LiveSink;
use crate::evidence::{self, Told};
use crate::log::AttemptLog;
use crate::service::Service;
use crate::workplace::{Job, Workplace};

/// Records read at once.
const PAGE: u32 = 1024;
/// Why an attempt is queued again.
const STOPS: &str = "the worker stops";
const FAILED: &str = "the task store failed";
/// Why an attempt failed that nobody has foreseen.
const DEFECT: &str = "the worker stopped unexpectedly; this is a defect of the program";
/// How long to wait for a store that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// One attempt that this worker holds.
pub(super) struct Run {
    pub(super) service: Service,
    pub(super) claim: Claim,
    /// Rings when something is in the inbox.
    pub(super) mail: Arc<Notify>,
    /// The worker is to stop.
    pub(super) draining: CancellationToken,
}

/// Why a run ended without giving its attempt back.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the log can't be written")]
    Log(#[from] LogError),
    #[error("the store failed")]
    Store(#[from] recto_protocol::ports::tasks::StoreError),
}

/// How the turns of a claim ended.
enum Ended {
    /// There is nothing more to do.
    With(Outcome),
    /// The worker is to stop; the rest is somebody else's.
    Yielded,
    /// The cell is gone.
    Broken(String),
}

impl Run {
    /// Runs the attempt until there is nothing to do for it. A panic on the way fails the attempt
    /// and nothing else.
    pub(super) async fn run_or_fail(self) {
        // What the run held is dropped with it; its log is read again.
        if AssertUnwindSafe(self.run()).catch_unwind().await.is_err() {
            self.give_back(State::Failed, DEFECT, Release::Stuck).await;
        }
    }

    /// Runs the attempt until there is nothing to do for it.
    async fn run(&self) {
        let Err(lost) = self.work().await else { return };
        let cause = std::error::Error::source(&lost).map(ToString::to_string);
        let cause = cause.unwrap_or_default();
        tracing::warn!(error = %lost, cause, attempt = %self.claim.lease.attempt, "attempt lost");
        if !matches!(lost, Lost::Log(LogError::Fenced)) {
            self.give_back(State::Queued, FAILED, Release::Done).await;
        }
    }

    /// Gives the attempt back once the store answers again: this worker lives on, so nobody would
    /// take it away.
    async fn give_back(&self, state: State, reason: &str, release: Release) {
        let lease = &self.claim.lease;
        let change = Change {
            state: Some((state, reason.to_owned())),
            release,
            ..Change::default()
        };
        loop {
            tokio::time::sleep(PAUSE).await;
            // What the last write came to is not known.
            let Ok(Some(task)) = self.service.store.task(&self.claim.task.id).await else {
                continue;
            };
            let mut attempts = task.attempts.iter();
            let Some(attempt) = attempts.find(|one| one.id == lease.attempt) else {
                return;
            };
            let body = StateChanged {
                state,
                reason: reason.to_owned(),
            };
            let (bodies, at) = (vec![body.into()], self.service.outside.now());
            let store = &self.service.store;
            let appended = store.append(lease, attempt.records, bodies, &change, at);
            match appended.await {
                Ok(_) => {
                    self.service.hints.call(&lease.attempt);
                    return;
                }
                Err(AppendError::Fenced) => return,
                Err(AppendError::Conflict { .. } | AppendError::Store(_)) => {}
            }
        }
    }

    async fn work(&self) -> Result<(), Lost> {
        let records = self.read().await?;
        let log = AttemptLog::new(
            Arc::clone(&self.service.store),
            self.claim.lease.clone(),
            self.service.hints.clone(),
            self.service.outside.clone(),
            &records,
        );
        log.change(State::Preparing, "", Release::No).await?;
        let Some(mut place) = self.place(&log, &records).await? else {
            return Ok(());
        };
        let worked = self.drive(place.as_mut(), &log, records).await;
        place.close().await;
        let (state, reason, release) = worked?;
        Ok(log.change(state, reason, release).await?)
    }

    /// The whole log.
    async fn read(&self) -> Result<Vec<Record>, Lost> {
        let attempt = &self.claim.lease.attempt;
        let mut records = Vec::new();
        loop {
            let next = records.len() as u64;
            let page = self.service.store.records(attempt, next, PAGE).await?;
            if page.is_empty() {
                return Ok(records);
            }
            records.extend(page);
        }
    }

    /// Makes the place. None when the attempt ended instead.
    async fn place(
        &self,
        log: &AttemptLog,
        records: &[Record],
    ) -> Result<Option<Box<dyn Workplace>>, Lost> {
        let repositories = self.service.store.repositories().await?;
        let name = &self.claim.task.spec.repository;
        let Some(repository) = repositories.into_iter().find(|one| &one.name == name) else {
            let reason = format!("there is no repository {name} any more");
            log.change(State::Failed, reason, Release::Stuck).await?;
            return Ok(None);
        };
        let job = Job {
            attempt: self.claim.lease.attempt.clone(),
            task: self.claim.task.clone(),
            repository,
            before: Session::replay(records).map(|session| session.settings().clone()),
        };
        let inbox = self.inbox();
        tokio::select! {
            biased;
            (number, by) = inbox.stop(log.taken()) => {
                log.stopped(number, by).await?;
                Ok(None)
            }
            () = self.draining.cancelled() => {
                log.change(State::Queued, STOPS, Release::Done).await?;
                Ok(None)
            }
            made = self.service.places.open(job) => match made {
                Ok(place) => Ok(Some(place)),
                Err(error) => {
                    log.change(State::Failed, error.message, Release::Stuck).await?;
                    Ok(None)
                }
            }
        }
    }

    /// Drives the agent through all turns that are due, and says how the attempt stands then.
    async fn drive(
        &self,
        place: &mut dyn Workplace,
        log: &AttemptLog,
        mut records: Vec<Record>,
    ) -> Result<(State, String, Release), Lost> {
        let attempt = &self.claim.lease.attempt;
        let sink = LiveSink::new(Arc::clone(&self.service.feeds), attempt.clone());
        let opening = place.opening();
        let parts = place.parts(Box::new(log.clone()), Box::new(sink));
        let files = Arc::clone(&parts.files);
        let changes = match Session::replay(&records) {
            Some(session) => opening.changes(&records, session.settings(), 0, &parts.files),
            None => {
                let bodies = opening.records(&parts.files);
                records.extend(log.clone().append(bodies).await?);
                Vec::new()
            }
        };
        let Some(mut driver) = Driver::new(parts, &records) else {
            let reason = "the attempt's log does not begin as a log should".to_owned();
            return Ok((State::Failed, reason, Release::Stuck));
        };
        let warnings = place.warnings().into_iter().map(Body::from);
        let first = changes.into_iter().chain(warnings).collect();
        if let Err(DriverError::Log(error)) = driver.record(first).await {
            return Err(error.into());
        }
        log.change(State::Running, "", Release::No).await?;
        let ended = self.turns(&mut driver, place, log, &files).await?;
        let failed = driver.session().failed_checks();
        let all = driver.session().settings().checks.len();
        log.note_checks(count(all.saturating_sub(failed.len())), count(failed.len()));
        Ok(match ended {
            Ended::With(outcome) => {
                let (state, reason) = standing_of(outcome);
                (state, reason, Release::Done)
            }
            Ended::Yielded => (State::Queued, STOPS.to_owned(), Release::Done),
            Ended::Broken(reason) => (State::Failed, reason, Release::Stuck),
        })
    }

    /// Runs the turn that was left unfinished, then one for each text in the inbox.
    async fn turns(
        &self,
        driver: &mut Driver,
        place: &mut dyn Workplace,
        log: &AttemptLog,
        files: &Arc<dyn Files>,
    ) -> Result<Ended, Lost> {
        let mail = self.inbox();
        loop {
            // Also what an earlier worker had not come to settle.
            if !driver.session().is_running()
                && !log.is_settled()
                && self.settle(driver, place, files).await?
            {
                // A message that waits queues the attempt again, with a new place.
                return Ok(Ended::With(last_outcome(driver)));
            }
            let text = match driver.session().is_running() {
                true => None,
                false => match mail.next_text(log.taken()).await? {
                    Some(text) => Some(text),
                    None => return Ok(Ended::With(last_outcome(driver))),
                },
            };
            let handle = driver.handle();
            let taken = text.as_ref().map_or(log.taken(), |(number, _)| *number);
            let yields = async {
                self.draining.cancelled().await;
                handle.send(Control::Yield);
                std::future::pending::<()>().await;
            };
            let turn = async {
                match text {
                    Some((number, text)) => {
                        let input = TurnInput {
                            items: vec![Item::message("user", &text)],
                            inbox: Some(number),
                            ..TurnInput::default()
                        };
                        driver.run_turn(input).await.map(drop)
                    }
                    None => driver.run_rest().await.map(drop),
                }
            };
            let ended = tokio::select! {
                ended = turn => ended,
                () = mail.deliver(taken, &handle) => Ok(()),
                () = yields => Ok(()),
            };
            // What came too late for this turn is still in the inbox.
            driver.forget_controls();
            match ended {
                Ok(()) => {}
                Err(DriverError::Log(error)) => return Err(error.into()),
                Err(DriverError::Yielded) => return Ok(Ended::Yielded),
                Err(DriverError::Cell(error)) => {
                    return Ok(Ended::Broken(format!("the cell ended: {error}")));
                }
            }
        }
    }

    /// Settles the work of a turn and records what it came to. True when the place is spent.
    async fn settle(
        &self,
        driver: &mut Driver,
        place: &mut dyn Workplace,
        files: &Arc<dyn Files>,
    ) -> Result<bool, Lost> {
        let mut is_spent = false;
        let bodies = match place.settle().await {
            Ok(settled) => {
                is_spent = settled.is_spent;
                let warnings = settled.warnings.into_iter().map(Body::from);
                warnings.chain(settled.work.map(Body::from)).collect()
            }
            Err(error) => vec![
                Warning {
                    code: "git".into(),
                    message: error.message,
                }
                .into(),
            ],
        };
        if let Err(DriverError::Log(error)) = driver.record(bodies).await {
            return Err(error.into());
        }
        let gathered = self.gather(files).await?;
        if let Err(DriverError::Log(error)) = driver.record(gathered).await {
            return Err(error.into());
        }
        Ok(is_spent)
    }

    /// Holds the last answer against what ran and what there is.
    async fn gather(&self, files: &Arc<dyn Files>) -> Result<Vec<Body>, Lost> {
        let told = Told::by(&self.read().await?);
        let Ok(chunks) = self.service.places.chunks(&self.claim.lease.attempt) else {
            return Ok(Vec::new());
        };
        let (turn, files) = (told.turn, Arc::clone(files));
        // Outputs can be large.
        let gathered = tokio::task::spawn_blocking(move || {
            let summary = evidence::summary(&told, &files, &chunks)?;
            serde_json::to_value(summary).ok()
        });
        let summary = gathered.await.unwrap_or_default();
        let gathered = summary.map(|summary| EvidenceGathered { turn, summary }.into());
        Ok(gathered.into_iter().collect())
    }

    fn inbox(&self) -> Mail {
        Mail {
            store: Arc::clone(&self.service.store),
            attempt: self.claim.lease.attempt.clone(),
            bell: Arc::clone(&self.mail),
        }
    }
}

/// How the last turn ended, as the log says.
fn last_outcome(driver: &Driver) -> Outcome {
    match driver.session().next() {
        recto_agent::Next::Idle(Some(outcome)) => outcome,
        _ => Outcome::Failed {
            reason: "empty".into(),
            message: "there was nothing to do".into(),
        },
    }
}

/// Where an outcome leaves the attempt, and why.
fn standing_of(outcome: Outcome) -> (State, String) {
    match outcome {
        Outcome::Completed { .. } => (State::Done, String::new()),
        Outcome::Failed { message, .. } => (State::Failed, message),
        Outcome::Interrupted { by } => (State::Cancelled, format!("stopped by {by}")),
        Outcome::BudgetReached { limit } => (State::OutOfBudget, limit),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
