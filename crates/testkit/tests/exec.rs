//! `recto exec` as scripts see it: exit codes, standard output, events.

#![allow(clippy::unwrap_used)]

use recto_testkit::{Home, Repository, Script};
use serde_json::Value;

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

#[test]
fn standard_output_is_the_answer_alone() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let script = Script::new().exec("echo noise").answer("The answer.");
    let run = home
        .run(repo.path(), &["exec", "-m", &script.model(), "do it"])
        .expect(0);
    assert_eq!(run.stdout, "The answer.\n");
    assert!(run.stderr.contains("$ echo noise"), "{}", run.stderr);
}

#[test]
fn a_command_is_started_and_completed_in_events() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let script = Script::new().exec("echo hi; exit 3").answer("done");
    let run = home
        .run(
            repo.path(),
            &["exec", "--json", "-m", &script.model(), "do it"],
        )
        .expect(0);
    let events = run.events();
    assert_eq!(
        kinds(&events),
        [
            "thread.started",
            "turn.started",
            "item.started",
            "item.completed",
            "item.completed",
            "turn.completed"
        ]
    );
    let command = &events[3]["item"];
    assert_eq!(command["type"], "command_execution");
    assert_eq!(command["aggregated_output"], "hi\n");
    assert_eq!(command["exit_code"], 3);
    assert_eq!(command["status"], "failed");
    assert_eq!(events[2]["item"]["id"], command["id"]);
    assert_eq!(events[5]["usage"]["input_tokens"], 200);
}

#[test]
fn a_patch_and_a_commit_leave_a_clean_tree() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "one\ntwo\n")]));
    let script = Script::new()
        .patch("*** Begin Patch\n*** Update File: a.txt\n@@\n-two\n+zwei\n*** End Patch\n")
        .exec("git commit -qam change && git status --porcelain")
        .answer("done");
    home.run(repo.path(), &["exec", "-m", &script.model(), "do it"])
        .expect(0);
    assert_eq!(repo.read("a.txt"), "one\nzwei\n");
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    assert_eq!(repo.git(&["log", "--format=%s"]), "change\nfirst");
}
