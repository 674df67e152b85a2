//! Requests only ever grow at their end, so that a provider's prompt cache answers the rest.
//!
//! The requests are the bytes that a server got over HTTP.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
#![allow(dead_code, reason = "not every test needs all of the driver")]

mod driven;

use std::sync::Arc;

use driven::{Seen, take_over, until};
use recto_model::responses::Client;
use recto_protocol::Item;
use recto_protocol::profile::Provider;
use recto_protocol::record::{Delivery, Outcome};
use recto_runtime::Control;
use recto_testkit::{Home, Live, Repository, Request, Run, Script, Server};
use serde_json::json;

const DOT: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// Ten steps of many kinds; the last one answers.
fn ten_steps(script: Script, turn: usize) -> Script {
    let exec = |command: &str| json!({"call": "exec_command", "arguments": {"cmd": command}});
    let patch = format!("*** Begin Patch\n*** Add File: t{turn}.txt\n+{turn}\n*** End Patch\n");
    script
        .exec(&format!("echo 'über \"quoted\" \\ {turn}'; printf 'a\\tb\\033[1m\\n'"))
        .reply(json!({"events": [{"reasoning": "hm"}, exec("true"), exec("false"), exec("ls")],
            "usage": {"input_tokens": 100, "cached_input_tokens": 90, "output_tokens": 10}}))
        .reply(json!({"events": [{"custom": "apply_patch", "input": patch}]}))
        .reply(json!({"events": [{"text": "On it.", "phase": "commentary"}, exec("seq 1 5000")]}))
        .call("no_such_tool", json!({}))
        .reply(json!({"events": [{"call": "exec_command", "arguments": "{\"cmd\": \"echo  spaced\" , \"x\":1.50}"}]}))
        .call("update_plan", json!({"plan": [{"step": "go", "status": "in_progress"}]}))
        .exec(&format!("echo {DOT} | base64 -d > /tmp/dot.png; mkdir -p d; echo {turn} > d/x; cat d/x"))
        .reply(json!({"text": "", "events": []}))
        .reply(json!({"text": format!("answer {turn}")}))
}

struct Bench {
    home: Home,
    repo: Repository,
    server: Server,
}

impl Bench {
    fn new(files: &[(&str, &str)], script: &Script) -> Self {
        let home = Home::new();
        let server = Server::start(&home, script);
        home.configure(&server.configuration());
        Self {
            home,
            repo: Repository::new(files),
            server,
        }
    }

    fn run(&self, args: &[&str]) -> Run {
        self.home.run(self.repo.path(), args)
    }

    /// Checks every request against the one before it. Gives their number.
    fn check(&self) -> usize {
        let requests = self.server.requests();
        for (number, pair) in requests.windows(2).enumerate() {
            check_pair(&pair[0], &pair[1], number + 1);
        }
        requests.len()
    }
}

fn check_pair(one: &Request, next: &Request, number: usize) {
    for field in [
        "model",
        "tools",
        "instructions",
        "prompt_cache_key",
        "tool_choice",
        "include",
    ] {
        assert_eq!(
            one.raw(field),
            next.raw(field),
            "request {number} changes {field}"
        );
    }
    // Everything before the input, too, in its order, is what a cache's key is made of.
    let head = |request: &Request| request.body.split_once("\"input\":").unwrap().0.to_owned();
    assert_eq!(head(one), head(next), "request {number}");
    let kept = one.input.strip_suffix(']').unwrap();
    if !next.input.starts_with(kept) {
        let at = kept
            .bytes()
            .zip(next.input.bytes())
            .take_while(|(a, b)| a == b)
            .count();
        let around = |text: &str| {
            let start = text.floor_char_boundary(at.saturating_sub(200));
            text[start..text.ceil_char_boundary((at + 200).min(text.len()))].to_owned()
        };
        panic!(
            "request {number} changes at {at}:\n{}\n{}",
            around(kept),
            around(&next.input)
        );
    }
}

