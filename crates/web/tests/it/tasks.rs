//! Tasks: handed in, listed, changed, removed.

use serde_json::{Value, json};

use crate::common::Given;

fn new(prompt: &str) -> Value {
    json!({ "spec": { "repository": "r", "prompt": prompt } })
}

#[tokio::test]
async fn a_task_is_handed_in_once_per_key() {
    let given = Given::new().await;
    let first = given.call("POST", "/tasks", new("Fix it")).await.ok(201);
    let task = first.json();
    let id = task["id"].as_str().unwrap();
    assert_eq!(first.header("location"), format!("/api/v1/tasks/{id}"));
    assert_eq!(task["title"], "Fix it");
    assert_eq!(task["attempts"][0]["state"], "queued");

    let with_key = |prompt| {
        let body = new(prompt);
        let key = [("Idempotency-Key", "k")];
        let given = &given;
        async move {
            given
                .call_with(&given.write, "POST", "/tasks", body, &key)
                .await
        }
    };
    let made = with_key("a").await.ok(201).json();
    assert_eq!(with_key("b").await.ok(200).json(), made);
    let mut other = new("c");
    other["key"] = "other".into();
    let key = [("Idempotency-Key", "k")];
    let differs = given.call_with(&given.write, "POST", "/tasks", other, &key);
    assert_eq!(
        differs.await.problem(422),
        "key differs from Idempotency-Key"
    );
}

