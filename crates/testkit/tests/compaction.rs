//! Conversations that no longer fit: the session goes on, and its final answer is right.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use recto_testkit::{Home, Repository, Run, Script, Server};
use serde_json::{Value, json};

const LIMIT: [&str; 2] = ["-c", "model_auto_compact_token_limit=20000"];

fn usage(input: u64) -> Value {
    json!({"input_tokens": input, "output_tokens": 10})
}

fn exec(command: &str, input: u64) -> Value {
    json!({"events": [{"call": "exec_command", "arguments": {"cmd": command}}], "usage": usage(input)})
}

fn too_long() -> Value {
    json!({"failed": {"code": "context_length_exceeded", "message": "your input exceeds the window"}})
}

/// Runs one turn over HTTP. Gives the run, the kinds of its records and the requests' inputs.
fn run(script: Script, flags: &[&str], prompt: &str) -> (Run, Vec<String>, Vec<Vec<Value>>) {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let server = Server::start(&home, &script);
    home.configure(&(server.configuration() + "max_retries = 1\n"));
    let mut args = vec!["exec"];
    args.extend(flags);
    args.push(prompt);
    let run = home.run(repo.path(), &args);
    let kind = |record: &Value| record["kind"].as_str().unwrap().to_owned();
    let kinds = home.records().iter().map(kind).collect();
    let inputs = server
        .requests()
        .iter()
        .map(recto_testkit::Request::items)
        .collect();
    (run, kinds, inputs)
}

fn count(kinds: &[String], kind: &str) -> usize {
    kinds.iter().filter(|known| *known == kind).count()
}

