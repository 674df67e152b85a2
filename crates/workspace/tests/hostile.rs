//! Patches and trees that try to get out of the tree or at what is protected.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use common::{Scene, snapshot};
use serde_json::Value;

#[test]
fn the_corpus() {
    let corpus: Value =
        serde_json::from_str(include_str!("fixtures/hostile_patches.json")).unwrap();
    let cases = corpus["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 10);
    for case in cases {
        check_corpus(case);
    }
}

fn check_corpus(case: &Value) {
    let scene = Scene::new();
    let id = case["id"].as_str().unwrap();
    let outside = scene.outside.to_str().unwrap();
    for command in case["setup"].as_array().unwrap() {
        let command = command.as_str().unwrap().replace("OUTSIDE", outside);
        let status = Command::new("sh")
            .args(["-c", &command])
            .current_dir(&scene.root)
            .status();
        assert!(status.unwrap().success(), "{id}: {command}");
    }
    let before = scene.snapshot();
    let outcome = scene.apply(case["patch"].as_str().unwrap());
    match case["expect"].as_str().unwrap() {
        "refuse" => {
            assert_eq!(outcome.exit_code, 1, "{id}: {outcome:?}");
            assert_eq!(scene.snapshot(), before, "{id}");
        }
        "apply" => assert_eq!(outcome.exit_code, 0, "{id}: {outcome:?}"),
        "refuse-or-new-inode" => {
            assert_eq!(outcome.exit_code, 0, "{id}: {outcome:?}");
            assert_eq!(scene.read("hard.txt"), "PWNED\n", "{id}");
        }
        other => panic!("{id}: unknown expectation {other}"),
    }
    let canary = snapshot(&scene.outside);
    assert_eq!(canary.len(), 1, "{id}");
    assert_eq!(canary["canary.txt"], b"ORIGINAL\n", "{id}");
}

/// Checks that each kind of change to a path is refused for the reason.
fn check_refused(scene: &Scene, path: &str, rule: &str) {
    scene.write("mine.txt", "x\n");
    let before = scene.snapshot();
    for body in [
        format!("*** Add File: {path}\n+x\n"),
        format!("*** Update File: {path}\n@@\n+x\n"),
        format!("*** Update File: mine.txt\n*** Move to: {path}\n@@\n+x\n"),
    ] {
        let outcome = scene.apply_body(&body);
        assert_eq!(outcome.exit_code, 1, "{body}");
        assert!(
            outcome.stderr.starts_with(&format!("Refused {path}: ")),
            "{}",
            outcome.stderr
        );
        assert!(outcome.stderr.contains(rule), "{}", outcome.stderr);
        assert_eq!(scene.snapshot(), before, "{body}");
    }
}

#[test]
fn protected_names() {
    let scene = Scene::new();
    scene.write(".git/config", "[core]\n");
    scene.write("sub/.git", "gitdir: x\n");
    scene.symlink(".git", "door");
    scene.symlink(".git/config", "config");
    scene.symlink("sub", "way");
    for path in [
        ".git/config",
        ".GIT/config",
        "sub/.git",
        "door/hooks/x",
        "config",
        "way/.git",
    ] {
        check_refused(&scene, path, "`.git` is not for patches");
    }
    scene.write(".recto/config.toml", "x\n");
    scene.symlink(".recto", "settings");
    for path in [
        ".recto/config.toml",
        ".Recto/new",
        ".agents/skill",
        "settings/config.toml",
    ] {
        check_refused(&scene, path, "agent's own configuration");
    }
    for path in [".git/config", "door/config", ".recto/config.toml"] {
        let outcome = scene.apply_body(&format!("*** Delete File: {path}\n"));
        assert!(
            outcome.stderr.starts_with("Refused "),
            "{path}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn ways_out() {
    let scene = Scene::new();
    scene.symlink(&scene.outside, "absolute");
    scene.symlink("../outside", "relative");
    scene.symlink("../outside/canary.txt", "file");
    scene.symlink("/proc/self/cwd", "magic");
    scene.symlink("nothing", "dangling");
    scene.symlink("loop", "loop");
    let leaves = "leaves the work tree";
    for path in [
        "absolute/canary.txt",
        "relative/canary.txt",
        "relative/new/x",
        "file",
        "magic/x",
    ] {
        check_refused(&scene, path, leaves);
    }
    check_refused(&scene, "../outside/canary.txt", leaves);
    check_refused(&scene, "/etc/passwd", leaves);
    check_refused(&scene, "dangling", "points to nothing");
    check_refused(&scene, "dangling/x", "points to nothing");
    check_refused(&scene, "loop", "loop of symbolic links");
    check_refused(&scene, "nul\0l", "NUL");
    assert_eq!(snapshot(&scene.outside).len(), 1);
}

#[test]
fn special_files() {
    let scene = Scene::new();
    let made = Command::new("mkfifo")
        .arg(scene.root.join("pipe"))
        .status()
        .unwrap();
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(scene.root.join("socket")).unwrap();
    check_refused(&scene, "pipe", "not a file");
    check_refused(&scene, "socket", "not a file");
    assert_eq!(scene.apply_body("*** Delete File: pipe\n").exit_code, 1);
}

#[test]
fn a_link_out_can_be_deleted_itself() {
    let scene = Scene::new();
    scene.symlink("../outside/canary.txt", "file");
    assert_eq!(scene.apply_body("*** Delete File: file\n").exit_code, 0);
    assert!(scene.snapshot().is_empty());
    assert_eq!(snapshot(&scene.outside).len(), 1);
}

#[test]
fn a_hard_link_is_cut() {
    let scene = Scene::new();
    scene.write("a", "x\n");
    fs::hard_link(scene.root.join("a"), scene.root.join("b")).unwrap();
    assert_eq!(
        scene
            .apply_body("*** Update File: a\n@@\n-x\n+y\n")
            .exit_code,
        0
    );
    assert_eq!(
        (scene.read("a"), scene.read("b")),
        ("y\n".into(), "x\n".into())
    );
    assert_eq!(fs::metadata(scene.root.join("a")).unwrap().nlink(), 1);
}
