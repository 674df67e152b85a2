//! What stands before every handler: hosts, origins, sizes, rates.

use std::num::NonZeroU32;

use axum::body::Body;
use recto_protocol::token::Scope;
use recto_web::{Options, operations};
use serde_json::{Value, json};

use crate::common::{Given, bearer, request};

#[tokio::test]
async fn every_route_but_health_refuses_without_a_good_token() {
    let mut open = Vec::new();
    for operation in operations() {
        let path = operation.path.replace("{id}", "a").replace("{name}", "a");
        let path = path.replace("{chunk}", "a");
        let method = operation.method.name();
        if operation.needs.is_none() {
            open.push(operation.path);
            continue;
        }
        // A server for each, as wrong tokens are limited.
        let given = Given::new().await;
        let wrong = format!("{}x", given.admin);
        for value in [
            String::new(),
            "Bearer".into(),
            "Bearer ".into(),
            bearer("recto_"),
            bearer(&wrong),
            bearer(&given.admin[1..]),
            format!("Basic {}", given.admin),
            given.admin.clone(),
        ] {
            let mut request = request(method, &path);
            if !value.is_empty() {
                request = request.header("authorization", &value);
            }
            let answer = given.send(request.body(Body::empty()).unwrap()).await;
            answer.problem(401);
            assert_eq!(answer.header("www-authenticate"), "Bearer", "{path}");
        }
        // In the URL it would get into logs.
        let request = request(method, &format!("{path}?token={}", given.admin));
        let answer = given.send(request.body(Body::empty()).unwrap()).await;
        answer.problem(401);
    }
    assert_eq!(open, ["/health"]);
}

#[tokio::test]
async fn every_route_needs_its_scope() {
    let given = Given::new().await;
    for operation in operations() {
        let path = operation.path.replace("{id}", "a").replace("{name}", "a");
        let path = path.replace("{chunk}", "a");
        for (token, scope) in [(&given.read, Scope::Read), (&given.write, Scope::Write)] {
            let Some(needed) = operation.needs else {
                continue;
            };
            if scope >= needed {
                continue;
            }
            let method = operation.method.name();
            let answer = given
                .call_with(token, method, &path, Value::Null, &[])
                .await;
            assert!(answer.problem(403).contains(needed.word()));
        }
        // Whatever changes something needs more than looking.
        let looks = operation.method.name() == "GET";
        assert!(looks || operation.needs > Some(Scope::Read), "{path}");
    }
}

#[tokio::test]
async fn foreign_names_and_pages_are_refused() {
    let given = Given::with(Options {
        hosts: vec!["recto.example".into()],
        ..Options::default()
    })
    .await;
    let send = |host: &'static str, headers: Vec<(&'static str, &'static str)>| {
        let mut request = hyper::Request::builder()
            .method("POST")
            .uri("/api/v1/tasks/aaaaaaaaaaaa/stop")
            .header("authorization", bearer(&given.write));
        if !host.is_empty() {
            request = request.header("host", host);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        given.send(request.body(Body::empty()).unwrap())
    };
    for host in [
        "evil.example",
        "",
        "localhost.evil.example",
        "127.0.0.1@evil.example",
    ] {
        let detail = send(host, vec![]).await.problem(403);
        assert!(detail.contains("host name"), "{host} {detail}");
    }
    for headers in [
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://recto.example"),
        ],
    ] {
        let detail = send("recto.example", headers.clone()).await.problem(403);
        assert!(detail.contains("other sites"), "{headers:?} {detail}");
    }
    for (host, headers) in [
        ("localhost:1234", vec![]),
        ("[::1]:80", vec![]),
        ("RECTO.example", vec![("sec-fetch-site", "same-origin")]),
        ("recto.example", vec![("origin", "https://recto.example")]),
    ] {
        send(host, headers).await.problem(404);
    }
    // No page of another site may read an answer, either.
    let answer = send("localhost", vec![]).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn bodies_are_checked_before_they_are_read() {
    let given = Given::new().await;
    let send = |kind: Option<&'static str>, body: Body| {
        let mut request = request("POST", "/tasks").header("authorization", bearer(&given.write));
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        given.send(request.body(body).unwrap())
    };
    let json = Some("application/json; charset=utf-8");
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        send(kind, "{}".into()).await.problem(415);
    }
    for body in ["", "{", "{\"a\":", "\u{feff}{}"] {
        send(json, body.into()).await.problem(400);
    }
    send(json, "[".repeat(100_000).into()).await.problem(422);
    send(json, vec![b' '; (8 << 20) + 1].into())
        .await
        .problem(413);
    send(json, b"\"\xff\"".to_vec().into()).await.problem(400);
}

#[tokio::test]
async fn who_asks_too_often_waits() {
    let given = Given::with(Options {
        requests_per_second: NonZeroU32::MIN,
        ..Options::default()
    })
    .await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(given.get("/tasks").await.status);
    }
    assert!(statuses.starts_with(&[200; 4]), "{statuses:?}");
    let answer = given.get("/tasks").await;
    answer.problem(429);
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    // Another one does not.
    given.call("GET", "/tasks", Value::Null).await.ok(200);
    let mut wrong = Vec::new();
    for _ in 0..30 {
        let answer = given.call_with("recto_wrong", "GET", "/tasks", Value::Null, &[]);
        wrong.push(answer.await.status);
    }
    assert_eq!(wrong[0], 401);
    assert!(wrong.contains(&429), "{wrong:?}");
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() {
    let given = Given::new().await;
    given.get("/nothing").await.problem(404);
    let answer = given.call("PUT", "/tasks", json!({})).await;
    answer.problem(405);
    assert_eq!(answer.header("allow"), "POST,GET,HEAD");
    let health = request("GET", "/health").body(Body::empty()).unwrap();
    let health = given.send(health).await.ok(200);
    assert_eq!(health.json(), json!({ "status": "ok" }));
    assert_eq!(health.header("cache-control"), "private, no-cache");
    given.store.close().await;
    let health = request("GET", "/health").body(Body::empty()).unwrap();
    let detail = given.send(health).await.problem(503);
    assert_eq!(detail, "the task store can't be used now; try again later");
}
