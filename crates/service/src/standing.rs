//! What an attempt's log adds up to: a fold beside the agent's, for lists.

use recto_protocol::Record;
use recto_protocol::record::{Body, Outcome};
use recto_protocol::task::Standing;
use recto_protocol::usage::{Micros, Usage};

/// Takes one record in. Total: any sequence of records gives a standing.
pub(crate) fn apply(standing: &mut Standing, record: &Record) {
    match &record.body {
        Body::TurnStarted(body) => {
            standing.turns = body.turn;
            standing.started_at.get_or_insert(record.at);
            standing.ended_at = None;
        }
        Body::StepFinished(body) => {
            standing.steps += 1;
            add(standing, body.finish.usage, body.cost);
        }
        Body::Compacted(body) => add(standing, Some(body.usage), body.cost),
        Body::CompactionFailed(body) => add(standing, Some(body.usage), body.cost),
        Body::TurnEnded(_) => standing.ended_at = Some(record.at),
        Body::WorkSettled(body) => {
            standing.base = Some(body.base.clone());
            standing.branch = Some(body.branch.clone());
            standing.commit = (body.commit != body.base).then(|| body.commit.clone());
            standing.files = body.files;
            standing.added = body.added;
            standing.removed = body.removed;
        }
        Body::SessionStarted(_)
        | Body::ContextAdded(_)
        | Body::SettingsChanged(_)
        | Body::MessageAdded(_)
        | Body::StepStarted(_)
        | Body::StepItem(_)
        | Body::StepFailed(_)
        | Body::ToolFinished(_)
        | Body::CheckFinished(_)
        | Body::AnswerRejected(_)
        | Body::DriverAttached(_)
        | Body::InterruptRequested(_)
        | Body::Warning(_)
        | Body::NetworkRequested(_)
        | Body::StateChanged(_)
        | Body::Checkpointed(_)
        | Body::EvidenceGathered(_)
        | Body::Unknown { .. } => {}
    }
}

fn add(standing: &mut Standing, usage: Option<Usage>, cost: Option<Micros>) {
    standing.usage += usage.unwrap_or_default();
    if let Some(cost) = cost {
        *standing.cost.get_or_insert_default() += cost;
    }
}

/// The inbox number that a record has taken in.
pub(crate) fn taken(body: &Body) -> Option<u64> {
    match body {
        Body::TurnStarted(body) => body.inbox,
        Body::MessageAdded(body) => body.inbox,
        Body::InterruptRequested(body) => body.inbox,
        _ => None,
    }
}

/// The answer that a record gives.
pub(crate) fn answer(body: &Body) -> Option<&str> {
    match body {
        Body::TurnEnded(ended) => match &ended.outcome {
            Outcome::Completed { answer } => Some(answer),
            Outcome::Failed { .. }
            | Outcome::Interrupted { .. }
            | Outcome::BudgetReached { .. } => None,
        },
        _ => None,
    }
}
