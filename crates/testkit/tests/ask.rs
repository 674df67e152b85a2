//! `recto ask`: answers, and changes nothing.

#![allow(clippy::unwrap_used)]

use recto_testkit::{Home, Repository, Script, User};
use serde_json::json;

#[test]
fn nothing_can_be_changed_whatever_the_model_tries() {
    for user in User::all() {
        let (home, repo) = (Home::of(user), Repository::new(&[("a.txt", "a\n")]));
        repo.give_to(user);
        let before = repo.git(&["rev-parse", "HEAD"]);
        let script = Script::new()
            .exec("echo b > b.txt; echo b > a.txt; rm a.txt; rm -rf .git; git commit --allow-empty -m x")
            .reply(json!({
                "expect": {"contains": "Read-only file system", "no_tools": "apply_patch"},
                "events": [{"call": "apply_patch", "arguments": {"input":
                    "*** Begin Patch\n*** Add File: b.txt\n+b\n*** End Patch\n"}}],
            }))
            .reply(json!({"expect": {"contains": "files are read-only"}, "text": "Nothing 【F:a.txt†L1】."}));
        user.take(script.dir());
        // Not even when the command line asks for more.
        let model = script.model();
        let args = [
            "ask",
            "-s",
            "workspace-write",
            "--add-dir",
            "/tmp",
            "-m",
            &model,
            "What is a?",
        ];
        let run = home.run(repo.path(), &args).expect(0);
        assert_eq!(run.stdout, "Nothing 【F:a.txt†L1】.\n");
        assert!(
            run.stderr.contains("citations: 1 of 1 hold"),
            "{}",
            run.stderr
        );
        assert_eq!(repo.git(&["rev-parse", "HEAD"]), before);
        assert_eq!(repo.git(&["status", "--porcelain", "--ignored"]), "");
        assert_eq!(repo.read("a.txt"), "a\n");
    }
}

#[test]
fn each_citation_that_does_not_hold_is_told_with_its_reason() {
    let (home, repo) = (
        Home::new(),
        Repository::new(&[("a.txt", "a\n\n"), ("s/b.txt", "b\n")]),
    );
    let script = Script::new().exec("echo one; echo two").answer(
        "【F:a.txt†L1】 【F:s/b.txt†L1】 【{{chunk 1}}†L1-L2】 【{{chunk 1}}†L3】 【F:a.txt†L2】 \
         【F:a.txt†L9】 【F:/etc/passwd†L1】 【F:../repo/a.txt†L1】 【abcdef†L1】 【F:a.txt】",
    );
    let run = home
        .run(repo.path(), &["ask", "-m", &script.model(), "Where?"])
        .expect(0);
    let mut lines = run
        .stderr
        .lines()
        .skip_while(|line| !line.starts_with("citations: "));
    assert_eq!(
        lines.next(),
        Some("citations: 3 of 10 hold"),
        "{}",
        run.stderr
    );
    let told: Vec<&str> = lines
        .map(|line| line.trim().rsplit(": ").next().unwrap())
        .collect();
    for (index, verdict) in [
        "out of range",
        "blank",
        "out of range",
        "not found",
        "not found",
        "not found",
        "malformed",
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(told.get(index), Some(&verdict), "{}", run.stderr);
    }
}

#[test]
fn a_session_is_gone_on_with_in_its_own_mode_only() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let script = Script::new().answer("One.").answer("Two.");
    home.run(repo.path(), &["ask", "-m", &script.model(), "What?"])
        .expect(0);
    let id = home.sessions()[0]
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let refused = home
        .run(repo.path(), &["exec", "resume", &id, "Change it."])
        .expect(2);
    assert!(
        refused
            .stderr
            .contains("this session asks\nhint: go on with it by `recto ask resume`")
    );
    let run = home
        .run(repo.path(), &["ask", "resume", &id, "And?"])
        .expect(0);
    assert_eq!(run.stdout, "Two.\n");
}

#[test]
fn an_answer_whose_only_citation_is_malformed_has_evidence() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let script = Script::new().answer("There 【F:a.txt】.");
    let args = ["ask", "--json", "-m", &script.model(), "Where?"];
    let events = home.run(repo.path(), &args).expect(0).events();
    let evidence = &events[events.len() - 2];
    assert_eq!(evidence["type"], "evidence");
    assert_eq!(evidence["citations"], serde_json::json!([]));
    assert_eq!(evidence["malformed"], serde_json::json!(["【F:a.txt】"]));
    assert_eq!(evidence["all_hold"], false);
}
