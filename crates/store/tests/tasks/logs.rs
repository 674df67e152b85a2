//! Logs are read.

use recto_protocol::AttemptId;
use recto_protocol::ports::tasks::Change;

use crate::common::{attempt, claim, log, note, submit};
use crate::place::Place;

pub(crate) async fn records_come_back_in_pages(place: Place) {
    let store = place.open().await;
    submit(&store, 1).await;
    let claim = claim(&store, 1).await;
    let bodies: Vec<_> = (0..150).map(|n| note(&n.to_string())).collect();
    let written = store
        .append(&claim.lease, 1, bodies, &Change::default(), 2)
        .await
        .unwrap();
    let id = attempt(1);
    assert_eq!(store.records(&id, 1, 1000).await.unwrap(), written);
    assert_eq!(store.records(&id, 11, 5).await.unwrap(), written[10..15]);
    assert_eq!(store.records(&id, 150, 5).await.unwrap(), written[149..]);
    for past in [151, 200, u64::MAX] {
        assert_eq!(store.records(&id, past, 5).await.unwrap(), []);
    }
    let none = AttemptId::from("x.1");
    assert_eq!(store.records(&none, 0, 5).await.unwrap(), []);
}

pub(crate) async fn a_page_of_large_records_is_bounded(place: Place) {
    let store = place.open().await;
    submit(&store, 1).await;
    let claim = claim(&store, 1).await;
    let large = "x".repeat(3 << 20);
    let huge = "y".repeat(9 << 20);
    for (n, text) in [&large, &large, &large, &huge, &large].iter().enumerate() {
        let bodies = vec![note(text)];
        store
            .append(&claim.lease, n as u64 + 1, bodies, &Change::default(), 2)
            .await
            .unwrap();
    }
    let id = attempt(1);
    let count = async |from| store.records(&id, from, 1000).await.unwrap().len();
    assert_eq!(count(0).await, 3);
    assert_eq!(
        count(3).await,
        2,
        "one that is larger than a page still comes"
    );
    assert_eq!(count(4).await, 1);
    assert_eq!(count(5).await, 1);
    assert_eq!(log(&store, &id).await.len(), 6);
}
