//! Speaking to a turn that runs. The command line has no way to do so yet; the driver has, so it is
//! driven here, with a real log and a real cell.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod driven;

use std::sync::Arc;

use driven::{Seen, records, take_over, until};
use recto_agent::Session;
use recto_model::script::Scripted;
use recto_protocol::Item;
use recto_protocol::record::{Body, Delivery, Outcome};
use recto_runtime::{Control, Handle};
use recto_testkit::{Home, Repository, Script};
use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;

fn say(handle: &Handle, text: &str, delivery: Delivery) {
    assert!(handle.send(Control::Message {
        items: vec![Item::message("user", text)],
        delivery,
        inbox: None,
    }));
}

fn interrupt(handle: &Handle) {
    assert!(handle.send(Control::Interrupt {
        by: "user".into(),
        inbox: None
    }));
}

fn completed(answer: &str) -> Outcome {
    Outcome::Completed {
        answer: answer.into(),
    }
}

fn interrupted() -> Outcome {
    Outcome::Interrupted { by: "user".into() }
}

/// Makes a session, then runs its second turn here while `meanwhile` speaks to it; then each prefix
/// of the log must fold, and the program must be able to go on.
fn check<F>(script: Script, flags: &[&str], expected: &Outcome, meanwhile: F) -> Repository
where
    F: AsyncFnOnce(&mut UnboundedReceiver<Seen>, Handle, &Repository),
{
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let script = script.reply(json!({"match": "one more thing", "text": "still here"}));
    let script = script.reply(json!({"match": "say hello", "text": "hello"}));
    let mut args = vec!["exec", "-m"];
    let model = script.model();
    args.push(&model);
    args.extend(flags);
    args.push("say hello");
    home.run(repo.path(), &args).expect(0);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let outcome = runtime.block_on(async {
        let scripted = Arc::new(Scripted::open(&script.path()).unwrap());
        let mut driven = take_over(&home, &repo, scripted).await;
        let turn = driven.turn("begin", async |events, handle| {
            meanwhile(events, handle, &repo).await
        });
        let outcome = turn.await;
        driven.close().await;
        outcome
    });
    let records = records(&home);
    assert_eq!(outcome, *expected, "{records:#?}");
    for count in 1..=records.len() {
        let session = Session::replay(&records[..count]).unwrap();
        let _ = session.next();
    }
    let run = home
        .run(repo.path(), &["exec", "resume", "--last", "one more thing"])
        .expect(0);
    assert_eq!(run.stdout, "still here\n");
    repo
}

const WAIT: &str = "echo begun; until [ -e gate ]; do sleep 0.02; done; echo over";

fn begun() -> Seen {
    Seen::Output("begun\n".into())
}

fn record(kind: &str) -> Seen {
    Seen::Record(kind.into())
}

#[test]
fn a_message_during_a_command_comes_after_its_output() {
    let script = Script::new().exec(WAIT).reply(json!({
        "expect": {"contains": "use blue", "anywhere": "over"}, "text": "blue"}));
    check(
        script,
        &[],
        &completed("blue"),
        async |events, handle, repo| {
            until(events, &begun()).await;
            say(&handle, "use blue", Delivery::Steer);
            until(events, &record("message.added")).await;
            repo.write("gate", "");
        },
    );
}

#[test]
fn a_message_during_the_answer_withdraws_it() {
    let script = Script::new()
        .reply(json!({"events": [{"text": "draft"}, {"delay_ms": 500}]}))
        .reply(json!({"expect": {"contains": "use blue", "anywhere": "draft"}, "text": "blue"}));
    check(
        script,
        &[],
        &completed("blue"),
        async |events, handle, _| {
            until(events, &record("step.item")).await;
            say(&handle, "use blue", Delivery::Steer);
        },
    );
}

