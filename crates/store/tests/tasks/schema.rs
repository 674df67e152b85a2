//! Stores are opened: new ones, known ones, and those of other versions.

use recto_store::OpenError;

use crate::common::{submit, task};
use crate::place::Place;

pub(crate) async fn a_store_is_opened_again_and_by_many_at_once(place: Place) {
    let place = std::sync::Arc::new(place);
    let opening = (0..6).map(|_| {
        let place = place.clone();
        tokio::spawn(async move { place.tasks().await.unwrap() })
    });
    let mut stores = Vec::new();
    for one in opening.collect::<Vec<_>>() {
        stores.push(one.await.unwrap());
    }
    let first = std::sync::Arc::new(stores.pop().unwrap());
    submit(&(first.clone() as crate::common::Store), 1).await;
    first.close().await;
    let again = place.open().await;
    assert!(again.task(&task(1)).await.unwrap().is_some());
    let closed = recto_protocol::ports::tasks::TaskStore::remove(&*first, &task(1)).await;
    assert!(closed.is_err());
}

pub(crate) async fn a_newer_schema_is_refused(place: Place) {
    drop(place.tasks().await.unwrap());
    let later = "insert into recto_schema (step, name, sha256) \
        select max(step) + 1, 'later', 'x' from recto_schema";
    place.execute(later).await;
    for _ in 0..2 {
        let refused = place.tasks().await.map(drop).unwrap_err();
        let OpenError::Newer { found, known, .. } = &refused else {
            panic!("{refused:?}");
        };
        assert_eq!(*found, known + 1);
        assert!(refused.to_string().contains("newer version"), "{refused}");
    }
    // Nothing was undone or done.
    place
        .execute("delete from recto_schema where name = 'later'")
        .await;
    place.tasks().await.unwrap();
}

pub(crate) async fn a_schema_of_an_unreleased_build_is_refused(place: Place) {
    drop(place.tasks().await.unwrap());
    place.execute("update recto_schema set sha256 = 'x'").await;
    let refused = place.tasks().await.map(drop).unwrap_err();
    assert!(
        matches!(refused, OpenError::Unreleased { step: 1, .. }),
        "{refused:?}"
    );
}
