//! Removing a task removes it.

use recto_protocol::ports::tasks::{Change, StoreError};
use recto_protocol::task::State;

use crate::common::{asking, attempt, claim, finish, look, note, stop, task, text, worker};
use crate::place::Place;

pub(crate) async fn nothing_of_a_removed_task_is_left(place: Place) {
    let store = place.open().await;
    let counts = place.rows().await;
    assert!(
        counts.len() >= 7 && counts.iter().all(|(_, rows)| *rows == 0),
        "{counts:?}"
    );
    for n in 1..=2 {
        let mut new = asking("x");
        new.labels = vec!["l".into()];
        new.key = Some(format!("k{n}"));
        store.submit(&task(n), &new, 1).await.unwrap();
        let claim = claim(&store, 1).await;
        let change = Change {
            answer: Some("yes".into()),
            ..Change::default()
        };
        store
            .append(&claim.lease, 1, vec![note("x")], &change, 2)
            .await
            .unwrap();
        let claim = recto_protocol::ports::tasks::Claim {
            records: 2,
            ..claim
        };
        finish(&store, &claim, State::Done, 1).await;
        store.send(&attempt(n), &stop(), 3).await.unwrap();
        store.send(&attempt(n), &text("x"), 3).await.unwrap();
        store.send(&attempt(n), &stop(), 3).await.unwrap();
        store.add_attempt(&task(n), 4).await.unwrap();
        store
            .send(&recto_protocol::AttemptId::of(&task(n), 2), &stop(), 4)
            .await
            .unwrap();
    }
    let both = place.rows().await;
    assert!(store.remove(&task(1)).await.unwrap());
    assert!(!store.remove(&task(1)).await.unwrap());
    assert_eq!(store.task(&task(1)).await.unwrap(), None);
    let one = place.rows().await;
    for ((table, before), (_, after)) in both.iter().zip(&one) {
        match table.as_str() {
            "repository" | "worker" => {}
            _ => assert_eq!(*before, 2 * after, "{table}"),
        }
    }
    assert_eq!(look(&store, &attempt(2)).await.state, State::Cancelled);
    assert!(store.remove(&task(2)).await.unwrap());
    store.expire(&worker(1), 0, "done", 9).await.unwrap();
    let none = place.rows().await;
    assert!(none.iter().all(|(_, rows)| *rows == 0), "{none:?}");
    assert_eq!(store.send(&attempt(1), &text("x"), 9).await.unwrap(), None);
    // The key is free again.
    let mut new = asking("x");
    new.key = Some("k1".into());
    assert!(!store.submit(&task(1), &new, 9).await.unwrap().is_known);
}

pub(crate) async fn a_task_in_work_is_not_removed(place: Place) {
    let store = place.open().await;
    let mut new = asking("x");
    new.spec.attempts = 2;
    store.submit(&task(1), &new, 1).await.unwrap();
    store.join(&worker(1), 0).await.unwrap();
    let claim = store.claim(&worker(1), 1).await.unwrap().pop().unwrap();
    let refused = store.remove(&task(1)).await;
    assert!(matches!(refused, Err(StoreError::Busy(id)) if id == task(1).as_str()));
    assert_eq!(
        store.task(&task(1)).await.unwrap().unwrap().attempts.len(),
        2
    );
    finish(&store, &claim, State::Queued, 0).await;
    assert!(store.remove(&task(1)).await.unwrap());
    assert_eq!(store.claim(&worker(1), 9).await.unwrap(), []);
}
