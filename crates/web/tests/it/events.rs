//! Live events: what a stream tells, and where it goes on.

use serde_json::json;

use crate::common::Given;

#[tokio::test]
async fn a_watcher_sees_every_record_once_and_in_order() {
    let given = Given::new().await;
    let path = format!("/attempts/{}.1/events", given.task("x").await);
    let mut claim = given.claim().await.remove(0);
    let mut stream = given.stream(&path, None).await;
    // What was there before, and what comes while it watches.
    for seq in 0..claim.records {
        let event = stream.next().await.unwrap();
        assert_eq!((event.name.as_str(), event.id), ("record", seq.to_string()));
    }
    for _ in 0..5 {
        given.warn(&mut claim, "line\r\nbreak \u{2028}").await;
        let event = stream.next().await.unwrap();
        assert_eq!(event.id, (claim.records - 1).to_string());
        assert_eq!(event.data["body"]["message"], "line\r\nbreak \u{2028}");
    }
}

#[tokio::test]
async fn a_watcher_goes_on_where_it_was() {
    let given = Given::new().await;
    let path = format!("/attempts/{}.1/events", given.task("x").await);
    let mut claim = given.claim().await.remove(0);
    for number in 0..3000 {
        given.warn(&mut claim, &number.to_string()).await;
    }
    let mut seen = 0;
    // Each stream is dropped in the middle; a slow one has lost what was kept for it by then.
    while seen < claim.records {
        let mut stream = given.stream(&path, seen.checked_sub(1)).await;
        for _ in 0..700 {
            if seen == claim.records {
                break;
            }
            let event = stream.next().await.unwrap();
            assert_eq!(event.id, seen.to_string());
            seen += 1;
        }
    }
    let mut from = given.stream(&format!("{path}?from=2999"), None).await;
    assert_eq!(from.next().await.unwrap().id, "2999");
    // What the client saw last goes before.
    let mut both = given.stream(&format!("{path}?from=0"), Some(2000)).await;
    assert_eq!(both.next().await.unwrap().id, "2001");
}

#[tokio::test]
async fn a_watcher_that_does_not_read_misses_nothing() {
    let given = Given::new().await;
    let path = format!("/attempts/{}.1/events", given.task("x").await);
    let mut claim = given.claim().await.remove(0);
    let mut stream = given.stream(&path, None).await;
    stream.next().await.unwrap();
    for number in 0..3000 {
        given.warn(&mut claim, &number.to_string()).await;
    }
    for seq in 1..claim.records {
        assert_eq!(stream.next().await.unwrap().id, seq.to_string());
    }
}

#[tokio::test]
async fn bad_beginnings_and_missing_attempts_are_refused() {
    let given = Given::new().await;
    let path = format!("/attempts/{}.1/events", given.task("x").await);
    for query in ["from=x", "from=-1", "from=18446744073709551615", "to=1"] {
        given.get(&format!("{path}?{query}")).await.problem(422);
    }
    for last in ["x", "-1", "9999999999999999999999"] {
        let headers = [("last-event-id", last)];
        let answer = given.call_with(&given.read, "GET", &path, json!(null), &headers);
        answer.await.problem(422);
    }
    given
        .get("/attempts/aaaaaaaaaaaa.1/events")
        .await
        .problem(404);
}

#[tokio::test]
async fn changes_of_all_tasks_are_told() {
    let given = Given::new().await;
    let mut stream = given.stream("/events", None).await;
    let id = given.task("x").await;
    let event = stream.next().await.unwrap();
    assert_eq!(event.name, "changed");
    assert_eq!(
        event.data,
        json!({ "task": id, "attempt": format!("{id}.1") })
    );
    let body = json!({ "archived": true });
    given
        .call("PATCH", &format!("/tasks/{id}"), body)
        .await
        .ok(200);
    assert_eq!(stream.next().await.unwrap().data["task"], id);
    // More than are kept for it.
    for _ in 0..5000 {
        given.hints.tell(&"aaaaaaaaaaaa.1".into());
    }
    assert_eq!(stream.next().await.unwrap().name, "missed");
}

#[tokio::test]
async fn streams_end_with_the_server() {
    let given = Given::new().await;
    let path = format!("/attempts/{}.1/events", given.task("x").await);
    let mut attempt = given.stream(&path, None).await;
    let mut all = given.stream("/events", None).await;
    attempt.next().await.unwrap();
    let metrics = given.get("/metrics").await.ok(200);
    let text = String::from_utf8(metrics.bytes.to_vec()).unwrap();
    assert!(text.contains("recto_watchers 2"), "{text}");
    given.shutdown.cancel();
    while attempt.next().await.is_some() {}
    assert_eq!(all.next().await, None);
    drop((attempt, all));
    let metrics = given.get("/metrics").await.ok(200);
    let text = String::from_utf8(metrics.bytes.to_vec()).unwrap();
    assert!(text.contains("recto_watchers 0"), "{text}");
}
