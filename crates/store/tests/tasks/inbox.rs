//! What is said to attempts, and what it does.

use recto_protocol::AttemptId;
use recto_protocol::ports::tasks::{AppendError, Change, Release};
use recto_protocol::task::{NewMessage, Said, State};

use crate::common::{
    Store, attempt, changed, claim, finish, lease, log, look, note, release, states, stop, submit,
    text, worker,
};
use crate::place::Place;

async fn ended(store: &Store) -> AttemptId {
    let id = submit(store, 1).await;
    let claim = claim(store, 1).await;
    finish(store, &claim, State::Done, 1).await;
    id
}

pub(crate) async fn messages_are_numbered_in_order(place: Place) {
    let stores = [place.open().await, place.open().await];
    let id = submit(&stores[0], 1).await;
    let mut running = Vec::new();
    for n in 0..30 {
        let (store, id) = (stores[n % 2].clone(), id.clone());
        running.push(tokio::spawn(async move {
            let number = store.send(&id, &text(&n.to_string()), 5).await.unwrap();
            (number.unwrap(), n)
        }));
    }
    let mut sent = Vec::new();
    for one in running {
        sent.push(one.await.unwrap());
    }
    sent.sort_unstable();
    let inbox = stores[0].inbox(&id, 1).await.unwrap();
    assert_eq!(inbox.len(), 30);
    for (message, (number, n)) in inbox.iter().zip(&sent) {
        assert_eq!(message.number, *number);
        assert!(matches!(&message.said, Said::Text { text, .. } if *text == n.to_string()));
    }
    assert_eq!(inbox.last().unwrap().number, 31);
    assert_eq!(stores[0].inbox(&id, 30).await.unwrap(), inbox[29..]);
    assert_eq!(stores[0].inbox(&id, 31).await.unwrap(), []);
    let nobody = AttemptId::from("x.1");
    assert_eq!(stores[0].send(&nobody, &text("x"), 5).await.unwrap(), None);
    assert_eq!(stores[0].inbox(&nobody, 0).await.unwrap(), []);
}

pub(crate) async fn the_same_key_sends_once(place: Place) {
    let store = place.open().await;
    let id = ended(&store).await;
    let keyed = NewMessage {
        key: Some("k".into()),
        ..text("x")
    };
    let racing = (0..8).map(|_| {
        let (store, id, keyed) = (store.clone(), id.clone(), keyed.clone());
        tokio::spawn(async move { store.send(&id, &keyed, 60).await.unwrap() })
    });
    for one in racing.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), Some(2));
    }
    assert_eq!(store.inbox(&id, 0).await.unwrap().len(), 2);
    assert_eq!(look(&store, &id).await.records, 3, "it was queued once");
    // The same key to another attempt is another message.
    let other = submit(&store, 2).await;
    assert_eq!(store.send(&other, &keyed, 60).await.unwrap(), Some(2));
}

pub(crate) async fn a_text_queues_what_has_ended(place: Place) {
    let store = place.open().await;
    let id = ended(&store).await;
    // Who has waited longer comes first, however old the attempt is.
    let waiting = submit(&store, 55).await;
    assert_eq!(store.send(&id, &text("go on"), 60).await.unwrap(), Some(2));
    let found = look(&store, &id).await;
    assert_eq!(
        (found.state, found.updated_at, found.records),
        (State::Queued, 60, 3)
    );
    let came = (State::Queued, "a message came".to_owned());
    assert_eq!(states(&store, &id).await.last(), Some(&came));
    // One more for what waits already changes nothing else.
    assert_eq!(store.send(&id, &text("and"), 61).await.unwrap(), Some(3));
    assert_eq!(look(&store, &id).await, found);
    store.join(&worker(2), 0).await.unwrap();
    let claims = store.claim(&worker(2), 10).await.unwrap();
    let order: Vec<_> = claims.iter().map(|claim| &claim.lease.attempt).collect();
    assert_eq!(order, [&waiting, &id]);
    assert_eq!((claims[1].records, claims[1].taken), (3, 1));
    assert_eq!(claims[1].lease.epoch, 2);
}

