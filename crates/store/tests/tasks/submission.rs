//! Tasks, attempts and repositories are made.

use recto_protocol::ports::tasks::StoreError;
use recto_protocol::task::{NewTask, Repository, Said, State, TaskSpec};
use recto_protocol::{AttemptId, TaskId};

use crate::common::{asking, attempt, log, states, task};
use crate::place::Place;

pub(crate) async fn a_task_is_kept_as_it_was_handed_in(place: Place) {
    let store = place.open().await;
    let new = NewTask {
        spec: TaskSpec {
            reference: Some("main".into()),
            model: Some("m".into()),
            checks: vec!["cargo test".into()],
            attempts: 3,
            ..asking("# Do it\nwell").spec
        },
        title: None,
        labels: vec!["b".into(), "a".into(), "b".into()],
        key: None,
    };
    let submitted = store.submit(&task(1), &new, 7).await.unwrap();
    assert_eq!(submitted.task, task(1));
    assert!(!submitted.is_known);
    let ids: Vec<_> = (1..=3).map(|n| AttemptId::of(&task(1), n)).collect();
    assert_eq!(submitted.attempts, ids);

    let found = store.task(&task(1)).await.unwrap().unwrap();
    assert_eq!(found.spec, new.spec);
    assert_eq!(found.title, "Do it");
    assert_eq!(found.labels, ["a", "b"]);
    assert_eq!((found.archived, found.created_at), (false, 7));
    for (attempt, id) in found.attempts.iter().zip(&ids) {
        assert_eq!(&attempt.id, id);
        assert_eq!(attempt.state, State::Queued);
        assert_eq!((attempt.records, attempt.updated_at), (1, 7));
        assert_eq!(
            states(&store, id).await,
            [(State::Queued, String::new())],
            "the first record says so"
        );
        assert_eq!(log(&store, id).await[0].at, 7);
        let inbox = store.inbox(id, 0).await.unwrap();
        let [message] = &inbox[..] else {
            panic!("{inbox:?}")
        };
        assert_eq!((message.number, message.at), (1, 7));
        assert!(matches!(&message.said, Said::Text { text, .. } if text == "# Do it\nwell"));
    }
    assert_eq!(store.task(&task(2)).await.unwrap(), None);
}

pub(crate) async fn the_same_key_gives_the_same_task(place: Place) {
    let store = place.open().await;
    let mut new = asking("one");
    new.key = Some("k".into());
    new.spec.attempts = 2;
    let first = store.submit(&task(1), &new, 1).await.unwrap();
    let again = store.submit(&task(1), &new, 2).await.unwrap();
    let under_another_id = store.submit(&task(2), &new, 3).await.unwrap();
    for known in [again, under_another_id] {
        assert!(known.is_known);
        assert_eq!(known.task, first.task);
        assert_eq!(known.attempts, first.attempts);
    }
    assert_eq!(store.task(&task(2)).await.unwrap(), None);
    // Tasks without a key are never the same.
    store.submit(&task(3), &asking("one"), 4).await.unwrap();
    store.submit(&task(4), &asking("one"), 4).await.unwrap();
}

pub(crate) async fn racing_submissions_of_one_key_make_one_task(place: Place) {
    let stores = [place.open().await, place.open().await];
    let mut running = Vec::new();
    for n in 0..16 {
        let store = stores[n as usize % 2].clone();
        running.push(tokio::spawn(async move {
            let mut new = asking("one");
            new.key = Some("k".into());
            store.submit(&task(n), &new, 1).await.unwrap()
        }));
    }
    let mut made = 0;
    let mut ids = Vec::new();
    for one in running {
        let submitted = one.await.unwrap();
        made += u32::from(!submitted.is_known);
        ids.push(submitted.task);
    }
    assert_eq!(made, 1);
    ids.dedup();
    assert_eq!(ids.len(), 1);
    let (tasks, _) = stores[0].tasks(&Default::default()).await.unwrap();
    assert_eq!(tasks.len(), 1);
}

pub(crate) async fn an_id_is_given_once(place: Place) {
    let store = place.open().await;
    store.submit(&task(1), &asking("one"), 1).await.unwrap();
    let refused = store.submit(&task(1), &asking("two"), 1).await;
    assert!(matches!(refused, Err(StoreError::Taken(id)) if id == task(1).as_str()));
    let mut keyed = asking("three");
    keyed.key = Some("k".into());
    let refused = store.submit(&task(1), &keyed, 1).await;
    assert!(matches!(refused, Err(StoreError::Taken(_))));
    // A refused task leaves nothing, not even its key.
    let made = store.submit(&task(2), &keyed, 1).await.unwrap();
    assert!(!made.is_known);
}

pub(crate) async fn attempts_are_added(place: Place) {
    let store = place.open().await;
    store.submit(&task(1), &asking("one"), 1).await.unwrap();
    let racing = (0..5).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.add_attempt(&task(1), 9).await.unwrap().unwrap() })
    });
    let mut ids = vec![attempt(1)];
    for one in racing.collect::<Vec<_>>() {
        ids.push(one.await.unwrap());
    }
    ids.sort();
    let expected: Vec<_> = (1..=6).map(|n| AttemptId::of(&task(1), n)).collect();
    assert_eq!(ids, expected);
    let found = store.task(&task(1)).await.unwrap().unwrap();
    let found: Vec<_> = found.attempts.into_iter().map(|a| a.id).collect();
    assert_eq!(found, expected);
    assert_eq!(store.inbox(&expected[5], 0).await.unwrap().len(), 1);
    assert_eq!(store.add_attempt(&task(2), 9).await.unwrap(), None);
}

pub(crate) async fn repositories_are_kept_by_name(place: Place) {
    let store = place.open().await;
    let repository = |name: &str, url: &str| Repository {
        name: name.into(),
        url: url.into(),
        default_reference: None,
        created_at: 1,
    };
    for name in ["b", "a", "B"] {
        store
            .put_repository(&repository(name, "file:///x"))
            .await
            .unwrap();
    }
    let moved = Repository {
        default_reference: Some("main".into()),
        ..repository("b", "file:///y")
    };
    store.put_repository(&moved).await.unwrap();
    assert_eq!(
        store.repositories().await.unwrap(),
        [
            repository("B", "file:///x"),
            repository("a", "file:///x"),
            moved
        ]
    );
    assert!(store.remove_repository("b").await.unwrap());
    assert!(!store.remove_repository("b").await.unwrap());
    assert_eq!(store.repositories().await.unwrap().len(), 2);
    assert_eq!(store.find("").await.unwrap(), [] as [TaskId; 0]);
}
