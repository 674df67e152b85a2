//! A log has one writer.

use recto_protocol::ports::tasks::{AppendError, Change, Release};
use recto_protocol::task::{Standing, State};

use crate::common::{
    attempt, changed, claim, lease, log, look, note, release, submit, task, worker,
};
use crate::place::Place;

pub(crate) async fn a_worker_that_was_given_up_writes_nothing(place: Place) {
    let store = place.open().await;
    submit(&store, 1).await;
    let old = claim(&store, 1).await;
    store
        .append(&old.lease, 1, vec![note("mine")], &Change::default(), 2)
        .await
        .unwrap();
    store.expire(&worker(1), 0, "silent", 3).await.unwrap();
    let stale = |expect| {
        let (store, lease) = (store.clone(), old.lease.clone());
        async move {
            let change = release(State::Done, 1);
            store
                .append(&lease, expect, vec![note("stale")], &change, 4)
                .await
        }
    };
    // While nobody holds it, when another one does, and whatever length it believes in.
    assert!(matches!(stale(3).await, Err(AppendError::Fenced)));
    let new = claim(&store, 2).await;
    assert_eq!((new.lease.epoch > old.lease.epoch, new.records), (true, 3));
    for expect in 0..6 {
        assert!(matches!(stale(expect).await, Err(AppendError::Fenced)));
    }
    // The right epoch under another name is no better, nor is any other epoch.
    let id = attempt(1);
    for wrong in [
        lease(&id, new.lease.epoch, 1),
        lease(&id, new.lease.epoch + 1, 2),
        lease(&id, u64::MAX, 2),
        lease(&attempt(2), 1, 2),
    ] {
        let refused = store
            .append(&wrong, 3, vec![note("wrong")], &Change::default(), 5)
            .await;
        assert!(matches!(refused, Err(AppendError::Fenced)), "{wrong:?}");
    }
    store
        .append(&new.lease, 3, vec![note("new")], &Change::default(), 5)
        .await
        .unwrap();
    let log = log(&store, &id).await;
    assert_eq!(log.len(), 4);
    assert_eq!(log[1].body, note("mine"));
    assert_eq!(log[3].body, note("new"));
    let found = look(&store, &id).await;
    assert_eq!((found.state, found.records), (State::Queued, 4));
}

