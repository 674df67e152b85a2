//! Attempts are handed to workers.

use std::collections::HashSet;

use recto_protocol::AttemptId;

use crate::common::{asking, attempt, submit, task, worker};
use crate::place::Place;

pub(crate) async fn the_oldest_is_claimed_first(place: Place) {
    let store = place.open().await;
    for n in [3, 1, 2, 4] {
        submit(&store, n).await;
    }
    store.join(&worker(1), 0).await.unwrap();
    assert_eq!(store.claim(&worker(1), 0).await.unwrap(), []);
    let first = store.claim(&worker(1), 2).await.unwrap();
    let ids: Vec<_> = first.iter().map(|claim| &claim.lease.attempt).collect();
    assert_eq!(ids, [&attempt(1), &attempt(2)]);
    for claim in &first {
        assert_eq!(claim.lease.epoch, 1);
        assert_eq!(claim.lease.worker, worker(1));
        assert_eq!((claim.records, claim.taken), (1, 0));
        assert_eq!(claim.task.attempts[0].id, claim.lease.attempt);
    }
    let rest = store.claim(&worker(1), 10).await.unwrap();
    assert_eq!(rest.len(), 2);
    assert_eq!(store.claim(&worker(1), 10).await.unwrap(), []);
}

pub(crate) async fn each_attempt_is_claimed_once(place: Place) {
    const WORKERS: u32 = 8;
    let store = place.open().await;
    let mut new = asking("x");
    new.spec.attempts = 4;
    for n in 0..125 {
        store.submit(&task(n), &new, 1).await.unwrap();
    }
    let mut running = Vec::new();
    for n in 0..WORKERS {
        // Each with connections of its own, as processes have.
        let store = place.open().await;
        store.join(&worker(n), 0).await.unwrap();
        running.push(tokio::spawn(async move {
            let mut claimed: Vec<AttemptId> = Vec::new();
            loop {
                let claims = store.claim(&worker(n), 1 + n % 4).await.unwrap();
                if claims.is_empty() {
                    // Others may have locked all that was left, and not have taken it.
                    let (left, _) = store.tasks(&Default::default()).await.unwrap();
                    assert_eq!(left.len(), 50);
                    return claimed;
                }
                assert!(claims.iter().all(|claim| claim.lease.epoch == 1));
                claimed.extend(claims.into_iter().map(|claim| claim.lease.attempt));
            }
        }));
    }
    let mut all = Vec::new();
    for one in running {
        all.extend(one.await.unwrap());
    }
    assert_eq!(all.len(), 500);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 500);
}

pub(crate) async fn a_worker_that_nobody_knows_claims_nothing(place: Place) {
    let store = place.open().await;
    submit(&store, 1).await;
    assert_eq!(store.claim(&worker(1), 10).await.unwrap(), []);
    store.join(&worker(1), 0).await.unwrap();
    store.expire(&worker(1), 0, "gone", 5).await.unwrap();
    assert_eq!(store.claim(&worker(1), 10).await.unwrap(), []);
    store.join(&worker(2), 0).await.unwrap();
    assert_eq!(store.claim(&worker(2), 10).await.unwrap().len(), 1);
}