#[test]
fn a_queued_message_waits_for_the_answer() {
    let script = Script::new()
        .exec(WAIT)
        .reply(json!({"expect": {"not_contains": "use blue"}, "text": "red"}))
        .reply(json!({"expect": {"contains": "use blue"}, "text": "blue"}));
    check(
        script,
        &[],
        &completed("blue"),
        async |events, handle, repo| {
            until(events, &begun()).await;
            say(&handle, "use blue", Delivery::Queue);
            until(events, &record("message.added")).await;
            repo.write("gate", "");
        },
    );
}

#[test]
fn a_message_while_a_request_waits_for_its_retry() {
    let script = Script::new()
        .reply(
            json!({"error": {"status": 503, "message": "busy", "headers": {"retry-after": "1"}}}),
        )
        .reply(json!({"expect": {"contains": "use blue"}, "text": "blue"}));
    check(
        script,
        &[],
        &completed("blue"),
        async |events, handle, _| {
            until(events, &record("step.failed")).await;
            say(&handle, "use blue", Delivery::Steer);
        },
    );
}

#[test]
fn a_message_during_a_check() {
    let script = Script::new()
        .exec("echo x > x.txt")
        .reply(json!({"text": "red"}))
        .reply(json!({"expect": {"contains": "use blue"}, "text": "blue"}));
    let flags = [
        "--check",
        "test ! -e x.txt || until [ -e gate ]; do sleep 0.02; done",
    ];
    check(
        script,
        &flags,
        &completed("blue"),
        async |events, handle, repo| {
            until(events, &Seen::CheckStarted).await;
            say(&handle, "use blue", Delivery::Steer);
            until(events, &record("message.added")).await;
            repo.write("gate", "");
        },
    );
}

fn large() -> Script {
    Script::new().reply(
        json!({"events": [{"call": "exec_command", "arguments": {"cmd": "echo x"}}],
        "usage": {"input_tokens": 90_000, "output_tokens": 10}}),
    )
}

const SMALL: [&str; 2] = ["-c", "model_auto_compact_token_limit=50000"];

#[test]
fn a_message_during_a_compaction() {
    let script = large()
        .reply(json!({"summary": true, "text": "Some.", "events": [{"delay_ms": 500}]}))
        .reply(json!({"summary": true, "text": "Some."}))
        .reply(json!({"expect": {"contains": "use blue"}, "text": "blue"}));
    check(
        script,
        &SMALL,
        &completed("blue"),
        async |events, handle, _| {
            until(events, &Seen::Compacting).await;
            say(&handle, "use blue", Delivery::Steer);
        },
    );
}

#[test]
fn an_interrupt_during_a_command_ends_it_and_keeps_its_output() {
    let script = Script::new().exec("touch begun; echo begun; sleep 1000; touch over");
    let repo = check(script, &[], &interrupted(), async |events, handle, _| {
        until(events, &begun()).await;
        interrupt(&handle);
    });
    assert!(repo.path().join("begun").exists() && !repo.path().join("over").exists());
}

#[test]
fn an_interrupt_during_the_answer() {
    let script = Script::new().reply(json!({"events": [{"text": "draft"}, {"delay_ms": 600_000}]}));
    check(script, &[], &interrupted(), async |events, handle, _| {
        until(events, &record("step.item")).await;
        interrupt(&handle);
    });
}

#[test]
fn an_interrupt_while_a_request_waits_for_its_retry() {
    let script = Script::new().reply(
        json!({"error": {"status": 503, "message": "busy", "headers": {"retry-after": "500"}}}),
    );
    check(script, &[], &interrupted(), async |events, handle, _| {
        until(events, &record("step.failed")).await;
        interrupt(&handle);
    });
}

#[test]
fn an_interrupt_while_a_compaction_waits_for_its_retry() {
    let script = large().reply(
        json!({"error": {"status": 503, "message": "busy", "headers": {"retry-after": "500"}}}),
    );
    check(script, &SMALL, &interrupted(), async |events, handle, _| {
        until(events, &Seen::Compacting).await;
        // The refusal comes at once; an interrupt before it would prove less.
        tokio::task::yield_now().await;
        interrupt(&handle);
    });
}

