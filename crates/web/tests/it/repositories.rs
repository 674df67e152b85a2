//! Repositories: made known, listed, forgotten.

use serde_json::{Value, json};

use crate::common::Given;

#[tokio::test]
async fn a_repository_is_added_listed_and_forgotten() {
    let given = Given::new().await;
    let new = json!({ "url": "https://example.com/team/tool.git" });
    let added = given.call("POST", "/repositories", new).await.ok(201);
    assert_eq!(added.json()["name"], "tool");
    let listed = given.get("/repositories").await.ok(200).json();
    let names: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["r", "tool"]);
    given
        .call("DELETE", "/repositories/tool", Value::Null)
        .await
        .ok(204);
    let again = given
        .call("DELETE", "/repositories/tool", Value::Null)
        .await;
    assert_eq!(again.problem(404), "there is no repository tool");
}

#[tokio::test]
async fn a_name_may_hold_a_slash() {
    let given = Given::new().await;
    let new = json!({ "name": "team/tool", "url": "/tool" });
    given.call("POST", "/repositories", new).await.ok(201);
    given
        .call("DELETE", "/repositories/team%2Ftool", Value::Null)
        .await
        .ok(204);
}

#[tokio::test]
async fn what_is_no_repository_is_refused() {
    let given = Given::new().await;
    for (new, status) in [
        (json!({ "url": "ftp://x" }), 422),
        (json!({ "url": "ext::sh -c id" }), 422),
        (json!({ "url": "/x", "name": "../x" }), 422),
        (
            json!({ "url": "/x", "default_reference": "--upload-pack=id" }),
            422,
        ),
        (json!({ "url": "/x", "other": 1 }), 422),
        (json!({}), 422),
        (json!({ "url": "/gone" }), 422),
        (json!({ "url": "/busy" }), 503),
        (json!({ "url": "/other", "name": "r" }), 409),
    ] {
        let answer = given.call("POST", "/repositories", new.clone()).await;
        let detail = answer.problem(status);
        assert!(!detail.contains("secret"), "{new} {detail}");
        if status == 503 {
            assert_eq!(answer.header("retry-after"), "1");
        }
    }
    let gone = given
        .call("POST", "/repositories", json!({ "url": "/gone" }))
        .await;
    assert_eq!(gone.problem(422), "there is nothing at /gone");
}

#[tokio::test]
async fn a_handler_that_panics_is_a_problem() {
    let given = Given::new().await;
    let answer = given
        .call("POST", "/repositories", json!({ "url": "/panic" }))
        .await;
    assert_eq!(answer.problem(500), "something went wrong in the server");
    given.get("/repositories").await.ok(200);
}
