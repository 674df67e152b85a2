//! Attempts: what is said to them, and their messages.

use serde_json::{Value, json};

use crate::common::Given;

#[tokio::test]
async fn a_log_is_read_in_pages() {
    let given = Given::new().await;
    let id = given.task("x").await;
    let mut claim = given.claim().await.remove(0);
    for number in 0..5 {
        given.warn(&mut claim, &number.to_string()).await;
    }
    let all = claim.records;
    let path = format!("/attempts/{id}.1/records");
    let mut seen = Vec::new();
    let mut from = 0;
    while from < all {
        let page = given.get(&format!("{path}?from={from}&most=2")).await;
        let page = page.ok(200).json();
        for record in page["records"].as_array().unwrap() {
            seen.push(record["seq"].as_u64().unwrap());
        }
        from = page["next"].as_u64().unwrap();
    }
    assert_eq!(seen, (0..all).collect::<Vec<_>>());
    let end = given.get(&format!("{path}?from={all}")).await.json();
    assert_eq!(end, json!({ "records": [], "next": all }));
    let begin = given
        .get(&format!("/attempts/{}.1/records?most=0", &id[..8]))
        .await;
    assert_eq!(begin.json()["records"].as_array().unwrap().len(), 1);
    for query in ["from=-1", "from=18446744073709551615", "most=x", "x=1"] {
        given.get(&format!("{path}?{query}")).await.problem(422);
    }
    for name in [
        format!("{id}.2"),
        format!("{id}.01"),
        id.clone(),
        "a.b.c".into(),
    ] {
        given
            .get(&format!("/attempts/{name}/records"))
            .await
            .problem(404);
    }
}

#[tokio::test]
async fn messages_reach_the_inbox() {
    let given = Given::new().await;
    let task = given.task("x").await;
    let path = format!("/attempts/{task}.1/messages");
    let say = |text: &str, key: Option<&str>| json!({ "said": { "kind": "text", "text": text, "delivery": "steer" }, "key": key });
    let first = given.call("POST", &path, say("more", Some("k"))).await;
    let number = first.ok(202).json()["number"].as_u64().unwrap();
    let again = given.call("POST", &path, say("more", Some("k"))).await;
    assert_eq!(again.ok(202).json()["number"], number);
    let stop = json!({ "said": { "kind": "stop", "by": "somebody else" } });
    given
        .call_with(&given.write, "POST", &path, stop, &[])
        .await
        .ok(202);
    let messages = given.get(&path).await.ok(200).json();
    let messages = messages.as_array().unwrap();
    assert_eq!(messages.last().unwrap()["number"], number);
    let after = given
        .get(&format!("{path}?after={}", number - 1))
        .await
        .json();
    assert_eq!(after.as_array().unwrap().len(), 1);
    // What waited was stopped at once: nobody has to take that in.
    let stopped = given.get(&format!("/tasks/{task}")).await.ok(200).json();
    assert_eq!(stopped["attempts"][0]["reason"], "stopped by write");
    for body in [
        say(" ", None),
        say("a\0", None),
        say("a", Some("")),
        json!({}),
    ] {
        given.call("POST", &path, body).await.problem(422);
    }
    let missing = "/attempts/aaaaaaaaaaaa.1/messages";
    given
        .call("POST", missing, say("a", None))
        .await
        .problem(404);
    given.get(missing).await.problem(404);
    given.get(&format!("{path}?after=-1")).await.problem(422);
    let none = given.call("POST", &path, Value::Null).await;
    none.problem(415);
}