#[test]
fn a_session_of_a_hundred_steps_only_appends() {
    let mut script = Script::new();
    for turn in 1..=6 {
        script = ten_steps(script, turn);
    }
    // The seventh turn is killed in the middle of a command, the eighth is steered.
    script = script.exec("echo begun; until [ -e gate ]; do sleep 0.02; done");
    script = ten_steps(script, 7);
    script = script
        .exec("echo begun; until [ -e steered ]; do sleep 0.02; done")
        .reply(
            json!({"expect": {"contains": "use blue"}, "events": [{"call": "exec_command",
            "arguments": {"cmd": "echo blue"}}]}),
        )
        .reply(json!({"text": "blue it is"}))
        .reply(json!({"expect": {"contains": "and then red"}, "text": "and red"}));
    for turn in 9..=11 {
        script = ten_steps(script, turn);
    }
    let bench = Bench::new(
        &[("AGENTS.md", "Be kind.\n"), ("d/AGENTS.md", "Deep.\n")],
        &script,
    );

    bench.run(&["exec", "one"]).expect(0);
    bench.run(&["exec", "resume", "--last", "two"]).expect(0);
    bench
        .run(&["exec", "-s", "read-only", "resume", "--last", "three"])
        .expect(0);
    bench.run(&["exec", "resume", "--last", "four"]).expect(0);
    bench
        .run(&["exec", "-s", "workspace-write", "resume", "--last", "five"])
        .expect(0);
    // Instruction files that change are told, not rewritten.
    bench.repo.write("AGENTS.md", "Be kinder.\n");
    bench
        .run(&["exec", "--effort", "high", "resume", "--last", "six"])
        .expect(0);

    let args = ["exec", "--json", "resume", "--last", "seven"];
    let mut live = Live::start(bench.home.command(bench.repo.path(), &args));
    assert!(live.wait_for(|event| event["type"] == "item.started"));
    live.kill();
    bench.run(&["exec", "resume", "--last"]).expect(0);

    steered(&bench);
    for prompt in ["nine", "ten", "eleven"] {
        bench.run(&["exec", "resume", "--last", prompt]).expect(0);
    }
    let count = bench.check();
    assert!(count >= 100, "only {count} requests");
}

/// One turn that is spoken to while it runs, driven in this process.
fn steered(bench: &Bench) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let provider = Provider {
            base_url: bench.server.base_url(),
            ..plain_provider()
        };
        let client = Client::new(&provider, &|_| None).unwrap();
        let mut driven = take_over(&bench.home, &bench.repo, Arc::new(client)).await;
        let outcome = driven
            .turn("eight", async |events, handle| {
                until(events, &Seen::Output("begun\n".into())).await;
                let message = |text: &str, delivery| Control::Message {
                    items: vec![Item::message("user", text)],
                    delivery,
                    inbox: None,
                };
                handle.send(message("and then red", Delivery::Queue));
                handle.send(message("use blue", Delivery::Steer));
                until(events, &Seen::Record("message.added".into())).await;
                until(events, &Seen::Record("message.added".into())).await;
                bench.repo.write("steered", "");
            })
            .await;
        assert_eq!(
            outcome,
            Outcome::Completed {
                answer: "and red".into()
            }
        );
        driven.close().await;
    });
}

fn plain_provider() -> Provider {
    Provider {
        name: "scripted".into(),
        base_url: String::new(),
        env_key: None,
        key_header: None,
        http_headers: Default::default(),
        env_http_headers: Default::default(),
        query_params: Default::default(),
        stream_idle_timeout_secs: None,
        max_retries: None,
        default_model: None,
    }
}

#[test]
fn a_compaction_is_asked_for_with_the_same_prefix() {
    let script = Script::new()
        .exec("seq 1 3000")
        .reply(
            json!({"events": [{"call": "exec_command", "arguments": {"cmd": "echo two"}}],
            "usage": {"input_tokens": 90_000, "output_tokens": 10}}),
        )
        .reply(json!({"summary": true, "text": "Two was said."}))
        .exec("echo three")
        .answer("done");
    let bench = Bench::new(&[("a.txt", "a\n")], &script);
    bench
        .run(&["exec", "-c", "model_auto_compact_token_limit=50000", "one"])
        .expect(0);
    let requests = bench.server.requests();
    assert_eq!(requests.len(), 5);
    // The third asks for the summary; the fourth begins anew, with the same head.
    for number in [1, 2, 4] {
        check_pair(&requests[number - 1], &requests[number], number);
    }
    let head = |request: &Request| request.body.split_once("\"input\":").unwrap().0.to_owned();
    assert_eq!(head(&requests[2]), head(&requests[3]));
    assert_eq!(
        requests[2].items()[0],
        requests[3].items()[0],
        "the environment stays"
    );
    assert!(requests[3].input.len() < requests[2].input.len());
}

#[test]
fn the_first_request_is_small() {
    for command in ["exec", "ask"] {
        let bench = Bench::new(&[], &Script::new().answer("done"));
        bench.run(&[command, "hi"]).expect(0);
        let size = bench.server.requests()[0].body.len();
        println!("{command}: {size} bytes");
        assert!(size <= 12 << 10, "{command}: {size} bytes");
    }
}
