//! The stream of `--json` as `docs/json-events.md` promises it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use recto_testkit::{Home, Repository, Run, Script, binary, workspace};
use serde_json::{Value, json};

fn place() -> (Home, Repository) {
    (Home::new(), Repository::new(&[("a.txt", "one\ntwo\n")]))
}

/// Runs `exec --json` with a scripted model, and more arguments.
fn exec(home: &Home, repo: &Repository, script: &Script, more: &[&str]) -> Run {
    let model = script.model();
    let mut args = vec!["exec", "--json", "-m", &model];
    args.extend(more);
    home.run(repo.path(), &args)
}

/// The events of a run, after checking what holds for every stream with a turn in it.
fn events(run: &Run) -> Vec<Value> {
    let events = run.events();
    assert_well_formed(&events);
    events
}

/// The session's beginning comes first, one end comes last, and what starts completes.
fn assert_well_formed(events: &[Value]) {
    let shown = || {
        events
            .iter()
            .map(Value::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(events[0]["type"], "thread.started", "{}", shown());
    let (mut open, mut ended, mut ids) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for event in events {
        for word in [
            &event["type"],
            &event["item"]["type"],
            &event["code"],
            &event["error"]["reason"],
        ] {
            assert!(
                word.as_str().is_none_or(documented),
                "{word} is not documented"
            );
        }
        let id = event["item"]["id"].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str().unwrap() {
            "item.started" => {
                assert!(ids.insert(id.clone()), "{id} twice\n{}", shown());
                open.insert(id);
            }
            "item.updated" => assert!(open.contains(&id), "{}", shown()),
            "item.completed" => {
                if !open.remove(&id) {
                    assert!(ids.insert(id.clone()), "{id} twice\n{}", shown());
                }
                assert!(ended.insert(id), "{}", shown());
                assert_ne!(event["item"]["status"], "in_progress", "{}", shown());
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?} never ended\n{}", shown());
    let is_end = |event: &Value| {
        matches!(
            event["type"].as_str().unwrap(),
            "turn.completed" | "turn.failed" | "error"
        )
    };
    assert_eq!(
        events.iter().filter(|event| is_end(event)).count(),
        1,
        "{}",
        shown()
    );
    assert!(is_end(events.last().unwrap()), "{}", shown());
    let turns = events
        .iter()
        .filter(|event| event["type"] == "turn.started")
        .count();
    assert_eq!(turns, 1, "{}", shown());
}

/// The completed items of one type.
fn completed<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events
        .iter()
        .filter(|event| event["type"] == "item.completed" && event["item"]["type"] == kind)
        .map(|event| &event["item"])
        .collect()
}

fn warnings(events: &[Value]) -> Vec<&str> {
    let warnings = events.iter().filter(|event| event["type"] == "warning");
    warnings
        .map(|event| event["code"].as_str().unwrap())
        .collect()
}

fn end(events: &[Value]) -> &Value {
    events.last().unwrap()
}

/// What `docs/json-events.md` names as `this`.
fn documented(word: &str) -> bool {
    let text = std::fs::read_to_string(workspace().join("docs/json-events.md")).unwrap();
    text.contains(&format!("`{word}`"))
}

// ---- the documentation ----

#[test]
fn examples_in_the_documentation_are_events() {
    let text = std::fs::read_to_string(workspace().join("docs/json-events.md")).unwrap();
    let mut heading = "";
    let mut examples = 0;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("### ") {
            heading = line;
        }
        if line == "```json" {
            let example: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
            let kind = example["type"].as_str().unwrap();
            assert!(
                heading.contains(&format!("`{kind}`")),
                "{kind} below {heading}"
            );
            assert_eq!(lines.next(), Some("```"));
            examples += 1;
        }
    }
    assert_eq!(examples, 19, "one for each event and item");
}

// ---- items ----

#[test]
fn a_command_still_running_at_the_end_is_completed() {
    let (home, repo) = place();
    let script = Script::new()
        .call(
            "exec_command",
            json!({"cmd": "echo begun; sleep 600", "yield_time_ms": 250}),
        )
        .answer("Left it running.");
    let run = exec(&home, &repo, &script, &["do it"]).expect(0);
    let events = events(&run);
    let commands = completed(&events, "command_execution");
    assert_eq!(commands.len(), 1);
    assert_eq!(commands[0]["status"], "failed");
    assert_eq!(commands[0]["exit_code"], Value::Null);
    assert_eq!(commands[0]["aggregated_output"], "begun\n");
    assert_eq!(
        commands[0]["error"]["message"],
        "it was stopped when the turn ended"
    );
}

#[test]
fn a_command_that_ends_in_the_background_is_one_item() {
    let (home, repo) = place();
    let script = Script::new()
        .call(
            "exec_command",
            json!({"cmd": "echo a; sleep 1; echo b", "yield_time_ms": 250}),
        )
        .call(
            "write_stdin",
            json!({"session_id": 1, "yield_time_ms": 20000}),
        )
        .answer("done");
    let run = exec(&home, &repo, &script, &["do it"]).expect(0);
    let events = events(&run);
    let commands = completed(&events, "command_execution");
    assert_eq!(commands.len(), 1);
    assert_eq!(commands[0]["aggregated_output"], "a\nb\n");
    assert_eq!(commands[0]["exit_code"], 0);
    assert!(completed(&events, "tool_call").is_empty());
}

#[test]
fn a_failing_patch_is_a_failed_change() {
    let (home, repo) = place();
    let patch = "*** Begin Patch\n*** Update File: a.txt\n@@\n-three\n+four\n*** End Patch\n";
    let heredoc = format!("apply_patch <<'EOF'\n{patch}EOF");
    let script = Script::new()
        .patch(patch)
        .patch("no patch at all")
        .exec(&heredoc)
        .answer("done");
    let run = exec(&home, &repo, &script, &["do it"]).expect(0);
    let events = events(&run);
    let changes = completed(&events, "file_change");
    assert_eq!(changes.len(), 3);
    for change in changes {
        assert_eq!(change["status"], "failed");
        let message = change["error"]["message"].as_str().unwrap();
        assert!(message.contains("nothing was changed"), "{message}");
    }
    assert!(completed(&events, "command_execution").is_empty());
}

#[test]
fn a_patch_tells_each_file_and_where_it_went() {
    let (home, repo) = (
        Home::new(),
        Repository::new(&[("a.txt", "a\n"), ("b.txt", "b\n")]),
    );
    let script = Script::new()
        .patch(
            "*** Begin Patch\n*** Update File: a.txt\n*** Move to: sub/c.txt\n@@\n-a\n+c\n\
             *** Delete File: b.txt\n*** Add File: d.txt\n+d\n*** End Patch\n",
        )
        .answer("done");
    let run = exec(&home, &repo, &script, &["do it"]).expect(0);
    let root = repo.path().to_str().unwrap();
    let events = events(&run);
    assert_eq!(
        completed(&events, "file_change")[0]["changes"],
        json!([
            {"path": format!("{root}/a.txt"), "kind": "update",
             "move_path": format!("{root}/sub/c.txt")},
            {"path": format!("{root}/b.txt"), "kind": "delete"},
            {"path": format!("{root}/d.txt"), "kind": "add"},
        ])
    );
}

#[test]
fn every_rejected_call_is_shown() {
    let (home, repo) = place();
    let call = |name: &str, arguments: Value| json!({"call": name, "arguments": arguments});
    let script = Script::new()
        .reply(json!({"events": [
            call("fly", json!({"to": "the moon"})),
            call("exec_command", json!("{\"cmd\": ")),
            call("exec_command", json!({"command": "ls"})),
            call("exec_command", json!({"cmd": "echo no", "yield_time_ms": "soon"})),
            call("exec_command", json!({"cmd": "echo \u{0}"})),
            call("write_stdin", json!({"session_id": 7})),
            call("read_chunk", json!({"chunk_id": "nothex"})),
            call("view_image", json!({"path": "../../etc/passwd"})),
            call("update_plan", json!({"plan": "none"})),
        ]}))
        .answer("done");
    let run = exec(&home, &repo, &script, &["do it"]).expect(0);
    let events = events(&run);
    let calls = completed(&events, "tool_call");
    let tools: Vec<&str> = calls
        .iter()
        .map(|call| call["tool"].as_str().unwrap())
        .collect();
    let mut sorted = tools.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [
            "exec_command",
            "exec_command",
            "fly",
            "read_chunk",
            "update_plan",
            "view_image",
            "write_stdin"
        ]
    );
    for call in calls {
        assert!(
            ["rejected", "failed"].contains(&call["status"].as_str().unwrap()),
            "{call}"
        );
        assert!(
            !call["error"]["message"].as_str().unwrap().is_empty(),
            "{call}"
        );
    }
    // These two looked like commands at first.
    for command in completed(&events, "command_execution") {
        assert_eq!(command["status"], "failed");
        assert!(!command["error"]["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(completed(&events, "command_execution").len(), 2);
}

#[test]
fn calls_that_cannot_be_answered_are_shown_too() {
    let (home, repo) = place();
    let echo = |id: &str, text: &str| json!({"call": "exec_command", "call_id": id, "arguments": {"cmd": format!("echo {text}")}});
    let script = Script::new()
        .reply(json!({"events": [echo("same", "first"), echo("same", "second")]}))
        .reply(json!({"events": [{"item": {"type": "function_call", "name": "exec_command"}}]}))
        .answer("done");
    let run = exec(&home, &repo, &script, &["do it"]).expect(0);
    let events = events(&run);
    let calls = completed(&events, "tool_call");
    assert_eq!(calls.len(), 2, "{events:#?}");
    assert_eq!(calls[0]["error"]["message"], "another call has the same id");
    assert_eq!(calls[0]["input"], r#"{"cmd":"echo second"}"#);
    assert_eq!(calls[1]["status"], "rejected");
    assert_eq!(completed(&events, "command_execution").len(), 1);
}

#[test]
fn more_calls_than_are_run_at_once_are_shown() {
    let (home, repo) = place();
    let calls: Vec<Value> = (0..66)
        .map(|_| json!({"call": "update_plan", "arguments": {"plan": []}}))
        .collect();
    let script = Script::new().reply(json!({"events": calls})).answer("done");
    let run = exec(&home, &repo, &script, &["do it"]).expect(0);
    assert_eq!(completed(&events(&run), "tool_call").len(), 2);
}

#[test]
fn a_plan_is_one_item_of_the_turn() {
    let (home, repo) = place();
    let plan = |status: &str| json!({"plan": [{"step": "one", "status": status}]});
    let script = Script::new()
        .call("update_plan", plan("pending"))
        .call("update_plan", plan("in_progress"))
        .call("update_plan", plan("completed"))
        .answer("done");
    let run = exec(&home, &repo, &script, &["do it"]).expect(0);
    let events = events(&run);
    let plans: Vec<(&str, bool)> = events
        .iter()
        .filter(|event| event["item"]["type"] == "todo_list")
        .map(|event| {
            let completed = event["item"]["items"][0]["completed"].as_bool().unwrap();
            (event["type"].as_str().unwrap(), completed)
        })
        .collect();
    assert_eq!(
        plans,
        [
            ("item.started", false),
            ("item.updated", false),
            ("item.updated", true),
            ("item.completed", true)
        ]
    );
}

#[test]
fn checks_are_commands_with_a_mark() {
    let (home, repo) = place();
    let script = Script::new()
        .exec("touch begun")
        .answer("Done.")
        .exec("touch mended")
        .answer("Mended.");
    let check = "echo looking; test -f mended";
    let run = exec(&home, &repo, &script, &["--check", check, "do it"]).expect(0);
    let events = events(&run);
    let commands = completed(&events, "command_execution");
    let seen: Vec<(Option<bool>, &str)> = commands
        .iter()
        .map(|command| {
            (
                command["check"].as_bool(),
                command["status"].as_str().unwrap(),
            )
        })
        .collect();
    let (made, check) = (None, Some(true));
    assert_eq!(
        seen,
        [
            (made, "completed"),
            (check, "failed"),
            (made, "completed"),
            (check, "completed")
        ]
    );
    assert_eq!(commands[1]["aggregated_output"], "looking\n");
    assert_eq!(commands[1]["exit_code"], 1);
}

#[test]
fn an_answer_cut_by_the_output_limit_ends_with_the_whole_of_it() {
    let (home, repo) = place();
    let script = Script::new()
        .reply(json!({"text": "The first half, ", "finish": "output_limit"}))
        .answer("the second half.");
    let run = exec(&home, &repo, &script, &["do it"]).expect(0);
    let events = events(&run);
    let messages = completed(&events, "agent_message");
    let last = messages.last().unwrap();
    assert_eq!(last["text"], "The first half, the second half.");
    assert_eq!(last["whole_answer"], true);
    assert_eq!(messages.len(), 3);
}

#[test]
fn output_of_any_kind_stays_one_valid_line() {
    let (home, repo) = place();
    let commands = [
        r"printf '\000\001\033[31mred\033[0m\r\n\377\376\302\205\342\200\250\342\200\251\033]0;t\007'",
        "head -c 3000000 /dev/zero",
        "head -c 300000 /dev/urandom",
        r#"python3 -c 'print("ä" * 700000)' || printf 'ä%.0s' $(seq 700000)"#,
    ];
    let script = commands
        .iter()
        .fold(Script::new(), |script, command| script.exec(command));
    let script = script.answer("a\u{2028}b\u{85}c\u{9b}31m");
    let run = exec(&home, &repo, &script, &["do it"]).expect(0);
    for character in [
        '\u{1b}', '\u{85}', '\u{9b}', '\u{2028}', '\u{2029}', '\r', '\0',
    ] {
        assert!(!run.stdout.contains(character), "{character:?} as it is");
    }
    let events = events(&run);
    let outputs: Vec<&str> = completed(&events, "command_execution")
        .iter()
        .map(|command| command["aggregated_output"].as_str().unwrap())
        .collect();
    assert!(
        outputs[0].starts_with("\0\u{1}\u{1b}[31mred\u{1b}[0m\r\n"),
        "{:?}",
        outputs[0]
    );
    assert!(outputs[0].contains("\u{85}\u{2028}\u{2029}"));
    assert_eq!(outputs[1].len(), 1 << 20);
    assert_eq!(
        completed(&events, "command_execution")[1]["output_cut"],
        true
    );
    assert!(outputs[3].chars().all(|c| c == 'ä'), "a character was cut");
    assert_eq!(
        completed(&events, "agent_message")[0]["text"],
        "a\u{2028}b\u{85}c\u{9b}31m"
    );
}

#[test]
fn no_object_has_a_key_twice() {
    let (home, repo) = place();
    let search = json!({"type": "web_search_call", "id": "ws_1", "status": "completed",
                        "action": {"type": "search", "query": "weather", "queries": ["weather"]}});
    let script = Script::new()
        .reply(json!({"events": [{"item": search}, {"call": "fly", "arguments": {}}]}))
        .exec("true")
        .answer("done");
    let run = exec(&home, &repo, &script, &["do it"]).expect(0);
    let events = events(&run);
    // Parsing keeps the last of equal keys, so that a line would come back shorter.
    for (line, event) in run.stdout.lines().zip(&events) {
        assert_eq!(line.len(), event.to_string().len(), "{line}");
        assert!(line.starts_with(r#"{"type":"#), "{line}");
    }
    assert_eq!(completed(&events, "web_search")[0]["query"], "weather");
    assert_eq!(
        completed(&events, "web_search")[0]["action"]["type"],
        "search"
    );
}

// ---- ends ----

/// Interrupts a run once it shows a line with `sign`, and gives its events and exit code.
fn interrupted(
    signal: &str,
    script: &Script,
    sign: &str,
    more: &[&str],
) -> (Vec<Value>, Option<i32>) {
    let (home, repo) = place();
    let model = script.model();
    let mut args = vec!["exec", "--json", "-m", &model];
    args.extend(more);
    args.push("do it");
    let mut child = home.command(repo.path(), &args).spawn().unwrap();
    let pid = child.id().to_string();
    let mut is_asked = false;
    let mut events: Vec<Value> = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if !is_asked && line.contains(sign) {
            Command::new("kill").args([signal, &pid]).status().unwrap();
            is_asked = true;
        }
        events.push(serde_json::from_str(&line).unwrap());
    }
    let code = child.wait().unwrap().code();
    // What the script waits for would take ten minutes, and would end otherwise.
    assert!(is_asked, "the sign never came");
    assert_well_formed(&events);
    assert_eq!(end(&events)["type"], "turn.failed");
    assert_eq!(end(&events)["error"]["reason"], "interrupted");
    (events, code)
}

#[test]
fn signals_end_the_turn_with_an_event() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let script = Script::new().exec("echo begun; sleep 600").answer("never");
        let (events, exit) = interrupted(signal, &script, "item.started", &[]);
        assert_eq!(exit, Some(code));
        let command = completed(&events, "command_execution")[0];
        assert_eq!(command["status"], "failed");
        assert_eq!(command["exit_code"], Value::Null);
    }
}

#[test]
fn a_signal_at_the_first_event_ends_the_turn_too() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let script = Script::new().exec("sleep 600").answer("never");
        let (_, exit) = interrupted(signal, &script, "thread.started", &[]);
        assert_eq!(exit, Some(code));
    }
}

#[test]
fn a_signal_while_the_model_speaks_ends_the_turn() {
    let script = Script::new().reply(json!({"events": [
        {"deltas": {"text": "hm ", "count": 3}}, {"delay_ms": 60000}, {"text": "never"},
    ]}));
    let (events, exit) = interrupted("-TERM", &script, "item.delta", &["--deltas"]);
    assert_eq!(exit, Some(143));
    assert!(completed(&events, "agent_message").is_empty());
}

#[test]
fn a_signal_during_a_check_ends_its_item() {
    let script = Script::new().exec("touch begun").answer("Done.");
    let (events, exit) = interrupted("-INT", &script, "\"check\":true", &["--check", "sleep 600"]);
    assert_eq!(exit, Some(130));
    assert_eq!(completed(&events, "command_execution")[1]["check"], true);
}

#[test]
fn budgets_end_with_three() {
    let (home, repo) = place();
    let steps = Script::new().exec("true").exec("true").answer("never");
    let run = exec(&home, &repo, &steps, &["--max-steps", "1", "do it"]).expect(3);
    assert_eq!(end(&events(&run))["error"]["reason"], "budget");
    let seconds = Script::new().exec("sleep 600").answer("never");
    let run = exec(&home, &repo, &seconds, &["--max-seconds", "1", "do it"]).expect(3);
    let events = events(&run);
    assert_eq!(end(&events)["error"]["reason"], "budget");
    assert_eq!(
        completed(&events, "command_execution")[0]["status"],
        "failed"
    );
}

#[test]
fn a_failed_model_ends_with_one() {
    let (home, repo) = place();
    let script = Script::new().reply(json!({"error": {"status": 400, "message": "no such thing"}}));
    let run = exec(&home, &repo, &script, &["do it"]).expect(1);
    let events = events(&run);
    assert_eq!(end(&events)["type"], "turn.failed");
    assert_eq!(end(&events)["error"]["reason"], "model");
    assert!(
        end(&events)["error"]["message"]
            .as_str()
            .unwrap()
            .contains("no such thing")
    );
}

#[test]
fn retries_are_warnings() {
    let (home, repo) = place();
    let script = Script::new()
        .reply(json!({"error": {"status": 429, "headers": {"retry-after": "0"}}}))
        .reply(json!({"events": [{"text": "half"}], "cut": {"events": 0}}))
        .answer("done");
    let run = exec(&home, &repo, &script, &["do it"]).expect(0);
    let events = events(&run);
    assert_eq!(warnings(&events), ["retry", "retry"]);
    assert_eq!(
        events
            .iter()
            .filter(|event| event["type"] == "error")
            .count(),
        0
    );
    let retry = events
        .iter()
        .find(|event| event["code"] == "retry")
        .unwrap();
    assert_eq!(retry["status"], 429);
    assert!(retry["retry_in_ms"].is_u64());
}

#[test]
fn warnings_come_behind_the_first_event() {
    let (home, repo) = place();
    // A project's file that nobody trusts is ignored with a notice.
    repo.write(".recto/config.toml", "checks = [\"false\"]\n");
    let script = Script::new().answer("done");
    let run = exec(&home, &repo, &script, &["do it"]).expect(0);
    let events = events(&run);
    assert_eq!(warnings(&events), ["config"]);
    assert_eq!(events[1]["type"], "warning");
}

#[test]
fn a_schema_is_checked_with_one_retry() {
    let (home, repo) = place();
    let schema = home.path().join("schema.json");
    std::fs::write(&schema, r#"{"type": "object", "required": ["n"]}"#).unwrap();
    let with_schema = ["--output-schema", schema.to_str().unwrap(), "do it"];

    let second = Script::new().answer("words").answer(r#"{"n": 1}"#);
    let events_of = |script: &Script, code| {
        let run = exec(&home, &repo, script, &with_schema).expect(code);
        events(&run)
    };
    let mended = events_of(&second, 0);
    assert_eq!(warnings(&mended), ["schema"]);
    assert_eq!(
        completed(&mended, "agent_message").last().unwrap()["text"],
        r#"{"n": 1}"#
    );

    let never = Script::new()
        .answer("words")
        .answer(r#"{"m": 1}"#)
        .answer(r#"{"n": 1}"#);
    let failed = events_of(&never, 1);
    assert_eq!(end(&failed)["type"], "turn.failed");
    assert_eq!(end(&failed)["error"]["reason"], "schema");
    let message = end(&failed)["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("\"n\" is a required property"),
        "{message}"
    );
    assert_eq!(completed(&failed, "agent_message").len(), 2);
}

// ---- usage ----

#[test]
fn usage_is_the_turns_beside_the_threads() {
    let (home, repo) = place();
    let script = Script::new()
        .exec("true")
        .answer("one")
        .answer("two")
        .answer("three");
    let tokens = |events: &[Value]| {
        let end = end(events);
        (
            end["usage"]["input_tokens"].as_u64(),
            end["thread_usage"]["input_tokens"].as_u64(),
        )
    };
    let first = events(&exec(&home, &repo, &script, &["do it"]).expect(0));
    assert_eq!(tokens(&first), (Some(200), Some(200)));
    let second = events(&exec(&home, &repo, &script, &["resume", "--last", "more"]).expect(0));
    assert_eq!(tokens(&second), (Some(100), Some(300)));
    assert_eq!(first[0]["thread_id"], second[0]["thread_id"]);
    let id = first[0]["thread_id"].as_str().unwrap();
    let forked = events(&exec(&home, &repo, &script, &["fork", id, "other"]).expect(0));
    assert_eq!(tokens(&forked), (Some(100), Some(400)));
    assert_ne!(forked[0]["thread_id"], first[0]["thread_id"]);
    for name in [
        "cached_input_tokens",
        "cache_write_input_tokens",
        "reasoning_output_tokens",
    ] {
        assert!(end(&forked)["usage"][name].is_u64(), "{name}");
    }
}

// ---- unfinished turns ----

/// A session whose program was killed while a command ran; its id.
fn killed(home: &Home, repo: &Repository, script: &Script) -> String {
    let args = ["exec", "--json", "-m", &script.model(), "work for long"];
    let mut child = home.command(repo.path(), &args).spawn().unwrap();
    let mut id = None;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        id = id.or(event["thread_id"].as_str().map(str::to_owned));
        if event["type"] == "item.started" {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    id.unwrap()
}

#[test]
fn going_on_with_an_unfinished_turn_is_a_turn() {
    let (home, repo) = place();
    let script = Script::new().exec("sleep 600").answer("done");
    let id = killed(&home, &repo, &script);
    let run = exec(&home, &repo, &script, &["resume", &id]).expect(0);
    assert_eq!(end(&events(&run))["type"], "turn.completed");
}

#[test]
fn a_new_message_ends_an_unfinished_turn_without_a_second_end() {
    let (home, repo) = place();
    let script = Script::new().exec("sleep 600").answer("done");
    let id = killed(&home, &repo, &script);
    let run = exec(&home, &repo, &script, &["resume", &id, "something else"]).expect(0);
    let events = events(&run);
    assert_eq!(warnings(&events), ["unfinished_turn"]);
    assert_eq!(end(&events)["type"], "turn.completed");
}

#[test]
fn an_unfinished_turn_takes_no_schema_without_a_message() {
    let (home, repo) = place();
    let script = Script::new().exec("sleep 600").answer("done");
    let id = killed(&home, &repo, &script);
    let schema = script.dir().join("schema.json");
    std::fs::write(&schema, "{\"type\":\"object\"}").unwrap();
    let args = ["resume", &id, "--output-schema", schema.to_str().unwrap()];
    let run = exec(&home, &repo, &script, &args).expect(0);
    assert!(run.stdout.contains("--output-schema is not used"));
}

// ---- errors before the session ----

#[test]
fn an_error_before_the_session_is_one_event() {
    let (home, repo) = place();
    let script = Script::new().answer("never");
    let cases: &[&[&str]] = &[
        &["-c", "no_such_key=1", "do it"],
        &["-s", "everything", "do it"],
        &["-C", "/no/such/directory", "do it"],
        &["-i", "/no/such.png", "do it"],
        &["--output-schema", "/no/such.json", "do it"],
        &["-p", "nobody", "do it"],
        &["--provider", "nobody", "do it"],
        &["resume", "01234567-aaaa-7aaa-8aaa-aaaaaaaaaaaa", "go on"],
        &["resume"],
        &[],
    ];
    for case in cases {
        let run = exec(&home, &repo, &script, case).expect(2);
        let events = run.events();
        assert_eq!(events.len(), 1, "{case:?}: {}", run.stdout);
        assert_eq!(events[0]["type"], "error", "{case:?}");
        let message = events[0]["message"].as_str().unwrap();
        assert!(
            run.stderr.contains(message),
            "{case:?}: {message}\n{}",
            run.stderr
        );
    }
    assert!(home.sessions().is_empty());
}

#[test]
fn a_session_in_use_ends_with_four() {
    let (home, repo) = place();
    let script = Script::new().exec("sleep 600").answer("never");
    let args = ["exec", "--json", "-m", &script.model(), "do it"];
    let mut child = home.command(repo.path(), &args).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    while !lines.next().unwrap().unwrap().contains("item.started") {}
    let id = first["thread_id"].as_str().unwrap();
    let run = exec(&home, &repo, &script, &["resume", id, "me too"]).expect(4);
    let events = run.events();
    assert_eq!(events.len(), 1, "{}", run.stdout);
    assert_eq!(events[0]["type"], "error");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_large_prompt_is_taken_off_a_writer_even_when_nothing_works() {
    let (home, repo) = place();
    let mut child = home.spawn_with(repo.path(), &["exec", "--json", "-c", "no_such_key=1"]);
    std::thread::sleep(Duration::from_millis(100));
    let written = child.stdin.take().unwrap().write_all(&vec![b'x'; 8 << 20]);
    assert!(written.is_ok(), "{written:?}");
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

#[test]
fn a_failure_within_a_turn_is_its_end() {
    let (home, repo) = place();
    let script = Script::new()
        .call(
            "exec_command",
            json!({"cmd": "sleep 600", "yield_time_ms": 250}),
        )
        .answer(&"long ".repeat(100_000));
    // No file may grow beyond this, so that the log takes the command and not the answer.
    let shell = "trap '' XFSZ; ulimit -f 200; exec \"$@\"";
    let plain = home.command::<&str>(repo.path(), &[]);
    let environment = plain
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    let output = Command::new("sh")
        .args(["-c", shell, "sh"])
        .arg(binary())
        .args(["exec", "--json", "-m", &script.model(), "do it"])
        .current_dir(repo.path())
        .env_clear()
        .envs(environment)
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stdout}\n{stderr}");
    let events: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_well_formed(&events);
    assert_eq!(end(&events)["type"], "turn.failed");
    assert_eq!(end(&events)["error"]["reason"], "unavailable");
    assert_eq!(completed(&events, "command_execution").len(), 1);
}

// ---- deltas ----

#[test]
fn deltas_come_only_when_asked_for() {
    let (home, repo) = place();
    let script = Script::new().reply(json!({"events": [
        {"reasoning": "thinking", "pieces": 2}, {"text": "An answer.", "pieces": 3},
    ]}));
    let plain = events(&exec(&home, &repo, &script, &["do it"]).expect(0));
    assert!(plain.iter().all(|event| event["type"] != "item.delta"));
    let events = events(&exec(&home, &repo, &script, &["--deltas", "do it"]).expect(0));
    let said = |kind: &str| -> String {
        let deltas = events
            .iter()
            .filter(|e| e["type"] == "item.delta" && e["kind"] == kind);
        deltas
            .map(|event| event["text"].as_str().unwrap())
            .collect()
    };
    assert_eq!(said("agent_message"), "An answer.");
    assert_eq!(said("reasoning"), "thinking");
}

// ---- readers ----

#[test]
fn each_event_is_readable_at_once() {
    let (home, repo) = place();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    // Nothing listens there: the first request fails, and its retry waits for a second.
    home.configure(&format!(
        "provider = \"here\"\nmodel = \"m\"\n[providers.here]\nbase_url = \
         \"http://127.0.0.1:{port}/v1\"\nmax_retries = 1\n"
    ));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    let run = home
        .run(repo.path(), &["exec", "--json", "do it"])
        .expect(1);
    let events = events(&run);
    assert!(warnings(&events).contains(&"retry"));
    assert_eq!(end(&events)["error"]["reason"], "model");
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_work() {
    let (home, repo) = place();
    let script = Script::new()
        .exec("sleep 0.3; touch written")
        .answer("done");
    let args = ["exec", "--json", "-m", &script.model(), "do it"];
    let mut child = home.command(repo.path(), &args).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(repo.path().join("written").exists());
}