#[test]
fn an_interrupt_during_a_check() {
    let script = Script::new()
        .exec("echo x > x.txt")
        .reply(json!({"text": "red"}));
    let flags = ["--check", "test ! -e x.txt || sleep 1000"];
    check(
        script,
        &flags,
        &interrupted(),
        async |events, handle, repo| {
            until(events, &Seen::CheckStarted).await;
            interrupt(&handle);
            // The turn that follows must not wait for the check either.
            std::fs::remove_file(repo.path().join("x.txt")).unwrap();
        },
    );
}

#[test]
fn what_is_said_twice_is_seen_once_each() {
    let script = Script::new().exec(WAIT).reply(json!({
        "expect": {"contains": "and two", "anywhere": "one"}, "text": "both"}));
    check(
        script,
        &[],
        &completed("both"),
        async |events, handle, repo| {
            until(events, &begun()).await;
            say(&handle, "one", Delivery::Steer);
            say(&handle, "and two", Delivery::Steer);
            until(events, &record("message.added")).await;
            until(events, &record("message.added")).await;
            repo.write("gate", "");
        },
    );
}

/// The log tells of messages in the order in which they were said.
#[test]
fn messages_are_recorded_before_anything_else_happens() {
    let script = Script::new().exec(WAIT).reply(json!({"text": "done"}));
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let script = script.reply(json!({"match": "say hello", "text": "hello"}));
    home.run(repo.path(), &["exec", "-m", &script.model(), "say hello"])
        .expect(0);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let scripted = Arc::new(Scripted::open(&script.path()).unwrap());
        let mut driven = take_over(&home, &repo, scripted).await;
        let outcome = driven.turn("begin", async |events, handle| {
            until(events, &begun()).await;
            for n in 0..50 {
                say(&handle, &format!("message {n}"), Delivery::Steer);
            }
            for _ in 0..50 {
                until(events, &record("message.added")).await;
            }
            repo.write("gate", "");
        });
        assert_eq!(outcome.await, completed("done"));
        driven.close().await;
    });
    let said: Vec<String> = records(&home)
        .iter()
        .filter_map(|record| match &record.body {
            Body::MessageAdded(body) => Some(body.items[0].raw().to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(said.len(), 50);
    for (n, item) in said.iter().enumerate() {
        assert!(item.contains(&format!("message {n}\"")), "{n}: {item}");
    }
}

/// A message that was recorded is seen, wherever the process died afterwards.
#[test]
fn every_prefix_of_a_steered_session_goes_on() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    let script = Script::new()
        .exec(WAIT)
        .reply(json!({"expect": {"anywhere": "use blue"}, "text": "blue", "times": 9}))
        .reply(json!({"match": "say hello", "text": "hello"}))
        // A response that was cut after its text.
        .reply(json!({"match": "The connection broke", "text": "hello again"}));
    home.run(repo.path(), &["exec", "-m", &script.model(), "say hello"])
        .expect(0);
    let first = records(&home).len();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let scripted = Arc::new(Scripted::open(&script.path()).unwrap());
        let mut driven = take_over(&home, &repo, scripted).await;
        let outcome = driven.turn("begin", async |events, handle| {
            until(events, &begun()).await;
            say(&handle, "use blue", Delivery::Steer);
            until(events, &record("message.added")).await;
            repo.write("gate", "");
        });
        assert_eq!(outcome.await, completed("blue"));
        driven.close().await;
    });
    let session = home.sessions().pop().unwrap();
    let log = std::fs::read_to_string(session.join("log.jsonl")).unwrap();
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    let said = lines
        .iter()
        .position(|line| line.contains("message.added"))
        .unwrap();
    assert!(said > first);
    for count in said + 1..lines.len() {
        std::fs::write(session.join("log.jsonl"), lines[..count].concat()).unwrap();
        let run = home.run(repo.path(), &["exec", "resume", "--last"]);
        let cut_answer = lines[count - 1].contains("\"text\":\"blue\"");
        let answer = if cut_answer {
            "hello again\n"
        } else {
            "blue\n"
        };
        assert_eq!(run.expect(0).stdout, answer, "after record {}", count - 1);
    }
}