#[tokio::test]
async fn what_is_no_task_is_refused() {
    let given = Given::new().await;
    let with = |field: &str, value: Value| {
        let mut body = new("x");
        body["spec"][field] = value;
        body
    };
    for (body, status) in [
        (with("prompt", json!("  ")), 422),
        (with("prompt", json!("a\0b")), 422),
        (with("attempts", json!(5)), 422),
        (with("attempts", json!(-1)), 422),
        (with("unknown", json!(1)), 422),
        (with("repository", json!("nowhere")), 404),
        (json!([]), 422),
        (
            json!({ "spec": { "repository": "r", "prompt": "x" }, "key": "\0" }),
            422,
        ),
        (
            json!({ "spec": { "repository": "r", "prompt": "x" }, "title": "a\nb" }),
            422,
        ),
        (
            json!({ "spec": { "repository": "r", "prompt": "x" }, "labels": [""] }),
            422,
        ),
    ] {
        let answer = given.call("POST", "/tasks", body.clone()).await;
        assert!(!answer.problem(status).is_empty(), "{body}");
    }
    let field = given
        .call("POST", "/tasks", with("prompt", json!("")))
        .await;
    assert_eq!(field.json()["field"], "prompt");
    assert_eq!(given.get("/tasks").await.json()["tasks"], json!([]));
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let given = Given::new().await;
    for number in 0..3 {
        given.task(&format!("task number {number}")).await;
    }
    let page = given.get("/tasks?limit=2").await.ok(200).json();
    assert_eq!(page["tasks"].as_array().unwrap().len(), 2);
    let cursor = page["next"].as_str().unwrap();
    let rest = given.get(&format!("/tasks?limit=2&cursor={cursor}")).await;
    let rest = rest.ok(200).json();
    assert_eq!(rest["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(rest["next"], Value::Null);
    let found = given.get("/tasks?search=NUMBER+1&state=queued").await;
    assert_eq!(found.json()["tasks"].as_array().unwrap().len(), 1);
    for query in [
        "state=happy",
        "limit=x",
        "unknown=1",
        "search=%00",
        "archived=maybe",
    ] {
        given.get(&format!("/tasks?{query}")).await.problem(422);
    }
}

#[tokio::test]
async fn a_task_is_named_by_the_beginning_of_its_id() {
    let given = Given::new().await;
    let id = given.task("x").await;
    let shown = given.get(&format!("/tasks/{}", &id[..6])).await.ok(200);
    assert_eq!(shown.json()["id"], id);
    for name in ["zzzzzz", "..", "%00", "A", "a%2Fb"] {
        given.get(&format!("/tasks/{name}")).await.problem(404);
    }
    given.get("/tasks/%ff").await.problem(400);
    // 33 ids of 32 possible first letters.
    for number in 0..32 {
        given.task(&format!("{number}")).await;
    }
    let mut letters: Vec<char> = Vec::new();
    let page = given.get("/tasks?limit=200").await.json();
    let mut twice = None;
    for task in page["tasks"].as_array().unwrap() {
        let letter = task["id"].as_str().unwrap().chars().next().unwrap();
        if letters.contains(&letter) {
            twice = Some(letter);
        }
        letters.push(letter);
    }
    let path = format!("/tasks/{}", twice.unwrap());
    let detail = given.get(&path).await.problem(409);
    assert!(detail.contains("several tasks"), "{detail}");
}

#[tokio::test]
async fn unchanged_tasks_are_not_sent_again() {
    let given = Given::new().await;
    let id = given.task("x").await;
    for path in ["/tasks".to_owned(), format!("/tasks/{id}")] {
        let first = given.get(&path).await.ok(200);
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with("W/\""), "{tag}");
        for given_tags in [tag.clone(), format!("\"a\", {tag}"), "*".to_owned()] {
            let headers = [("if-none-match", given_tags.as_str())];
            let again = given.call_with(&given.read, "GET", &path, Value::Null, &headers);
            let again = again.await.ok(304);
            assert!(again.bytes.is_empty());
            assert_eq!(again.header("etag"), tag);
        }
        let body = json!({ "labels": [path] });
        given
            .call("PATCH", &format!("/tasks/{id}"), body)
            .await
            .ok(200);
        let headers = [("if-none-match", tag.as_str())];
        let changed = given.call_with(&given.read, "GET", &path, Value::Null, &headers);
        changed.await.ok(200);
    }
}

#[tokio::test]
async fn a_task_is_amended() {
    let given = Given::new().await;
    let path = format!("/tasks/{}", given.task("x").await);
    let body = json!({ "title": "New", "labels": ["b", "a"], "archived": true });
    let task = given.call("PATCH", &path, body).await.ok(200).json();
    assert_eq!(task["title"], "New");
    assert_eq!(task["archived"], true);
    assert_eq!(given.get("/tasks").await.json()["tasks"], json!([]));
    for body in [json!({ "title": "" }), json!({ "prompt": "x" })] {
        given.call("PATCH", &path, body).await.problem(422);
    }
    let missing = given.call("PATCH", "/tasks/aaaaaaaaaaaa", json!({}));
    missing.await.problem(404);
}

#[tokio::test]
async fn a_task_is_stopped_tried_again_and_removed() {
    let given = Given::new().await;
    let id = given.task("x").await;
    let path = format!("/tasks/{id}");
    let stop = format!("{path}/stop");
    let stopped = given.call("POST", &stop, Value::Null).await.ok(200);
    assert_eq!(stopped.json()["stopped"], json!([format!("{id}.1")]));
    let task = given.get(&path).await.json();
    assert_eq!(task["attempts"][0]["state"], "cancelled");
    let again = given.call("POST", &stop, Value::Null).await.ok(200);
    assert_eq!(again.json()["stopped"], json!([]));

    let retry = format!("{path}/attempts");
    let made = given.call("POST", &retry, Value::Null).await.ok(201);
    assert_eq!(made.json()["attempt"], format!("{id}.2"));
    let claims = given.claim().await;
    assert_eq!(claims.len(), 1);
    let busy = given.call("DELETE", &path, Value::Null).await;
    assert!(busy.problem(409).contains("stop it first"));

    let other = given.task("y").await;
    let path = format!("/tasks/{other}");
    given.call("DELETE", &path, Value::Null).await.ok(204);
    assert_eq!(
        given.places.removed.lock().unwrap().as_slice(),
        [format!("{other}.1").into()]
    );
    given.get(&path).await.problem(404);
    for (method, path) in [
        ("DELETE", path.clone()),
        ("POST", format!("{path}/stop")),
        ("POST", format!("{path}/attempts")),
    ] {
        given.call(method, &path, Value::Null).await.problem(404);
    }
}