pub(crate) async fn a_stop_ends_what_waits(place: Place) {
    let store = place.open().await;
    let id = submit(&store, 1).await;
    assert_eq!(store.send(&id, &stop(), 5).await.unwrap(), Some(2));
    let found = look(&store, &id).await;
    assert_eq!(
        (found.state, found.reason.as_str()),
        (State::Cancelled, "stopped by ada")
    );
    let stopped = (State::Cancelled, "stopped by ada".to_owned());
    assert_eq!(states(&store, &id).await.last(), Some(&stopped));
    store.join(&worker(1), 0).await.unwrap();
    assert_eq!(store.claim(&worker(1), 10).await.unwrap(), []);
    // Another stop says nothing new.
    assert_eq!(store.send(&id, &stop(), 6).await.unwrap(), Some(3));
    assert_eq!(look(&store, &id).await, found);
    // Whoever goes on has the prompt as well.
    store.send(&id, &text("go on after all"), 7).await.unwrap();
    let claims = store.claim(&worker(1), 10).await.unwrap();
    assert_eq!(
        (claims[0].taken, claims[0].records, claims[0].lease.epoch),
        (0, 3, 2)
    );
    let kinds: Vec<_> = store.inbox(&id, 0).await.unwrap();
    let kinds = kinds.iter().map(|m| matches!(m.said, Said::Stop { .. }));
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        [false, false],
        "what was done is no mail"
    );
    assert_eq!(store.send(&id, &stop(), 8).await.unwrap(), Some(5));
}

pub(crate) async fn a_stop_of_what_runs_only_goes_to_the_inbox(place: Place) {
    let store = place.open().await;
    let id = submit(&store, 1).await;
    let running = claim(&store, 1).await;
    let before = look(&store, &id).await;
    assert_eq!(store.send(&id, &stop(), 5).await.unwrap(), Some(2));
    assert_eq!(look(&store, &id).await, before);
    finish(&store, &running, State::Cancelled, 2).await;
    assert_eq!(look(&store, &id).await.state, State::Cancelled);
    // A stop of what has ended is done, and no mail for whoever takes it next.
    assert_eq!(store.send(&id, &stop(), 6).await.unwrap(), Some(3));
    assert_eq!(look(&store, &id).await.state, State::Cancelled);
    store.send(&id, &text("again"), 7).await.unwrap();
    let next = claim(&store, 2).await;
    let inbox = store.inbox(&id, next.taken).await.unwrap();
    assert_eq!((inbox.len(), inbox[0].number), (1, 4));
}

pub(crate) async fn a_release_with_a_pending_text_queues_again(place: Place) {
    let store = place.open().await;
    let id = submit(&store, 1).await;
    let running = claim(&store, 1).await;
    store.send(&id, &text("wait"), 5).await.unwrap();
    let records = finish(&store, &running, State::Done, 1).await;
    assert_eq!(records.len(), 2, "the record of the queue is given, too");
    assert_eq!(records[..], log(&store, &id).await[1..]);
    let path: Vec<_> = states(&store, &id).await;
    let path: Vec<_> = path.iter().map(|(state, _)| *state).collect();
    assert_eq!(path, [State::Queued, State::Done, State::Queued]);
    let again = claim(&store, 2).await;
    assert_eq!((again.taken, again.records), (1, 3));
    // Its old lease is worth nothing.
    let stale = store
        .append(&running.lease, 3, vec![], &Change::default(), 51)
        .await;
    assert!(matches!(stale, Err(AppendError::Fenced)));
    // A stop that was not taken in begins nothing.
    store.send(&id, &stop(), 52).await.unwrap();
    finish(&store, &again, State::Done, 2).await;
    assert_eq!(look(&store, &id).await.state, State::Done);
    assert_eq!(store.claim(&worker(2), 10).await.unwrap(), []);
}

