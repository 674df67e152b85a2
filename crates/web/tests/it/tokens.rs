//! Tokens: made, listed, revoked, and what each may do.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::common::{Given, NOW};

#[tokio::test]
async fn a_token_lets_in_until_it_is_revoked() {
    let given = Given::new().await;
    let new = json!({ "name": "ci", "scopes": ["write", "read", "write"] });
    let made = given.call("POST", "/tokens", new).await.ok(201).json();
    let secret = made["secret"].as_str().unwrap();
    assert!(
        secret.starts_with("recto_") && secret.len() == 49,
        "{secret}"
    );
    assert_eq!(made["token"]["scopes"], json!(["read", "write"]));
    let get = || given.call_with(secret, "GET", "/tasks", Value::Null, &[]);
    get().await.ok(200);
    let listed = given.call("GET", "/tokens", Value::Null).await.ok(200);
    assert!(!String::from_utf8_lossy(&listed.bytes).contains(&secret[6..]));
    let path = format!("/tokens/{}", made["token"]["id"].as_str().unwrap());
    given.call("DELETE", &path, Value::Null).await.ok(204);
    get().await.problem(401);
    given.call("DELETE", &path, Value::Null).await.ok(204);
    let missing = given.call("DELETE", "/tokens/none", Value::Null).await;
    missing.problem(404);
}

#[tokio::test]
async fn a_token_ends_and_its_last_use_is_noted_to_the_minute() {
    let given = Given::new().await;
    let new = json!({ "name": "ci", "scopes": ["read"], "expires_at": NOW + 200_000 });
    let made = given.call("POST", "/tokens", new).await.ok(201).json();
    let secret = made["secret"].as_str().unwrap();
    let mut noted = Vec::new();
    for after in [0, 59_999, 60_000, 199_999] {
        given.clock.store(NOW + after, Ordering::Relaxed);
        let used = given.call_with(secret, "GET", "/tasks", Value::Null, &[]);
        used.await.ok(200);
        let listed = given.call("GET", "/tokens", Value::Null).await.json();
        let tokens = listed.as_array().unwrap();
        let this = tokens.iter().find(|one| one["id"] == made["token"]["id"]);
        noted.push(this.unwrap()["used_at"].as_i64().unwrap() - NOW);
    }
    assert_eq!(noted, [0, 0, 60_000, 199_999]);
    given.clock.store(NOW + 200_000, Ordering::Relaxed);
    let used = given.call_with(secret, "GET", "/tasks", Value::Null, &[]);
    used.await.problem(401);
}

#[tokio::test]
async fn what_is_no_token_is_not_made() {
    let given = Given::new().await;
    for new in [
        json!({ "name": "", "scopes": ["read"] }),
        json!({ "name": "a\nb", "scopes": ["read"] }),
        json!({ "name": "a", "scopes": [] }),
        json!({ "name": "a", "scopes": ["root"] }),
        json!({ "name": "a", "scopes": ["read"], "expires_at": NOW }),
    ] {
        given.call("POST", "/tokens", new).await.problem(422);
    }
}
