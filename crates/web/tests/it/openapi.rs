//! `docs/api/openapi.json` holds the whole API. `RECTO_WRITE_SCHEMA=1` writes it anew.

use std::path::Path;

use recto_web::{BASE, operations};
use serde_json::Value;

use crate::common::Given;

#[test]
fn the_document_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api/openapi.json");
    let text = format!(
        "{}\n",
        serde_json::to_string_pretty(&recto_web::openapi()).unwrap()
    );
    if std::env::var_os("RECTO_WRITE_SCHEMA").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).is_ok_and(|kept| kept == text),
        "docs/api/openapi.json is out of date: RECTO_WRITE_SCHEMA=1"
    );
}

#[test]
fn every_reference_leads_somewhere() {
    fn check(value: &Value, document: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(to)) = fields.get("$ref") {
                    let pointer = to.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{to}");
                }
                fields.values().for_each(|value| check(value, document));
            }
            Value::Array(values) => values.iter().for_each(|value| check(value, document)),
            _ => {}
        }
    }
    let document = recto_web::openapi();
    check(&document, &document);
}

#[test]
fn every_route_is_told_with_what_it_answers() {
    let document = recto_web::openapi();
    let mut names = std::collections::BTreeSet::new();
    for operation in operations() {
        let path = format!("{BASE}{}", operation.path);
        let method = operation.method.name().to_lowercase();
        let told = &document["paths"][&path][&method];
        assert!(names.insert(told["operationId"].to_string()), "{path}");
        let answers = told["responses"].as_object().unwrap();
        assert!(
            answers.keys().any(|status| status.starts_with('2')),
            "{path}"
        );
        assert_eq!(
            operation.needs.is_some(),
            answers.contains_key("401"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn it_is_served() {
    let given = Given::new().await;
    let served = given.get("/openapi.json").await.ok(200);
    assert_eq!(served.json(), recto_web::openapi());
}
