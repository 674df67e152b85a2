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

#[test]
fn a_required_check_that_fails_is_no_success() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let script = Script::new()
        .exec("echo b > a.txt")
        .answer("It passes.")
        .answer("It does not.");
    let model = script.model();
    let args = ["exec", "-m", &model, "--check", "test -f mended", "do it"];
    let run = home.run(repo.path(), &args).expect(1);
    assert_eq!(run.stdout, "It does not.\n");
    let last = run.stderr.lines().next_back();
    assert_eq!(last, Some("check failed: test -f mended"), "{}", run.stderr);

    let args = ["exec", "--json", "-m", &model, "--check", "false", "do it"];
    let events = home.run(repo.path(), &args).expect(1).events();
    let end = events.last().unwrap();
    assert_eq!(end["type"], "turn.completed");
    assert_eq!(end["checks_failed"], serde_json::json!(["false"]));
    let list = home.run(repo.path(), &["sessions", "list", "--json"]);
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    assert_eq!(list[0]["state"], "done");
}

#[test]
fn a_check_that_nothing_was_changed_for_is_told_of() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let script = Script::new().answer("Nothing to do.");
    let args = ["exec", "-m", &script.model(), "--check", "false", "do it"];
    let run = home.run(repo.path(), &args).expect(0);
    let told = "check not run: nothing was changed\n";
    assert!(run.stderr.ends_with(told), "{}", run.stderr);
}

#[test]
fn a_check_given_on_resume_counts_and_one_given_before_still_does() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let script = Script::new().exec("echo b > a.txt").answer("Done.");
    let model = script.model();
    let args = ["exec", "-m", &model, "--check", "true", "do it"];
    home.run(repo.path(), &args).expect(0);
    let next = Script::new()
        .exec("echo c > a.txt")
        .answer("Done.")
        .answer("Still.")
        .answer("It fails.");
    let next = next.model();
    let args = ["exec", "resume", "--last", "-m", &next, "on"];
    home.run(repo.path(), &args).expect(0);
    let args = [
        "exec", "resume", "--last", "-m", &next, "--check", "false", "on",
    ];
    let run = home.run(repo.path(), &args).expect(1);
    assert!(
        run.stderr.ends_with("check failed: false\n"),
        "{}",
        run.stderr
    );
    let changed: Vec<Value> = home
        .records()
        .into_iter()
        .filter(|record| record["kind"] == "settings.changed")
        .map(|record| record["body"]["checks"].clone())
        .filter(|checks| !checks.is_null())
        .collect();
    assert_eq!(changed, [serde_json::json!(["false"])]);
}

#[test]
fn a_resumed_session_has_no_more_access_than_the_configuration_gives() {
    let (mut home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let script = Script::new().exec("echo b > a.txt").answer("Done.");
    let model = script.model();
    home.run(repo.path(), &["exec", "-m", &model, "do it"])
        .expect(0);
    home.configure(
        "sandbox_mode = \"read-only\"\n[profiles.wide]\nsandbox_mode = \"workspace-write\"\n",
    );
    let shown = |run: &recto_testkit::Run| run.stderr.lines().next().unwrap().to_owned();
    let resume = |home: &Home, flags: &[&str]| {
        let mut args = vec!["exec", "resume", "--last", "-m", &model];
        args.extend(flags);
        args.push("on");
        shown(&home.run(repo.path(), &args))
    };
    assert!(resume(&home, &[]).contains("· read-only ·"));
    assert!(resume(&home, &["-p", "wide"]).contains("· workspace-write ·"));
    home.configure("");
    // What was narrowed stays so until somebody says otherwise.
    assert!(resume(&home, &["-s", "read-only"]).contains("· read-only ·"));
    assert!(resume(&home, &[]).contains("· read-only ·"));
    home.set("RECTO_SANDBOX", "workspace-write");
    assert!(resume(&home, &[]).contains("· workspace-write ·"));
}

#[test]
fn an_interrupted_turn_says_how_to_go_on() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let script = Script::new().exec("true").answer("Done.");
    let model = script.model();
    let args = ["exec", "-m", &model, "--max-steps", "1", "do it"];
    let run = home.run(repo.path(), &args).expect(3);
    assert!(
        run.stderr.contains("budget used up: 1 step in one turn"),
        "{}",
        run.stderr
    );
    let session = home.sessions().pop().unwrap();
    let id = session.file_name().unwrap().to_str().unwrap();
    let told = format!("go on with: recto exec resume {id} \"…\"\n");
    assert!(run.stderr.ends_with(&told), "{}", run.stderr);

    let run = home
        .run(repo.path(), &["exec", "resume", "--last"])
        .expect(2);
    assert_eq!(
        run.stderr,
        "error: the last turn ended (budget), so there must be a message\n\
         hint: give the next message: recto exec resume --last \"go on\"\n"
    );
}

