//! Differences, chunks and records.

use recto_protocol::ports::tasks::{Change, TaskStore as _};
use recto_protocol::record::Warning;
use recto_protocol::task::Standing;
use serde_json::json;

use crate::common::{Given, NOW};

#[tokio::test]
async fn a_difference_is_given_as_git_wrote_it() {
    let given = Given::new().await;
    let path = format!("/attempts/{}.1/diff", given.task("x").await);
    let empty = given.get(&path).await.ok(200);
    assert!(empty.bytes.is_empty());
    let claim = given.claim().await.remove(0);
    let change = Change {
        standing: Some(Standing {
            base: Some("from".into()),
            commit: Some("to".into()),
            ..Standing::default()
        }),
        ..Change::default()
    };
    let warning = json!({ "code": "test", "message": "m" });
    let warning: Warning = serde_json::from_value(warning).unwrap();
    let append = given.store.append(
        &claim.lease,
        claim.records,
        vec![warning.into()],
        &change,
        NOW,
    );
    append.await.unwrap();
    let text = given.get(&path).await.ok(200);
    assert_eq!(text.header("content-type"), "text/x-diff");
    assert_eq!(text.header("x-content-type-options"), "nosniff");
    assert_eq!(text.bytes.as_ref(), b"from..to false \xff");
    assert_eq!(text.header("recto-cut"), "");
    let binary = given.get(&format!("{path}?binary=true")).await.ok(200);
    assert_eq!(binary.bytes.as_ref(), b"from..to true \xff");
    assert_eq!(binary.header("recto-cut"), "true");
    given.get(&format!("{path}?binary=2")).await.problem(422);
    given
        .get("/attempts/aaaaaaaaaaaa.1/diff")
        .await
        .problem(404);
}

#[tokio::test]
async fn an_output_is_given_in_pieces() {
    let given = Given::new().await;
    let path = format!("/attempts/{}.1/chunks", given.task("x").await);
    let bytes: Vec<u8> = (0..=255).collect();
    given
        .places
        .chunks
        .0
        .lock()
        .unwrap()
        .insert("00a1ff".into(), bytes.clone());
    let whole = given.get(&format!("{path}/00a1ff")).await.ok(200);
    assert_eq!(whole.bytes.as_ref(), bytes);
    assert_eq!(whole.header("content-type"), "application/octet-stream");
    let piece = given
        .get(&format!("{path}/00a1ff?offset=250&limit=3"))
        .await;
    assert_eq!(piece.ok(200).bytes.as_ref(), [250, 251, 252]);
    let after = given.get(&format!("{path}/00a1ff?offset=1000")).await;
    assert!(after.ok(200).bytes.is_empty());
    for id in [
        "00a1fe",
        "..%2F..%2Fetc%2Fpasswd",
        "x",
        "%00",
        "aaaaaaaaaaaaaaaaa",
    ] {
        given.get(&format!("{path}/{id}")).await.problem(404);
    }
    for query in ["offset=-1", "offset=18446744073709551615", "limit=x"] {
        given
            .get(&format!("{path}/00a1ff?{query}"))
            .await
            .problem(422);
    }
}