fn text(items: &[Value]) -> String {
    items
        .iter()
        .map(Value::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_summary_stands_for_what_was_said() {
    let script = Script::new()
        .reply(exec("echo the number is 42; seq 1 2000", 30_000))
        .reply(
            json!({"expect": {"anywhere": "the number is 42"}, "summary": true,
            "text": "The number is 42.", "usage": usage(30_500)}),
        )
        .reply(
            json!({"expect": {"anywhere": ["The number is 42.", "find the number"]},
            "text": "42", "usage": usage(3_000)}),
        );
    let (run, kinds, inputs) = run(script, &LIMIT, "find the number");
    assert_eq!(run.expect(0).stdout, "42\n");
    assert_eq!(count(&kinds, "context.compacted"), 1);
    assert!(!text(&inputs[2]).contains("1999"), "the output is gone");
}

#[test]
fn a_session_is_compacted_again_and_again() {
    let mut script = Script::new();
    for n in 0..12 {
        script = script
            .reply(exec(&format!("echo {n} >> log.txt; seq 1 500"), 30_000))
            .reply(
                json!({"summary": true, "text": format!("Done up to {n}."), "usage": usage(100)}),
            )
            .reply(exec("cat log.txt", 2_000));
    }
    let script = script.reply(json!({"expect": {"anywhere": ["Done up to 11.", "count"]},
        "text": "counted", "usage": usage(2_100)}));
    let (run, kinds, inputs) = run(script, &LIMIT, "count");
    assert_eq!(run.expect(0).stdout, "counted\n");
    assert_eq!(count(&kinds, "context.compacted"), 12);
    let last = text(inputs.last().unwrap());
    assert!(
        !last.contains("Done up to 10."),
        "one summary replaces the other"
    );
}

#[test]
fn a_compaction_that_frees_nothing_does_not_loop() {
    // The provider counts more than the limit however short the conversation is.
    let mut script = Script::new();
    for n in 0..6 {
        script = script
            .reply(exec(&format!("echo {n}"), 30_000))
            .reply(json!({
            "text": format!("A summary or an answer, {n}."), "usage": usage(30_000)}));
    }
    let script = script.reply(json!({"text": "never", "times": 20}));
    let (run, kinds, _) = run(script, &LIMIT, "go");
    run.expect(0);
    assert!(count(&kinds, "context.compacted") <= 2, "{kinds:?}");
}

#[test]
fn empty_summaries_are_refused_and_old_outputs_dropped() {
    let script = Script::new()
        .reply(exec("echo early; seq 1 3000", 9_000))
        .reply(exec("echo late", 30_000))
        .reply(json!({"text": "", "usage": usage(30_000)}))
        .reply(json!({"text": "  \n", "usage": usage(30_000)}))
        .reply(json!({"expect": {"anywhere": "late"}, "text": "done", "usage": usage(9_000)}));
    let (run, kinds, inputs) = run(script, &LIMIT, "go");
    assert_eq!(run.expect(0).stdout, "done\n");
    assert_eq!(count(&kinds, "compaction.failed"), 2);
    let last = text(inputs.last().unwrap());
    assert!(
        !last.contains("2999") && last.contains("read_chunk"),
        "{last}"
    );
}

#[test]
fn a_summary_that_the_output_limit_cut_is_refused() {
    let script = Script::new()
        .reply(exec("echo x", 30_000))
        .reply(
            json!({"summary": true, "text": "There wa", "finish": "output_limit",
            "usage": usage(30_000)}),
        )
        .reply(json!({"summary": true, "text": "There was an x.", "usage": usage(30_000)}))
        .reply(
            json!({"expect": {"anywhere": "There was an x."}, "text": "done", "usage": usage(900)}),
        );
    let (run, kinds, _) = run(script, &LIMIT, "go");
    assert_eq!(run.expect(0).stdout, "done\n");
    assert_eq!(count(&kinds, "compaction.failed"), 1);
}

#[test]
fn a_summary_that_calls_a_tool_runs_nothing() {
    let script = Script::new()
        .reply(exec("echo x", 30_000))
        .reply(
            json!({"summary": true, "text": "There was an x.", "usage": usage(30_000),
            "events": [{"call": "exec_command", "arguments": {"cmd": "touch no"}}]}),
        )
        .reply(
            json!({"expect": {"anywhere": "There was an x."}, "text": "done", "usage": usage(900)}),
        );
    let (run, kinds, _) = run(script, &LIMIT, "go");
    assert_eq!(run.expect(0).stdout, "done\n");
    assert_eq!(count(&kinds, "tool.finished"), 1);
}

#[test]
fn a_context_length_error_compacts_and_asks_again() {
    let script = Script::new()
        .reply(exec("echo the number is 42; seq 1 5000", 900))
        .reply(too_long())
        .reply(json!({"summary": true, "text": "The number is 42."}))
        .reply(json!({"expect": {"anywhere": "The number is 42."}, "text": "42"}));
    let (run, kinds, _) = run(script, &[], "find it");
    assert_eq!(run.expect(0).stdout, "42\n");
    assert_eq!(
        (
            count(&kinds, "step.failed"),
            count(&kinds, "context.compacted")
        ),
        (1, 1)
    );
}

#[test]
fn a_context_length_error_as_a_status_is_the_same() {
    let script = Script::new()
        .reply(exec("seq 1 5000", 900))
        .reply(
            json!({"error": {"status": 400, "code": "context_length_exceeded",
            "message": "This model's maximum context length is 128000 tokens."}}),
        )
        .reply(json!({"summary": true, "text": "Numbers."}))
        .reply(json!({"text": "done"}));
    let (run, kinds, _) = run(script, &[], "go");
    assert_eq!(run.expect(0).stdout, "done\n");
    assert_eq!(count(&kinds, "context.compacted"), 1);
}

#[test]
fn a_summary_that_is_too_long_itself_is_asked_for_with_less() {
    let script = Script::new()
        .reply(exec("seq 1 9000", 900))
        .reply(exec("seq 9000 18000", 900))
        .reply(too_long())
        .reply(too_long())
        .reply(json!({"summary": true, "text": "Numbers."}))
        .reply(json!({"expect": {"anywhere": "Numbers."}, "text": "done"}));
    let (run, kinds, inputs) = run(script, &[], "go");
    assert_eq!(run.expect(0).stdout, "done\n");
    assert_eq!(count(&kinds, "context.compacted"), 1);
    let size = |at: usize| text(&inputs[at]).len();
    assert!(
        size(3) < size(2) && size(4) <= size(3),
        "each try holds less"
    );
}

#[test]
fn a_window_that_nothing_fits_fails_clearly_and_soon() {
    let script = Script::new().reply(exec("seq 1 9000", 900)).reply(
        json!({"failed": {"code": "context_length_exceeded", "message": "too long"}, "times": 60}),
    );
    let (run, kinds, inputs) = run(script, &[], "go");
    let run = run.expect(1);
    assert!(
        run.stderr.contains("too long") || run.stderr.contains("window"),
        "{}",
        run.stderr
    );
    assert!(inputs.len() < 30, "{} requests", inputs.len());
    assert_eq!(kinds.last().unwrap(), "turn.ended");
}

#[test]
fn a_provider_that_fails_during_a_compaction_ends_the_turn_and_not_the_session() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let script = Script::new()
        .reply(exec("echo kept", 30_000))
        .reply(json!({"error": {"status": 403, "message": "not now"}}))
        .reply(json!({"summary": true, "text": "It was kept."}))
        .reply(json!({"expect": {"anywhere": ["It was kept.", "again"]}, "text": "done"}));
    let server = Server::start(&home, &script);
    home.configure(&server.configuration());
    let mut args = vec!["exec"];
    args.extend(LIMIT);
    let first = home
        .run(repo.path(), &[&args[..], &["go"]].concat())
        .expect(1);
    assert!(first.stderr.contains("not now"), "{}", first.stderr);
    let rest = ["resume", "--last", "again"];
    let second = home
        .run(repo.path(), &[&args[..], &rest].concat())
        .expect(0);
    assert_eq!(second.stdout, "done\n");
}

#[test]
fn an_answer_cut_by_the_output_limit_is_put_together() {
    let script = Script::new()
        .reply(json!({"text": "Once upon ", "finish": "output_limit"}))
        .reply(json!({"text": "a time, there ", "finish": "output_limit"}))
        .reply(json!({"text": "was a limit."}));
    let (run, _, inputs) = run(script, &[], "tell me");
    assert_eq!(
        run.expect(0).stdout,
        "Once upon a time, there was a limit.\n"
    );
    assert!(text(&inputs[1]).contains("output limit"));
}

#[test]
fn an_answer_cut_in_its_middle_keeps_what_was_shown() {
    let script = Script::new()
        .reply(json!({"events": [{"deltas": {"text": "Once upon "}}], "finish": "output_limit"}))
        .reply(json!({"text": "a time."}));
    let (run, _, _) = run(script, &[], "tell me");
    assert_eq!(run.expect(0).stdout, "Once upon a time.\n");
}

#[test]
fn an_output_limit_without_end_fails_clearly() {
    let script =
        Script::new().reply(json!({"text": "and ", "finish": "output_limit", "times": 40}));
    let (run, _, inputs) = run(script, &[], "tell me");
    let run = run.expect(1);
    assert!(run.stderr.contains("output limit"), "{}", run.stderr);
    assert!(inputs.len() <= 12);
}

#[test]
fn a_small_window_alone_is_enough() {
    // Nothing is counted by the provider: the estimate must do.
    let mut script = Script::new();
    for n in 0..4 {
        script = script.reply(json!({"events": [{"call": "exec_command", "arguments":
            {"cmd": format!("echo {n}; seq 1 3000")}}]}));
    }
    let script = script
        .reply(json!({"match": "is about to be cut to make room", "summary": true, "text": "Counted so far."}))
        .reply(json!({"text": "done", "times": 3}));
    let (run, kinds, _) = run(script, &["-c", "model_context_window=12000"], "count");
    assert_eq!(run.expect(0).stdout, "done\n");
    assert!(count(&kinds, "context.compacted") >= 1, "{kinds:?}");
}

#[test]
fn a_resumed_session_keeps_its_summary() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let script = Script::new()
        .reply(exec("echo the number is 42", 30_000))
        .reply(json!({"summary": true, "text": "The number is 42.", "usage": usage(100)}))
        .reply(json!({"text": "found"}))
        .reply(json!({"expect": {"anywhere": ["The number is 42.", "what is it"]}, "text": "42"}));
    let model = script.model();
    let mut args = vec!["exec", "-m", &model];
    args.extend(LIMIT);
    args.push("find it");
    home.run(repo.path(), &args).expect(0);
    let run = home
        .run(repo.path(), &["exec", "resume", "--last", "what is it?"])
        .expect(0);
    assert_eq!(run.stdout, "42\n");
}
