//! What tests hand in, and how they look at what came of it.

use std::sync::Arc;

use recto_protocol::ports::tasks::{Change, Claim, Lease, Release, TaskStore};
use recto_protocol::record::{Body, Delivery, Record, StateChanged, Warning};
use recto_protocol::task::{Attempt, NewMessage, NewTask, Said, State, TaskSpec};
use recto_protocol::{AttemptId, TaskId, WorkerId};

pub(crate) type Store = Arc<dyn TaskStore>;

/// The n-th task.
pub(crate) fn task(n: u32) -> TaskId {
    let mut bytes = [0; 12];
    bytes[8..].copy_from_slice(&n.to_be_bytes().map(|byte| byte & 31));
    bytes[7] = u8::try_from(n >> 5 & 31).unwrap();
    bytes[6] = u8::try_from(n >> 10 & 31).unwrap();
    let id = TaskId::from_random(bytes);
    assert!(id.is_valid());
    id
}

pub(crate) fn attempt(n: u32) -> AttemptId {
    AttemptId::of(&task(n), 1)
}

pub(crate) fn worker(n: u32) -> WorkerId {
    WorkerId(format!("worker-{n}"))
}

/// A task with one attempt.
pub(crate) fn asking(prompt: &str) -> NewTask {
    NewTask {
        spec: TaskSpec {
            repository: "demo".into(),
            prompt: prompt.into(),
            attempts: 1,
            ..TaskSpec::default()
        },
        title: None,
        labels: Vec::new(),
        key: None,
    }
}

/// Hands in the n-th task at millisecond n.
pub(crate) async fn submit(store: &Store, n: u32) -> AttemptId {
    let new = asking(&format!("do {n}"));
    let submitted = store.submit(&task(n), &new, i64::from(n)).await.unwrap();
    assert!(!submitted.is_known);
    submitted.attempts[0].clone()
}

/// Joins as a worker and claims the one attempt that waits.
pub(crate) async fn claim(store: &Store, n: u32) -> Claim {
    store.join(&worker(n), 0).await.unwrap();
    let mut claims = store.claim(&worker(n), 10).await.unwrap();
    assert_eq!(claims.len(), 1);
    claims.pop().unwrap()
}

pub(crate) fn note(text: &str) -> Body {
    Body::from(Warning {
        code: "note".into(),
        message: text.into(),
    })
}

pub(crate) fn text(text: &str) -> NewMessage {
    NewMessage {
        said: Said::Text {
            text: text.into(),
            delivery: Delivery::Steer,
        },
        key: None,
    }
}

pub(crate) fn stop() -> NewMessage {
    NewMessage {
        said: Said::Stop { by: "ada".into() },
        key: None,
    }
}

/// The change that lets an attempt go in a state, with messages up to a number taken in.
pub(crate) fn release(state: State, taken: u64) -> Change {
    Change {
        state: Some((state, String::new())),
        taken: Some(taken),
        release: Release::Done,
        ..Change::default()
    }
}

/// Ends the claimed attempt's work.
pub(crate) async fn finish(store: &Store, claim: &Claim, state: State, taken: u64) -> Vec<Record> {
    let change = release(state, taken);
    let bodies = vec![changed(state, "")];
    store
        .append(&claim.lease, claim.records, bodies, &change, 50)
        .await
        .unwrap()
}

pub(crate) fn changed(state: State, reason: &str) -> Body {
    Body::from(StateChanged {
        state,
        reason: reason.into(),
    })
}

pub(crate) async fn look(store: &Store, attempt: &AttemptId) -> Attempt {
    let (task, number) = attempt.parts().unwrap();
    let task = store.task(&task).await.unwrap().unwrap();
    task.attempts[number as usize - 1].clone()
}

pub(crate) async fn log(store: &Store, attempt: &AttemptId) -> Vec<Record> {
    let mut records = Vec::new();
    loop {
        let from = records.len() as u64;
        let more = store.records(attempt, from, 1000).await.unwrap();
        if more.is_empty() {
            let numbers: Vec<_> = records.iter().map(|record: &Record| record.seq).collect();
            assert_eq!(numbers, (0..from).collect::<Vec<_>>(), "a gap in the log");
            return records;
        }
        records.extend(more);
    }
}

/// The states that an attempt went through, with their reasons, as its log tells.
pub(crate) async fn states(store: &Store, attempt: &AttemptId) -> Vec<(State, String)> {
    let records = log(store, attempt).await.into_iter();
    records
        .filter_map(|record| match record.body {
            Body::StateChanged(changed) => Some((changed.state, changed.reason)),
            _ => None,
        })
        .collect()
}

pub(crate) fn lease(attempt: &AttemptId, epoch: u64, n: u32) -> Lease {
    Lease {
        attempt: attempt.clone(),
        epoch,
        worker: worker(n),
    }
}
