//! Tasks are found.

use recto_protocol::ports::tasks::Change;
use recto_protocol::task::{Amendment, Filter, NewMessage, Repository, Said, State};
use recto_protocol::{AttemptId, TaskId};

use crate::common::{Store, asking, claim, finish, log, note, submit, task, text};
use crate::place::Place;

async fn ids(store: &Store, filter: &Filter) -> Vec<TaskId> {
    let (tasks, _) = store.tasks(filter).await.unwrap();
    tasks.into_iter().map(|task| task.id).collect()
}

pub(crate) async fn pages_join_without_gap_or_repetition(place: Place) {
    let store = place.open().await;
    // Many in the same millisecond.
    for n in 0..23 {
        let mut new = asking("x");
        new.spec.attempts = 1 + n % 3;
        let at = i64::from(n / 5);
        store.submit(&task(n), &new, at).await.unwrap();
    }
    let mut filter = Filter {
        limit: Some(4),
        ..Filter::default()
    };
    let mut found = Vec::new();
    let mut pages = 0;
    loop {
        let (tasks, next) = store.tasks(&filter).await.unwrap();
        assert!(tasks.len() <= 4);
        found.extend(tasks);
        pages += 1;
        // What is handed in meanwhile does not shift the pages.
        let new = asking("later");
        store.submit(&task(100 + pages), &new, 100).await.unwrap();
        match next {
            Some(next) => filter.cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(pages, 6);
    assert!(
        found
            .windows(2)
            .all(|two| two[0].created_at >= two[1].created_at)
    );
    let mut ids: Vec<_> = found.iter().map(|found| found.id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 23);
    assert!(
        found
            .iter()
            .all(|task| task.attempts.len() == task.spec.attempts as usize)
    );

    let (all, next) = store.tasks(&Filter::default()).await.unwrap();
    assert_eq!((all.len(), next), (29, None));
    for nonsense in ["", "x", "1.2.3", "x.y", "."] {
        let filter = Filter {
            cursor: Some(nonsense.into()),
            limit: Some(0),
            ..Filter::default()
        };
        let (tasks, _) = store.tasks(&filter).await.unwrap();
        assert!(tasks.len() <= 1, "{nonsense}");
    }
}

pub(crate) async fn filters_restrict(place: Place) {
    let store = place.open().await;
    let mut one = asking("one");
    one.spec.attempts = 2;
    one.labels = vec!["x".into(), "y".into()];
    store.submit(&task(1), &one, 1).await.unwrap();
    let claim = claim_first(&store).await;
    finish(&store, &claim, State::Done, 1).await;
    let mut two = asking("two");
    two.spec.repository = "other".into();
    two.labels = vec!["xy".into()];
    store.submit(&task(2), &two, 2).await.unwrap();
    store.submit(&task(3), &asking("three"), 3).await.unwrap();
    let archive = Amendment {
        archived: Some(true),
        ..Amendment::default()
    };
    assert!(store.amend(&task(3), &archive).await.unwrap());

    let check = async |filter: Filter, expected: &[u32]| {
        let expected: Vec<_> = expected.iter().map(|n| task(*n)).collect();
        assert_eq!(ids(&store, &filter).await, expected, "{filter:?}");
    };
    let none = Filter::default;
    check(none(), &[2, 1]).await;
    check(
        Filter {
            archived: true,
            ..none()
        },
        &[3],
    )
    .await;
    for (state, expected) in [
        (State::Queued, &[2, 1][..]),
        (State::Done, &[1]),
        (State::Failed, &[]),
    ] {
        let state = Some(state);
        check(Filter { state, ..none() }, expected).await;
    }
    for (name, expected) in [("demo", &[1][..]), ("other", &[2]), ("", &[2, 1])] {
        let repository = Some(name.into());
        check(
            Filter {
                repository,
                ..none()
            },
            expected,
        )
        .await;
    }
    for (label, expected) in [
        ("x", &[1][..]),
        ("y", &[1]),
        ("xy", &[2]),
        ("X", &[]),
        ("%", &[]),
    ] {
        let label = Some(label.into());
        check(Filter { label, ..none() }, expected).await;
    }
    let both = Filter {
        label: Some("x".into()),
        repository: Some("other".into()),
        ..none()
    };
    check(both, &[]).await;
}

async fn claim_first(store: &Store) -> recto_protocol::ports::tasks::Claim {
    let worker = crate::common::worker(1);
    store.join(&worker, 0).await.unwrap();
    store.claim(&worker, 1).await.unwrap().pop().unwrap()
}

pub(crate) async fn a_search_finds_all_words_in_any_case(place: Place) {
    let store = place.open().await;
    let mut one = asking("Fix the PARSER in Ärger.rs\nand 100% of a_b");
    one.title = Some("Große Sache".into());
    store.submit(&task(1), &one, 1).await.unwrap();
    let claim = claim_first(&store).await;
    let change = Change {
        answer: Some("I renamed ΟΔΟΣ to street.".into()),
        ..Change::default()
    };
    let bodies = vec![note("done")];
    store
        .append(&claim.lease, 1, bodies, &change, 5)
        .await
        .unwrap();
    store.submit(&task(2), &asking("nothing"), 2).await.unwrap();
    for (search, is_found) in [
        ("parser", true),
        ("PARSER FIX", true),
        ("  pars\t", true),
        ("ärger", true),
        ("GROSSE", true),
        ("parser οδοσ große", true),
        ("street. fix", true),
        ("100%", true),
        ("a_b", true),
        ("100%2", false),
        ("a_bc", false),
        ("axb", false),
        ("f%x", false),
        ("parser nothing", false),
        ("\\", false),
        ("'; drop table task; --", false),
    ] {
        let filter = Filter {
            search: Some(search.into()),
            ..Filter::default()
        };
        let expected = if is_found { vec![task(1)] } else { vec![] };
        assert_eq!(ids(&store, &filter).await, expected, "{search:?}");
    }
    let long = Filter {
        search: Some("x".repeat(1 << 20)),
        ..Filter::default()
    };
    assert_eq!(ids(&store, &long).await, []);
    let change = Change {
        answer: Some("Another one.".into()),
        ..Change::default()
    };
    store
        .append(&claim.lease, 2, vec![], &change, 6)
        .await
        .unwrap();
    let old = Filter {
        search: Some("street".into()),
        ..Filter::default()
    };
    assert_eq!(ids(&store, &old).await, [], "the last answer counts");
}

pub(crate) async fn an_amended_task_is_found_by_its_new_words(place: Place) {
    let store = place.open().await;
    submit(&store, 1).await;
    let amendment = Amendment {
        title: Some("Zebra".into()),
        labels: Some(vec!["n".into(), "m".into(), "n".into()]),
        archived: None,
    };
    assert!(store.amend(&task(1), &amendment).await.unwrap());
    assert!(!store.amend(&task(2), &amendment).await.unwrap());
    let found = store.task(&task(1)).await.unwrap().unwrap();
    assert_eq!(found.title, "Zebra");
    assert_eq!(found.labels, ["m", "n"]);
    assert!(!found.archived);
    let search = |search: &str| Filter {
        search: Some(search.into()),
        ..Filter::default()
    };
    assert_eq!(ids(&store, &search("zebra do")).await, [task(1)]);
    let none = Amendment {
        labels: Some(vec![]),
        ..Amendment::default()
    };
    assert!(store.amend(&task(1), &none).await.unwrap());
    let labelled = Filter {
        label: Some("m".into()),
        ..Filter::default()
    };
    assert_eq!(ids(&store, &labelled).await, []);
    assert_eq!(ids(&store, &search("zebra")).await, [task(1)]);
}

pub(crate) async fn ids_are_found_by_their_beginning(place: Place) {
    let store = place.open().await;
    for n in 0..12 {
        submit(&store, n).await;
    }
    let first = task(3);
    assert_eq!(store.find(first.as_str()).await.unwrap(), vec![first]);
    assert_eq!(store.find("").await.unwrap().len(), 10);
    assert_eq!(store.find("aaaaaaaa").await.unwrap().len(), 10);
    for none in ["b", "_", "%", "AAAA", "aaaaaaaaaaaaa", "\\"] {
        assert_eq!(store.find(none).await.unwrap(), [], "{none}");
    }
}

pub(crate) async fn texts_that_a_database_could_stumble_over_are_kept(place: Place) {
    let store = place.open().await;
    let odd = "a'b\"c\\d $1 ?1 :x -- \u{1f600} \u{feff} \r\n\t \u{7f} {} [] %_";
    let mut new = asking(odd);
    new.title = Some(odd.into());
    new.labels = vec![odd.into()];
    new.key = Some(odd.into());
    store.submit(&task(1), &new, i64::MIN).await.unwrap();
    assert!(store.submit(&task(2), &new, 1).await.unwrap().is_known);
    let found = store.task(&task(1)).await.unwrap().unwrap();
    assert_eq!(
        (&found.title, &found.spec.prompt),
        (&odd.into(), &odd.into())
    );
    assert_eq!(found.labels, [odd]);
    let claim = claim(&store, 1).await;
    // A NUL is kept in what is said and in records, and becomes another character in names.
    let with_nul = "x\0y";
    let records = store
        .append(
            &claim.lease,
            1,
            vec![note(with_nul), note(odd)],
            &Change::default(),
            2,
        )
        .await
        .unwrap();
    assert_eq!(log(&store, &claim.lease.attempt).await[1..], records);
    let id = AttemptId::of(&task(1), 1);
    store.send(&id, &text(with_nul), 3).await.unwrap().unwrap();
    let said = store.inbox(&id, 1).await.unwrap().pop().unwrap().said;
    assert!(matches!(said, Said::Text { text, .. } if text == with_nul));
    let keyed = NewMessage {
        key: Some(with_nul.into()),
        ..text("x")
    };
    let number = store.send(&id, &keyed, 3).await.unwrap();
    assert_eq!(store.send(&id, &keyed, 3).await.unwrap(), number);
    let repository = Repository {
        name: with_nul.into(),
        url: odd.into(),
        default_reference: None,
        created_at: 0,
    };
    store.put_repository(&repository).await.unwrap();
    let kept = store.repositories().await.unwrap().pop().unwrap();
    assert_eq!((kept.name.as_str(), kept.url.as_str()), ("x\u{fffd}y", odd));
    assert!(store.remove_repository(with_nul).await.unwrap());
}
