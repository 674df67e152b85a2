//! All observed cases, on a disk. Deliberate differences are in `overrides.json`, with reasons.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::fs;

use base64::Engine;
use common::Scene;
use serde_json::Value;

#[test]
fn every_case() {
    let cases = read(include_str!("../../patch/tests/fixtures/conformance.json"));
    let overrides = read(include_str!("../../patch/tests/fixtures/overrides.json"));
    let cases = cases["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 72);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        check(name, case, &overrides["cases"][name]["expect"]);
    }
}

fn read(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn check(name: &str, case: &Value, difference: &Value) {
    let scene = Scene::new();
    let rooted = |text: &str| text.replace("${ROOT}", scene.root.to_str().unwrap());
    let expected = |key: &str| match &difference[key] {
        Value::Null => case["expect"][key].clone(),
        value => value.clone(),
    };
    set_up(&scene, case);
    let outcome = scene.apply(&rooted(case["patch"].as_str().unwrap()));
    assert_eq!(
        outcome.stderr,
        rooted(expected("stderr").as_str().unwrap()),
        "{name}"
    );
    assert_eq!(
        outcome.stdout,
        rooted(expected("stdout").as_str().unwrap()),
        "{name}"
    );
    assert_eq!(outcome.exit_code, expected("exit_code"), "{name}");
    assert_eq!(scene.snapshot(), wanted(&expected), "{name}");
    for path in scene
        .snapshot()
        .keys()
        .filter(|path| scene.root.join(path).is_file())
    {
        let mode = expected("modes")[path].as_str().map_or(0o644, octal);
        assert_eq!(scene.mode(path), mode, "{name}: {path}");
    }
    let beside: Vec<_> = fs::read_dir(scene.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !["tree", "outside", "journals"].contains(&name.as_str()))
        .collect();
    assert!(beside.is_empty(), "{name}: {beside:?}");
}

fn set_up(scene: &Scene, case: &Value) {
    for (path, text) in texts(&case["files"]) {
        scene.write(&path, text);
        scene.chmod(&path, 0o644);
    }
    for directory in case["dirs"].as_array().into_iter().flatten() {
        fs::create_dir_all(scene.root.join(directory.as_str().unwrap())).unwrap();
    }
    for (link, target) in case["symlinks"].as_object().into_iter().flatten() {
        scene.symlink(target.as_str().unwrap(), link);
    }
    for (path, mode) in case["modes"].as_object().into_iter().flatten() {
        scene.chmod(path, octal(mode.as_str().unwrap()));
    }
}

/// The snapshot a case asks for.
fn wanted(expected: &dyn Fn(&str) -> Value) -> BTreeMap<String, Vec<u8>> {
    let mut wanted = texts(&expected("files"));
    for directory in expected("empty_dirs").as_array().into_iter().flatten() {
        wanted.insert(format!("{}/", directory.as_str().unwrap()), Vec::new());
    }
    for (link, target) in expected("symlinks").as_object().into_iter().flatten() {
        wanted.insert(
            link.clone(),
            format!("-> {}", target.as_str().unwrap()).into_bytes(),
        );
    }
    wanted
}

fn texts(files: &Value) -> BTreeMap<String, Vec<u8>> {
    let text = |value: &Value| match value["b64"].as_str() {
        Some(encoded) => base64::engine::general_purpose::STANDARD
            .decode(encoded)
            .unwrap(),
        None => value.as_str().unwrap().into(),
    };
    files
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, value)| (path.clone(), text(value)))
        .collect()
}

fn octal(mode: &str) -> u32 {
    u32::from_str_radix(mode.trim_start_matches("0o"), 8).unwrap()
}