#[test]
fn people_are_told_why_a_call_was_not_done_and_how_a_command_ended() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let script = Script::new()
        .call("fly\u{1b}[31m", serde_json::json!({}))
        .patch("*** Begin Patch\n*** Update File: a.txt\n@@\n-b\n+c\n*** End Patch")
        .exec("kill -9 $$")
        .answer("Done.");
    let run = home
        .run(repo.path(), &["exec", "-m", &script.model(), "do it"])
        .expect(0);
    for told in ["refused: ", "patch not applied: ", "ended by signal 9"] {
        assert!(run.stderr.contains(told), "{told}: {}", run.stderr);
    }
    assert!(!run.stderr.contains("the log has the reason"));
    let shown = home.run(repo.path(), &["exec", "resume"]).stderr;
    assert!(!shown.contains('\u{1b}'));
    let session = home.sessions().pop().unwrap();
    let id = session.file_name().unwrap().to_str().unwrap();
    let shown = home.run(repo.path(), &["sessions", "show", id]).expect(0);
    assert!(!shown.stdout.contains('\u{1b}'), "{:?}", shown.stdout);
}

#[test]
fn the_output_of_a_command_can_be_read_again() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let script = Script::new()
        .exec("printf 'x\\033[31my\\n'")
        .answer("Done.");
    let args = ["exec", "--json", "-m", &script.model(), "do it"];
    let events = home.run(repo.path(), &args).expect(0).events();
    let chunk = events[3]["item"]["chunk_id"].as_str().unwrap();
    let id = events[0]["thread_id"].as_str().unwrap();
    let show = |chunk| home.run(repo.path(), &["sessions", "show", id, "--chunk", chunk]);
    assert_eq!(show(chunk).expect(0).stdout, "x\u{1b}[31my\n");
    for none in ["../log.jsonl", "000000", "nothing"] {
        assert!(show(none).expect(2).stderr.contains("has no chunk"));
    }
}

#[test]
fn the_answer_is_written_and_signals_end_the_program_while_git_is_looked_at() {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::os::unix::fs::PermissionsExt as _;
    let (mut home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    // A git that hangs once the turn has left its mark.
    let programs = tempfile::tempdir().unwrap();
    let git = programs.path().join("git");
    let mark = repo.path().join("mark");
    let real = std::env::var("PATH").unwrap();
    let text = format!(
        "#!/bin/sh\nif [ -e '{}' ]; then exec sleep 60; fi\nPATH='{real}' exec git \"$@\"\n",
        mark.display()
    );
    std::fs::write(&git, text).unwrap();
    std::fs::set_permissions(&git, std::fs::Permissions::from_mode(0o755)).unwrap();
    home.set("PATH", &format!("{}:{real}", programs.path().display()));
    let script = Script::new().exec("touch mark").answer("Done.");
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let _ = std::fs::remove_file(&mark);
        let last = home.path().join("answer");
        let model = script.model();
        let args = ["exec", "-m", &model, "-o", last.to_str().unwrap(), "do it"];
        let mut child = home.command(repo.path(), &args).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "Done.\n");
        // It is written after standard output and before git is asked.
        while !std::fs::read(&last).is_ok_and(|answer| answer == b"Done.") {
            std::thread::yield_now();
        }
        std::fs::remove_file(&last).unwrap();
        let pid = child.id().to_string();
        std::process::Command::new("kill")
            .args([signal, &pid])
            .status()
            .unwrap();
        let code_of = child.wait().unwrap().code();
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).ok();
        assert_eq!(code_of, Some(code), "{told}");
    }
}

#[test]
fn a_task_without_quotes_is_recognised() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let run = home
        .run(repo.path(), &["exec", "fix", "the", "bug"])
        .expect(2);
    assert!(
        run.stderr.ends_with("recto exec \"fix the bug\"\n"),
        "{}",
        run.stderr
    );
    let run = home
        .run(repo.path(), &["exec", "--max-cost", "abc", "x"])
        .expect(2);
    assert!(
        run.stderr.contains("not a number of dollars"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_later_variable_replaces_an_earlier_one() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    home.configure("[env.set]\nGIT_AUTHOR_NAME = \"Somebody\"\n");
    let script = Script::new()
        .exec("env | grep -c ^GIT_AUTHOR_NAME; echo $GIT_AUTHOR_NAME")
        .answer("Done.");
    let args = ["exec", "--json", "-m", &script.model(), "do it"];
    let events = home.run(repo.path(), &args).expect(0).events();
    assert_eq!(events[3]["item"]["aggregated_output"], "1\nSomebody\n");
}

#[test]
fn results_of_parallel_commands_say_whose_they_are() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let call = |cmd: &str| serde_json::json!({"call": "exec_command", "arguments": {"cmd": cmd}});
    // The second one ends first, since the first one waits for it.
    let first = "until [ -e go ]; do sleep 0.1; done; echo one";
    let script = Script::new()
        .reply(serde_json::json!({"events": [call(first), call("echo two; touch go")]}))
        .answer("Done.");
    let run = home
        .run(repo.path(), &["exec", "-m", &script.model(), "do it"])
        .expect(0);
    let told: Vec<&str> = run
        .stderr
        .lines()
        .filter(|line| line.starts_with("$ ") || ["  one", "  two"].contains(line))
        .collect();
    let first = format!("$ {first}");
    let second = "$ echo two; touch go";
    assert_eq!(told, [&first, second, "  two", &first, "  one"]);
}
