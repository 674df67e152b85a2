//! Patches that try to leave the tree, given from outside the project, through `recto apply-patch`.
//!
//! The library is held to the same by `crates/workspace/tests/hostile.rs`, with a copy of the cases.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use recto_testkit::{Home, Repository, Run, Tree, given, tree};
use serde_json::Value;

#[test]
fn each_given_patch_gets_the_verdict_it_names() {
    for case in given("hostile_patches.json").unwrap_or_default() {
        check(&case);
    }
}

/// A refusal is held against this look, so it has to see what a patch would do.
#[test]
fn a_change_outside_is_seen() {
    let scene = Scene::new();
    let before = scene.look();
    std::fs::write(scene.outside.path().join("escape.txt"), "x").unwrap();
    assert_ne!(scene.look(), before);
    let before = scene.look();
    scene.repo.write(".git/hooks/pre-commit", "x");
    assert_ne!(scene.look(), before);
}

struct Scene {
    repo: Repository,
    outside: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        // Beside the tree, where `../` leads.
        let repo = Repository::new(&[("a.txt", "a\n")]);
        let parent = repo.path().parent().unwrap();
        let outside = tempfile::tempdir_in(parent).unwrap();
        std::fs::write(outside.path().join("canary.txt"), "ORIGINAL\n").unwrap();
        Self { repo, outside }
    }

    /// Everything that a patch might change: what lies beside the tree, the tree, its git directory.
    fn look(&self) -> (Tree, Tree) {
        let parent = self.repo.path().parent().unwrap();
        (tree(parent), tree(&self.repo.path().join(".git")))
    }

    fn apply(&self, patch: &str) -> Run {
        Home::new().run_with(self.repo.path(), &["apply-patch"], patch.as_bytes())
    }

    fn canary(&self) -> String {
        std::fs::read_to_string(self.outside.path().join("canary.txt")).unwrap()
    }
}

fn check(case: &Value) {
    let (id, why) = (text(case, "id"), text(case, "why"));
    let scene = Scene::new();
    for line in case["setup"].as_array().unwrap() {
        prepare(
            scene.repo.path(),
            scene.outside.path(),
            line.as_str().unwrap(),
        );
    }
    let patch = text(case, "patch").replace("OUTSIDE", &scene.outside.path().display().to_string());
    let before = scene.look();
    let run = scene.apply(&patch);
    match text(case, "expect") {
        "refuse" => {
            assert_ne!(run.code, Some(0), "{id}, {why}: {run:?}");
            assert!(!run.stderr.is_empty(), "{id}, {why}: no error is told");
            assert_eq!(scene.look(), before, "{id}, {why}");
        }
        "apply" => {
            assert_eq!(run.code, Some(0), "{id}, {why}: {run:?}");
            assert_ne!(scene.look(), before, "{id}, {why}");
        }
        // The canary, below, tells which of both it was.
        "refuse-or-new-inode" => {}
        other => panic!("{id}: `{other}` is no expectation"),
    }
    assert_eq!(scene.canary(), "ORIGINAL\n", "{id}, {why}");
}

fn prepare(root: &Path, outside: &Path, line: &str) {
    let line = line.replace("OUTSIDE", &outside.display().to_string());
    let status = Command::new("sh")
        .args(["-c", &line])
        .current_dir(root)
        .status();
    assert!(status.unwrap().success(), "{line}");
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap()
}
