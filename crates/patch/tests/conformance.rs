//! The observed cases, on texts in memory. Those with directories or links need a disk and run in
//! `recto-workspace`, which runs all of them.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use recto_patch::{parse, plan};
use serde_json::Value;

const ROOT: &str = "/root/of/case";

/// Cases about things that texts in memory do not have.
const NEED_A_DISK: [&str; 6] = [
    "add_file_where_dir_exists",
    "add_absolute_outside",
    "add_via_symlink_dir",
    "delete_dir",
    "delete_symlink",
    "update_dir",
];

#[test]
fn every_case_in_memory() {
    let cases: Value = read(include_str!("fixtures/conformance.json"));
    let overrides: Value = read(include_str!("fixtures/overrides.json"));
    let cases = cases["cases"].as_array().unwrap();
    let mut ran = 0;
    for case in cases {
        let name = case["name"].as_str().unwrap();
        if !NEED_A_DISK.contains(&name) {
            check(name, case, &overrides["cases"][name]["expect"]);
            ran += 1;
        }
    }
    assert_eq!((cases.len(), ran), (72, 72 - NEED_A_DISK.len()));
}

#[test]
fn every_difference_is_allowed() {
    let cases: Value = read(include_str!("fixtures/conformance.json"));
    let overrides: Value = read(include_str!("fixtures/overrides.json"));
    for (name, difference) in overrides["cases"].as_object().unwrap() {
        let cases = cases["cases"].as_array().unwrap();
        let case = cases
            .iter()
            .find(|case| case["name"] == name.as_str())
            .unwrap();
        assert!(case["quirk"].is_string(), "{name} is no quirk of the peer");
        assert!(
            difference["reason"]
                .as_str()
                .is_some_and(|reason| reason.ends_with('.'))
        );
    }
}

fn read(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn check(name: &str, case: &Value, difference: &Value) {
    let expected = |key: &str| match &difference[key] {
        Value::Null => case["expect"][key].clone(),
        value => value.clone(),
    };
    let mut files = texts(&case["files"]);
    let patch = case["patch"].as_str().unwrap().replace("${ROOT}", ROOT);
    let (code, stdout, stderr) = run(&patch, &mut files);
    let rooted = |value: Value| value.as_str().unwrap().replace("${ROOT}", ROOT);
    assert_eq!(stderr, rooted(expected("stderr")), "{name}");
    assert_eq!(stdout, rooted(expected("stdout")), "{name}");
    assert_eq!(code, expected("exit_code"), "{name}");
    assert_eq!(files, texts(&expected("files")), "{name}");
}

fn run(patch: &str, files: &mut BTreeMap<String, Vec<u8>>) -> (i32, String, String) {
    let patch = match parse(patch) {
        Ok(patch) => patch,
        Err(error) => return (1, String::new(), format!("{error}\n")),
    };
    match plan(&patch, files) {
        Ok(plan) => {
            for change in &plan.changes {
                match &change.after {
                    Some(after) => files.insert(change.path.clone(), after.clone()),
                    None => files.remove(&change.path),
                };
            }
            (0, plan.summary(), String::new())
        }
        Err(error) => {
            let error = error.with_path(|path| format!("{ROOT}/{path}"));
            (1, String::new(), format!("{error}\n"))
        }
    }
}

fn texts(files: &Value) -> BTreeMap<String, Vec<u8>> {
    let text = |value: &Value| match value["b64"].as_str() {
        // The one binary text of the cases; a decoder would be a dependency for it alone.
        Some("77u/b25lCnR3bwo=") => "\u{feff}one\ntwo\n".into(),
        Some(other) => panic!("add the decoded form of {other}"),
        None => value.as_str().unwrap().into(),
    };
    files
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, value)| (path.clone(), text(value)))
        .collect()
}
