//! What a reader does with lines that another version wrote.

use proptest::prelude::*;
use recto_protocol::record::{RecordError, Warning};
use recto_protocol::{Body, Item, Record, View};
use serde_json::{Value, json};

fn line(kind: &str, body: Value) -> String {
    json!({"v": 1, "seq": 5, "at": -1, "kind": kind, "body": body}).to_string()
}

#[test]
fn an_unknown_kind_is_kept_as_it_is() {
    let line = r#"{"v":1,"seq":5,"at":-1,"kind":"new\"kind","body":{"b": [1,  2.50],"a":null}}"#;
    let record = Record::from_line(line).unwrap();
    assert_eq!(record.body.kind(), "new\"kind");
    assert_eq!(record.to_line(), line);
}

#[test]
fn unknown_fields_are_skipped() {
    let bodies = [
        (
            "warning",
            json!({"code": "c", "message": "m", "new": {"deep": []}}),
        ),
        ("step.started", json!({"step": 1, "new": null})),
        (
            "turn.ended",
            json!({
                "turn": 1,
                "outcome": {"kind": "completed", "answer": "a", "new": 1},
                "usage": {"input_tokens": 1, "output_tokens": 2, "new": 3},
            }),
        ),
        (
            "tool.finished",
            json!({
                "call_id": "c", "status": "ok", "item": {"type": "x"},
                "effect": {"kind": "none", "new": 1}, "new": 1,
            }),
        ),
    ];
    for (kind, body) in bodies {
        let record = Record::from_line(&line(kind, body)).unwrap();
        assert!(!matches!(record.body, Body::Unknown { .. }));
        assert!(!record.to_line().contains("new"));
    }
    let line =
        r#"{"v":1,"seq":5,"at":0,"new":1,"kind":"warning","body":{"code":"c","message":"m"}}"#;
    let warning = Warning {
        code: "c".into(),
        message: "m".into(),
    };
    assert_eq!(Record::from_line(line).unwrap().body, warning.into());
}

#[test]
fn fields_with_defaults_may_be_missing() {
    let bodies = [
        (
            "step.finished",
            json!({"finish": {"reason": "complete", "response_id": "r", "usage": null}}),
        ),
        ("context.compacted", json!({"items": []})),
        ("compaction.failed", json!({"reason": "r"})),
        ("settings.changed", json!({})),
        ("driver.attached", json!({"program_version": "0"})),
    ];
    for (kind, body) in bodies {
        Record::from_line(&line(kind, body)).unwrap();
    }
}

#[test]
fn a_newer_version_and_a_misfit_are_errors() {
    let newer = r#"{"v":2,"seq":0,"at":0,"kind":"warning","body":{"code":"c","message":"m"}}"#;
    assert!(matches!(
        Record::from_line(newer),
        Err(RecordError::Version(2))
    ));
    for bad in [
        "",
        "{}",
        "[]",
        "null",
        &line("warning", json!({"code": 1})),
        r#"{"v":1"#,
    ] {
        assert!(
            matches!(Record::from_line(bad), Err(RecordError::Json(_))),
            "{bad}"
        );
    }
}

#[test]
fn depth_does_not_matter() {
    let deep = format!(
        r#"{{"type":"function_call","x":{}{}}}"#,
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    let item = Item::parse(&deep).unwrap();
    assert_eq!(
        item.view(),
        View::Other {
            kind: "function_call".into()
        }
    );
}

#[test]
fn a_cut_call_is_no_call() {
    let call = |status: &str| {
        let json = json!({"type": "custom_tool_call", "status": status, "call_id": "c",
            "name": "apply_patch", "input": "*** Begin Patch"});
        Item::from_value(&json).unwrap().view()
    };
    assert!(matches!(call("completed"), View::Call(_)));
    assert_eq!(
        call("incomplete"),
        View::Other {
            kind: "custom_tool_call".into()
        }
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_line_makes_the_reader_panic(line in "\\PC{0,80}", kind in "[a-z.]{0,12}") {
        let _ = Record::from_line(&line);
        let whole = format!(r#"{{"v":1,"seq":0,"at":0,"kind":"{kind}","body":{line}}}"#);
        let _ = Record::from_line(&whole);
        let _ = Item::parse(&line);
    }

    #[test]
    fn items_keep_their_bytes(text in "[ -~\u{e9}\u{1f600}]{0,30}", pad in "[ \t]{0,3}") {
        let json = format!(r#"{{"type":{pad}"message","t":{}}}"#, Value::from(text));
        let item = Item::parse(&json).unwrap();
        prop_assert_eq!(item.raw(), &json);
        let lines = format!("\n{}\r\n", json.replacen(':', ":\n", 1));
        prop_assert!(!Item::parse(&lines).unwrap().raw().contains(['\n', '\r']));
    }
}