pub(crate) async fn a_writer_that_does_not_know_the_log_is_refused(place: Place) {
    let store = place.open().await;
    submit(&store, 1).await;
    let claim = claim(&store, 1).await;
    for wrong in [0, 2, u64::MAX] {
        let refused = store
            .append(
                &claim.lease,
                wrong,
                vec![note("x")],
                &release(State::Done, 9),
                2,
            )
            .await;
        let Err(AppendError::Conflict { expected, actual }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((expected, actual), (wrong, 1));
    }
    let found = look(&store, &attempt(1)).await;
    assert_eq!((found.records, found.state), (1, State::Queued));
    let records = store
        .append(&claim.lease, 1, vec![note("x")], &Change::default(), 2)
        .await
        .unwrap();
    assert_eq!((records[0].seq, records[0].at), (1, 2));
    // The same again, as after an answer that was lost.
    let again = store
        .append(&claim.lease, 1, vec![note("x")], &Change::default(), 2)
        .await;
    assert!(matches!(
        again,
        Err(AppendError::Conflict { actual: 2, .. })
    ));
}

pub(crate) async fn a_change_is_made_with_its_records_or_not_at_all(place: Place) {
    let store = place.open().await;
    submit(&store, 1).await;
    let claim = claim(&store, 1).await;
    let standing = Standing {
        turns: 2,
        branch: Some("b".into()),
        ..Standing::default()
    };
    let change = Change {
        state: Some((State::Running, "at work".into())),
        taken: Some(1),
        standing: Some(standing.clone()),
        answer: Some("yes".into()),
        release: Release::No,
    };
    let bodies = vec![changed(State::Running, "at work"), note("x")];
    let records = store
        .append(&claim.lease, 1, bodies, &change, 9)
        .await
        .unwrap();
    assert_eq!(records.len(), 2);
    let found = look(&store, &attempt(1)).await;
    assert_eq!(
        (found.state, found.reason.as_str()),
        (State::Running, "at work")
    );
    assert_eq!((found.records, found.updated_at), (3, 9));
    assert_eq!(found.standing, standing);
    // What is none stays as it is.
    store
        .append(&claim.lease, 3, vec![], &Change::default(), 10)
        .await
        .unwrap();
    let kept = look(&store, &attempt(1)).await;
    assert_eq!((kept.state, kept.records), (State::Running, 3));
    assert_eq!((kept.standing, kept.reason), (found.standing, found.reason));
    // It still has it, so nobody else gets it.
    store.join(&worker(2), 0).await.unwrap();
    assert_eq!(store.claim(&worker(2), 10).await.unwrap(), []);
    store
        .append(&claim.lease, 3, vec![], &release(State::Queued, 1), 11)
        .await
        .unwrap();
    let claims = store.claim(&worker(2), 10).await.unwrap();
    assert_eq!(
        (claims[0].lease.epoch, claims[0].taken, claims[0].records),
        (2, 1, 3)
    );
}

pub(crate) async fn concurrent_writers_leave_no_gap(place: Place) {
    const WRITERS: u32 = 32;
    let stores = [place.open().await, place.open().await];
    for n in 0..WRITERS {
        submit(&stores[0], n).await;
    }
    stores[0].join(&worker(1), 0).await.unwrap();
    let claims = stores[0].claim(&worker(1), WRITERS).await.unwrap();
    assert_eq!(claims.len(), 32);
    let mut running = Vec::new();
    for (n, claim) in claims.into_iter().enumerate() {
        let store = stores[n % 2].clone();
        running.push(tokio::spawn(async move {
            let mut expect = claim.records;
            for round in 0..20 {
                // Over the number of lines in one statement now and then.
                let lines = if round == 7 { 70 } else { round % 4 };
                let bodies = (0..lines).map(|line| note(&format!("{n} {round} {line}")));
                let records = store
                    .append(
                        &claim.lease,
                        expect,
                        bodies.collect(),
                        &Change::default(),
                        3,
                    )
                    .await
                    .unwrap();
                assert_eq!(records.len(), lines);
                expect += lines as u64;
            }
            (claim.lease.attempt, expect)
        }));
    }
    for one in running {
        let (attempt, expect) = one.await.unwrap();
        let records = log(&stores[0], &attempt).await;
        assert_eq!(records.len() as u64, expect);
        assert_eq!(look(&stores[1], &attempt).await.records, expect);
    }
}

/// A worker that writes one log from many places at once, each retrying with the length it is told.
pub(crate) async fn one_log_has_one_order_for_many_writers(place: Place) {
    let store = place.open().await;
    let other = place.open().await;
    submit(&store, 1).await;
    let claim = claim(&store, 1).await;
    let mut running = Vec::new();
    for n in 0..8 {
        let store = if n % 2 == 0 {
            store.clone()
        } else {
            other.clone()
        };
        let lease = claim.lease.clone();
        running.push(tokio::spawn(async move {
            let mut written = Vec::new();
            let mut expect = 1;
            while written.len() < 10 {
                let bodies = vec![note(&n.to_string())];
                match store
                    .append(&lease, expect, bodies, &Change::default(), 2)
                    .await
                {
                    Ok(records) => written.push(records[0].seq),
                    Err(AppendError::Conflict { actual, .. }) => expect = actual,
                    Err(error) => panic!("{error}"),
                }
            }
            (n, written)
        }));
    }
    let mut by_writer = Vec::new();
    for one in running {
        by_writer.push(one.await.unwrap());
    }
    let log = log(&store, &attempt(1)).await;
    assert_eq!(log.len(), 81);
    for (n, written) in by_writer {
        for seq in written {
            assert_eq!(log[seq as usize].body, note(&n.to_string()));
        }
    }
    assert_eq!(
        store.task(&task(1)).await.unwrap().unwrap().attempts[0].records,
        81
    );
}
