//! Instruction files: which are given, when, and how much of them.

#![allow(clippy::unwrap_used)]

use recto_testkit::{Home, Repository, Script};
use serde_json::{Value, json};

/// The texts of all context about instruction files, in order.
fn given(home: &Home) -> Vec<String> {
    home.records()
        .iter()
        .filter(|record| {
            record["kind"] == "context.added" && record["body"]["about"] == "agents_md"
        })
        .map(|record| {
            record["body"]["items"][0]["content"][0]["text"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[test]
fn files_from_the_root_down_are_given_at_the_start() {
    let repo = Repository::new(&[
        ("AGENTS.md", "root rules"),
        ("a/AGENTS.md", "rules of a"),
        ("a/b/AGENTS.md", "shadowed"),
        ("a/b/AGENTS.override.md", "override of b"),
        ("c/AGENTS.md", "rules of c"),
    ]);
    let home = Home::new();
    std::fs::create_dir_all(home.recto()).unwrap();
    std::fs::write(home.recto().join("AGENTS.md"), "my own rules").unwrap();
    let script = Script::new().answer("done");
    let cwd = repo.path().join("a/b");
    home.run(&cwd, &["exec", "-m", &script.model(), "go"])
        .expect(0);
    let texts = given(&home);
    assert_eq!(texts.len(), 1, "{texts:?}");
    let order = ["my own rules", "root rules", "rules of a", "override of b"];
    let places: Vec<usize> = order
        .iter()
        .map(|rule| texts[0].find(rule).unwrap())
        .collect();
    assert!(places.is_sorted(), "{}", texts[0]);
    assert!(
        !texts[0].contains("shadowed") && !texts[0].contains("rules of c"),
        "{}",
        texts[0]
    );
}

#[test]
fn deeper_files_are_given_when_their_place_is_first_touched() {
    let repo = Repository::new(&[
        ("AGENTS.md", "root rules"),
        ("src/AGENTS.md", "rules of src"),
        ("docs/AGENTS.md", "rules of docs"),
        ("src/main.c", "int x;\n"),
        ("docs/a.md", "a\n"),
    ]);
    let home = Home::new();
    let patch = "*** Begin Patch\n*** Update File: docs/a.md\n@@\n-a\n+b\n*** End Patch\n";
    let script = Script::new()
        .exec("cat src/main.c")
        .reply(json!({
            "expect": {"anywhere": "rules of src"},
            "events": [{"call": "exec_command", "arguments": {"cmd": "cat src/main.c"}}],
        }))
        .patch(patch)
        .reply(json!({"expect": {"anywhere": "rules of docs"}, "text": "done"}));
    home.run(repo.path(), &["exec", "-m", &script.model(), "go"])
        .expect(0);
    let texts = given(&home);
    assert_eq!(texts.len(), 3, "each is given once: {texts:?}");
}

#[test]
fn files_that_changed_are_given_again_on_resume() {
    let repo = Repository::new(&[("AGENTS.md", "old rules")]);
    let home = Home::new();
    let script = Script::new()
        .answer("one")
        .answer("two")
        .reply(json!({"expect": {"anywhere": "new rules"}, "text": "three"}));
    let model = script.model();
    home.run(repo.path(), &["exec", "-m", &model, "go"])
        .expect(0);
    home.run(repo.path(), &["exec", "resume", "--last", "again"])
        .expect(0);
    assert_eq!(given(&home).len(), 1, "unchanged files are not repeated");
    repo.write("AGENTS.md", "new rules");
    home.run(repo.path(), &["exec", "resume", "--last", "again"])
        .expect(0);
    let texts = given(&home);
    assert_eq!(texts.len(), 2);
    assert!(
        texts[1].contains("new rules") && texts[1].contains("replaces"),
        "{}",
        texts[1]
    );
}

#[test]
fn fallback_names_and_checks_in_front_matter_count() {
    let repo = Repository::new(&[("CLAUDE.md", "---\nchecks: [test -f made]\n---\nhouse rules")]);
    let home = Home::new();
    home.configure("instruction_names = [\"CLAUDE.md\"]\n");
    let script = Script::new()
        .exec("echo working")
        .answer("I am done.")
        .exec("touch made")
        .answer("Now it is made.");
    let run = home
        .run(repo.path(), &["exec", "-m", &script.model(), "go"])
        .expect(0);
    assert_eq!(run.stdout, "Now it is made.\n");
    assert!(given(&home)[0].contains("house rules"));
    let checks: Vec<Value> = home
        .records()
        .into_iter()
        .filter(|record| record["kind"] == "check.finished")
        .map(|record| record["body"]["exit_code"].clone())
        .collect();
    assert_eq!(checks, [json!(1), json!(0)]);
}

#[test]
fn over_the_limit_the_deepest_file_stays_whole_and_cuts_are_said() {
    let big = "x".repeat(30 << 10);
    let repo = Repository::new(&[("AGENTS.md", &big), ("a/AGENTS.md", &"y".repeat(20 << 10))]);
    let home = Home::new();
    let script = Script::new().answer("done");
    let cwd = repo.path().join("a");
    let run = home
        .run(&cwd, &["exec", "-m", &script.model(), "go"])
        .expect(0);
    let text = &given(&home)[0];
    assert!(text.contains(&"y".repeat(20 << 10)));
    assert!(text.len() < 34 << 10, "{}", text.len());
    assert!(text.contains("cut here"), "the cut is visible to the model");
    assert!(
        run.stderr.contains("AGENTS.md was cut"),
        "and to the user: {}",
        run.stderr
    );
}
