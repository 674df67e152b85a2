//! Workers live, fall silent, and are given up.

use recto_protocol::ports::tasks::{Beat, Change, Release};
use recto_protocol::task::State;

use crate::common::{
    changed, claim, finish, look, note, release, states, stop, submit, text, worker,
};
use crate::place::Place;

pub(crate) async fn beats_tell_of_mail(place: Place) {
    let store = place.open().await;
    let unknown = store.beat(&worker(1), 1).await.unwrap();
    assert_eq!(unknown, Beat::default());
    let (one, two) = (submit(&store, 1).await, submit(&store, 2).await);
    store.join(&worker(1), 3).await.unwrap();
    store.join(&worker(2), 4).await.unwrap();
    assert_eq!(
        store.workers().await.unwrap(),
        [(worker(1), 0), (worker(2), 0)]
    );
    let claims = store.claim(&worker(1), 2).await.unwrap();
    let alive = |mail| Beat {
        is_alive: true,
        mail,
    };
    // The prompts.
    let beat = store.beat(&worker(1), 1).await.unwrap();
    assert_eq!(beat, alive(vec![one.clone(), two.clone()]));
    for claim in &claims {
        let taken = Change {
            taken: Some(1),
            ..Change::default()
        };
        store
            .append(&claim.lease, 1, vec![], &taken, 5)
            .await
            .unwrap();
    }
    assert_eq!(store.beat(&worker(1), 2).await.unwrap(), alive(vec![]));
    store.send(&two, &stop(), 6).await.unwrap();
    assert_eq!(store.beat(&worker(1), 3).await.unwrap(), alive(vec![two]));
    assert_eq!(store.beat(&worker(2), 7).await.unwrap(), alive(vec![]));
    // One that was overtaken, and joining again, take nothing back.
    store.beat(&worker(1), 2).await.unwrap();
    store.join(&worker(1), 9).await.unwrap();
    assert_eq!(
        store.workers().await.unwrap(),
        [(worker(1), 3), (worker(2), 7)]
    );
}

pub(crate) async fn a_stop_that_is_done_is_no_mail(place: Place) {
    let store = place.open().await;
    let id = submit(&store, 1).await;
    let first = claim(&store, 1).await;
    finish(&store, &first, State::Done, 1).await;
    store.send(&id, &text("more"), 2).await.unwrap();
    store.send(&id, &stop(), 3).await.unwrap();
    store.send(&id, &text("more"), 4).await.unwrap();
    store.send(&id, &stop(), 5).await.unwrap();
    store.send(&id, &text("again"), 6).await.unwrap();
    let second = claim(&store, 1).await;
    let taken = Change {
        taken: Some(6),
        ..Change::default()
    };
    store
        .append(&second.lease, second.records, vec![], &taken, 7)
        .await
        .unwrap();
    assert_eq!(store.beat(&worker(1), 1).await.unwrap().mail, []);
    // Done before it was claimed again: nobody has to take it in.
    finish(&store, &second, State::Done, 2).await;
    store.send(&id, &stop(), 8).await.unwrap();
    let mail = store.inbox(&id, 6).await.unwrap();
    assert_eq!(mail.len(), 0, "{mail:?}");
}

pub(crate) async fn only_who_is_silent_is_given_up(place: Place) {
    let store = place.open().await;
    let id = submit(&store, 1).await;
    let claim = claim(&store, 1).await;
    store.beat(&worker(1), 5).await.unwrap();
    for wrong in [0, 4, 6, u64::MAX] {
        let queued = store.expire(&worker(1), wrong, "silent", 9).await.unwrap();
        assert_eq!(queued, []);
    }
    assert!(store.beat(&worker(1), 6).await.unwrap().is_alive);
    store
        .append(&claim.lease, 1, vec![note("x")], &Change::default(), 9)
        .await
        .unwrap();
    let queued = store.expire(&worker(1), 6, "silent", 10).await.unwrap();
    assert_eq!(queued, [id]);
    assert_eq!(store.expire(&worker(1), 6, "silent", 10).await.unwrap(), []);
    assert_eq!(store.beat(&worker(1), 7).await.unwrap(), Beat::default());
    assert_eq!(store.workers().await.unwrap(), []);
    assert_eq!(store.expire(&worker(9), 0, "silent", 10).await.unwrap(), []);
}

pub(crate) async fn attempts_of_the_dead_are_queued_again(place: Place) {
    let store = place.open().await;
    for n in 1..=3 {
        submit(&store, n).await;
    }
    store.join(&worker(1), 0).await.unwrap();
    let claims = store.claim(&worker(1), 2).await.unwrap();
    let running = Change {
        state: Some((State::Running, String::new())),
        ..Change::default()
    };
    let bodies = vec![changed(State::Running, "")];
    store
        .append(&claims[1].lease, 1, bodies, &running, 5)
        .await
        .unwrap();
    let ids: Vec<_> = claims.iter().map(|c| c.lease.attempt.clone()).collect();
    let queued = store.expire(&worker(1), 0, "no word", 60).await.unwrap();
    assert_eq!(queued, ids);
    for id in &ids {
        let found = look(&store, id).await;
        assert_eq!(
            (found.state, found.reason.as_str()),
            (State::Queued, "no word")
        );
        assert_eq!(found.updated_at, 60);
        let silent = (State::Queued, "no word".to_owned());
        assert_eq!(states(&store, id).await.last(), Some(&silent));
    }
    // They were first in the queue, and still are.
    store.join(&worker(2), 0).await.unwrap();
    let again = store.claim(&worker(2), 2).await.unwrap();
    let order: Vec<_> = again.iter().map(|c| c.lease.attempt.clone()).collect();
    assert_eq!(order, ids);
    // Raised when the worker was given up, and when another one took it.
    for (claim, before) in again.iter().zip(&claims) {
        assert_eq!(claim.lease.epoch, before.lease.epoch + 2);
    }
}

pub(crate) async fn what_had_ended_is_not_begun_again(place: Place) {
    let store = place.open().await;
    let id = submit(&store, 1).await;
    let claim = claim(&store, 1).await;
    let done = Change {
        release: Release::No,
        ..release(State::Done, 1)
    };
    store
        .append(&claim.lease, 1, vec![changed(State::Done, "")], &done, 5)
        .await
        .unwrap();
    assert_eq!(store.expire(&worker(1), 0, "silent", 6).await.unwrap(), []);
    assert_eq!(look(&store, &id).await.state, State::Done);
    store.send(&id, &text("more"), 7).await.unwrap();
    let second = crate::common::claim(&store, 2).await;
    let done = Change {
        release: Release::No,
        ..release(State::Done, 2)
    };
    store
        .append(&second.lease, 3, vec![], &done, 8)
        .await
        .unwrap();
    store.send(&id, &text("even more"), 9).await.unwrap();
    assert_eq!(
        store.expire(&worker(2), 0, "silent", 9).await.unwrap(),
        [id]
    );
    let third = crate::common::claim(&store, 3).await;
    finish(&store, &third, State::Done, 3).await;
}