pub(crate) async fn what_is_stuck_waits_for_another_message(place: Place) {
    let store = place.open().await;
    let id = submit(&store, 1).await;
    let stuck = claim(&store, 1).await;
    store.send(&id, &text("meanwhile"), 5).await.unwrap();
    let change = Change {
        state: Some((State::Failed, "no repository".into())),
        release: Release::Stuck,
        ..Change::default()
    };
    let records = store
        .append(&stuck.lease, 1, vec![note("x")], &change, 6)
        .await
        .unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(look(&store, &id).await.state, State::Failed);
    assert_eq!(store.claim(&worker(1), 10).await.unwrap(), []);
    store.send(&id, &text("now"), 7).await.unwrap();
    let again = claim(&store, 1).await;
    let waiting = store.inbox(&id, again.taken).await.unwrap();
    assert_eq!(waiting.len(), 3, "nothing of it is lost");
    // Whoever is stuck while he stops leaves it to others all the same.
    let change = Change {
        state: Some((State::Queued, "the worker stops".into())),
        release: Release::Stuck,
        ..Change::default()
    };
    store
        .append(&again.lease, again.records, vec![], &change, 8)
        .await
        .unwrap();
    assert_eq!(store.claim(&worker(1), 10).await.unwrap().len(), 1);
}

/// Whoever sends while a worker lets go: every text is taken in by somebody, in order.
pub(crate) async fn no_message_is_lost_between_sending_and_releasing(place: Place) {
    const MESSAGES: u64 = 60;
    let stores = [place.open().await, place.open().await];
    let id = submit(&stores[0], 1).await;
    let sender = {
        let (store, id) = (stores[1].clone(), id.clone());
        tokio::spawn(async move {
            for n in 0..MESSAGES {
                store.send(&id, &text(&n.to_string()), 5).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    };
    let store = &stores[0];
    store.join(&worker(1), 0).await.unwrap();
    let mut taken = 0;
    let mut claims = 0;
    while taken < MESSAGES + 1 {
        let Some(claim) = store.claim(&worker(1), 1).await.unwrap().pop() else {
            assert!(
                !sender.is_finished() || has_work(store, &id).await,
                "all was sent, {taken} were taken in, and nobody is to do it"
            );
            tokio::task::yield_now().await;
            continue;
        };
        claims += 1;
        assert_eq!(claim.taken, taken);
        let inbox = store.inbox(&id, taken).await.unwrap();
        assert!(!inbox.is_empty(), "queued for nothing");
        taken = inbox.last().unwrap().number;
        finish(store, &claim, State::Done, taken).await;
    }
    sender.await.unwrap();
    assert_eq!(taken, MESSAGES + 1);
    let found = look(store, &id).await;
    assert_eq!(found.state, State::Done);
    assert_eq!(log(store, &id).await.len() as u64, found.records);
    let path = states(store, &id).await;
    assert_eq!(path.len(), 2 * claims, "each claim was a queue and an end");
}

async fn has_work(store: &Store, id: &AttemptId) -> bool {
    look(store, id).await.state == State::Queued
}

pub(crate) async fn what_is_let_go_without_an_end_is_queued(place: Place) {
    let store = place.open().await;
    let id = submit(&store, 1).await;
    for (n, state) in [State::Preparing, State::Running].into_iter().enumerate() {
        let claim = claim(&store, n as u32).await;
        let given = finish(&store, &claim, state, 1).await;
        assert_eq!(given.len(), 2);
        assert_eq!(
            given[1].body,
            changed(State::Queued, "its worker gave it back")
        );
        assert_eq!(look(&store, &id).await.state, State::Queued);
    }
    // Who waits for somebody needs no worker until somebody speaks.
    let waiting = claim(&store, 7).await;
    assert_eq!(finish(&store, &waiting, State::Awaiting, 1).await.len(), 1);
    assert_eq!(store.claim(&worker(7), 10).await.unwrap(), []);
    store.send(&id, &text("here"), 60).await.unwrap();
    let waiting = claim(&store, 7).await;
    assert_eq!(finish(&store, &waiting, State::Awaiting, 2).await.len(), 1);
    store.send(&id, &stop(), 61).await.unwrap();
    assert_eq!(look(&store, &id).await.state, State::Cancelled);
    let gone = lease(&attempt(1), waiting.lease.epoch, 7);
    let refused = store
        .append(&gone, 0, vec![], &release(State::Done, 1), 62)
        .await;
    assert!(matches!(refused, Err(AppendError::Fenced)));
}
