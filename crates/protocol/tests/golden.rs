//! Holds the promise that logs stay readable: each line in `golden/v1` parses to the value given
//! here, and is written back byte for byte. Lines are added, never changed.
//!
//! A kind without a file gets one with `RECTO_WRITE_GOLDEN=1`; a file that exists is not touched.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::PathBuf;
use std::time::Duration;

use recto_protocol::egress::{RequestEvent, Rules, Verdict};
use recto_protocol::policy::{Access, Network, Policy};
use recto_protocol::ports::model::{ErrorKind, Finish, FinishReason, ModelError};
use recto_protocol::profile::{CompactionWay, PatchTool, Profile};
use recto_protocol::record::*;
use recto_protocol::settings::{Budget, Mode, Settings};
use recto_protocol::task::State;
use recto_protocol::tool::{
    ChangeKind, Effect, FileChange, Plan, PlanStatus, PlanStep, ToolStatus,
};
use recto_protocol::usage::{Micros, Prices, Usage};
use recto_protocol::{Body, Item, Record};

fn item(json: &str) -> Item {
    Item::parse(json).unwrap()
}

fn hello() -> Item {
    item(r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"héllo\n"}]}"#)
}

fn usage() -> Usage {
    Usage {
        input_tokens: 100,
        cached_input_tokens: 60,
        cache_write_input_tokens: 30,
        output_tokens: 20,
        reasoning_output_tokens: 7,
    }
}

fn profile() -> Profile {
    Profile {
        context_window: 272_000,
        auto_compact_limit: Some(200_000),
        max_output_tokens: Some(32_000),
        apply_patch: PatchTool::Freeform,
        images: false,
        reasoning: true,
        compaction: CompactionWay::Provider,
        prices: Some(Prices {
            input: 1.25,
            cached_input: 0.125,
            output: 10.0,
        }),
    }
}

fn policy() -> Policy {
    Policy {
        access: Access::DangerFullAccess,
        network: Network::Open,
        writable: vec!["/cache".into()],
        ..Policy::default()
    }
}

fn budget() -> Budget {
    Budget {
        steps: Some(30),
        cost: Some(Micros(1_000_000)),
        tokens: Some(9),
        seconds: Some(600),
    }
}

fn least_settings() -> Settings {
    Settings {
        id: "01a1f7c6-fad4-7af1-8e30-be86e250c14f".into(),
        cache_key: "k".into(),
        mode: Mode::Ask,
        provider: "local".into(),
        model: "some-model".into(),
        profile: Profile::default(),
        instructions: "Be exact.".into(),
        tools: "[]".into(),
        reasoning: None,
        cwd: "/w/sub".into(),
        root: "/w".into(),
        policy: Policy::default(),
        checks: Vec::new(),
        budget: Budget::default(),
        base_commit: None,
        forked_from: None,
        program_version: "0.1.0".into(),
    }
}

fn full_settings() -> Settings {
    Settings {
        mode: Mode::Code,
        profile: profile(),
        reasoning: Some(r#"{"effort":"high"}"#.into()),
        policy: policy(),
        checks: vec!["make test".into()],
        budget: budget(),
        base_commit: Some("0123456789abcdef0123456789abcdef01234567".into()),
        forked_from: Some(("parent".into(), 17)),
        ..least_settings()
    }
}

fn error(kind: ErrorKind) -> ModelError {
    ModelError {
        kind,
        message: "it broke".into(),
        status: None,
        code: None,
        retry_after: None,
    }
}

fn failed(kind: ErrorKind) -> StepFailed {
    StepFailed {
        error: error(kind),
        retry_in: None,
    }
}

fn finished(reason: FinishReason) -> StepFinished {
    let finish = Finish {
        reason,
        response_id: "resp_1".into(),
        usage: None,
        end_turn: None,
    };
    StepFinished {
        finish,
        cost: None,
        duration_ms: 0,
        first_event_ms: 0,
    }
}

fn tool(status: ToolStatus, effect: Effect) -> ToolFinished {
    let output = item(r#"{"type":"function_call_output","call_id":"call_1","output":"ok"}"#);
    ToolFinished {
        call_id: "call_1".into(),
        status,
        item: output,
        effect,
        duration_ms: 12,
    }
}

fn ended(outcome: Outcome) -> TurnEnded {
    TurnEnded {
        turn: 1,
        outcome,
        usage: usage(),
        cost: Some(Micros(5)),
        duration_ms: 1234,
    }
}

fn plan() -> Plan {
    let step = |step: &str, status| PlanStep {
        step: step.into(),
        status,
    };
    Plan {
        explanation: Some("why".into()),
        steps: vec![
            step("one", PlanStatus::Completed),
            step("two", PlanStatus::InProgress),
            step("three", PlanStatus::Pending),
        ],
    }
}

/// The expected bodies, in the order of the kinds; each kind's variants are lines of its file.
fn expected() -> Vec<Body> {
    let change = |path: &str, change, moved_to: Option<&str>| FileChange {
        path: path.into(),
        change,
        moved_to: moved_to.map(str::to_owned),
    };
    let model_error = ModelError {
        status: Some(429),
        code: Some("rate_limit_exceeded".into()),
        retry_after: Some(Duration::from_millis(1500)),
        ..error(ErrorKind::RateLimit)
    };
    let mut bodies: Vec<Body> = vec![
        SessionStarted {
            settings: least_settings(),
        }
        .into(),
        SessionStarted {
            settings: full_settings(),
        }
        .into(),
        ContextAdded {
            about: "environment".into(),
            items: vec![hello()],
            sources: vec![],
        }
        .into(),
        ContextAdded {
            about: "agents_md".into(),
            items: vec![hello(), hello()],
            sources: vec!["AGENTS.md".into()],
        }
        .into(),
        SettingsChanged::default().into(),
        SettingsChanged {
            policy: Some(policy()),
            model: Some(ModelChange {
                provider: "openai".into(),
                model: "gpt".into(),
                profile: profile(),
            }),
            tools: None,
            budget: Some(budget()),
            checks: Some(vec!["make".into()]),
            reasoning: Some("{}".into()),
        }
        .into(),
        SettingsChanged {
            policy: Some(Policy {
                network: Network::Allow,
                egress: Rules::parse([
                    "GET,HEAD https://api.example.com/v1/* inject=api",
                    "*.example.com:8443",
                    "tcp:db.internal:5432 private",
                    "preset:github-readonly",
                ])
                .unwrap(),
                ..Policy::default()
            }),
            ..SettingsChanged::default()
        }
        .into(),
        TurnStarted {
            turn: 1,
            items: vec![hello()],
            output_schema: None,
            inbox: None,
        }
        .into(),
        TurnStarted {
            turn: 2,
            items: vec![],
            output_schema: Some(r#"{"type":"object"}"#.into()),
            inbox: None,
        }
        .into(),
        MessageAdded {
            items: vec![hello()],
            delivery: Delivery::Steer,
            inbox: None,
        }
        .into(),
        MessageAdded {
            items: vec![hello()],
            delivery: Delivery::Queue,
            inbox: None,
        }
        .into(),
        StepStarted { step: 3 }.into(),
    ];
    let items = [
        r#"{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"**Look**"}],"content":null,"encrypted_content":"ENC"}"#,
        r#"{"type":"function_call","status":"completed","id":"fc_1","name":"exec_command","arguments":"{\"cmd\": \"echo hi\"}","call_id":"call_1"}"#,
        r#"{"type":"custom_tool_call","id":"ctc_1","status":"completed","call_id":"c2","name":"apply_patch","input":"*** Begin Patch\n"}"#,
        r#"{"type":"message","status":"completed","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"…","annotations":[]}],"phase":"commentary"}"#,
        r#"{"type":"web_search_call","id":"ws_1","action":{"type":"search","query":"weather"}}"#,
        r#"{"type":"compaction","id":"cm_1","encrypted_content":"ENC"}"#,
        r#"{"type":"never_seen",  "text":"é\/","n":1.50e3}"#,
    ];
    bodies.extend(items.map(|json| StepItem { item: item(json) }.into()));
    bodies.push(
        StepFinished {
            finish: Finish {
                reason: FinishReason::Complete,
                response_id: "resp_1".into(),
                usage: Some(usage()),
                end_turn: Some(false),
            },
            cost: Some(Micros(42)),
            duration_ms: 900,
            first_event_ms: 100,
        }
        .into(),
    );
    let reasons = [
        FinishReason::OutputLimit,
        FinishReason::ContentFilter,
        FinishReason::Other("paused".into()),
    ];
    bodies.extend(reasons.map(|reason| finished(reason).into()));
    bodies.push(
        StepFailed {
            error: model_error,
            retry_in: Some(Duration::from_millis(1650)),
        }
        .into(),
    );
    let kinds = [
        ErrorKind::Connection,
        ErrorKind::Server,
        ErrorKind::Stream,
        ErrorKind::ContextLength,
        ErrorKind::Auth,
        ErrorKind::NotFound,
        ErrorKind::Refused,
        ErrorKind::TooLarge,
        ErrorKind::Script,
    ];
    bodies.extend(kinds.map(|kind| failed(kind).into()));
    bodies.extend([
        tool(
            ToolStatus::Failed,
            Effect::Command {
                command: "make test".into(),
                exit_code: Some(2),
                session: None,
                chunk: Some("1a2b3c".into()),
                output_bytes: 10,
                output_lines: 2,
            },
        )
        .into(),
        tool(
            ToolStatus::Ok,
            Effect::Command {
                command: "sleep 9".into(),
                exit_code: None,
                session: Some(4),
                chunk: None,
                output_bytes: 0,
                output_lines: 0,
            },
        )
        .into(),
        tool(
            ToolStatus::Ok,
            Effect::Files {
                changes: vec![
                    change("a", ChangeKind::Add, None),
                    change("b", ChangeKind::Update, Some("c")),
                    change("d", ChangeKind::Delete, None),
                ],
            },
        )
        .into(),
        tool(ToolStatus::Ok, Effect::Plan { plan: plan() }).into(),
        tool(
            ToolStatus::Ok,
            Effect::Image {
                path: "i.png".into(),
            },
        )
        .into(),
        tool(ToolStatus::Rejected, Effect::None).into(),
        tool(ToolStatus::Interrupted, Effect::None).into(),
        tool(ToolStatus::Lost, Effect::None).into(),
        Compacted {
            items: vec![hello()],
            usage: usage(),
            cost: Some(Micros(9)),
        }
        .into(),
        CompactionFailed {
            reason: "empty".into(),
            usage: usage(),
            cost: None,
        }
        .into(),
        CheckFinished {
            command: "make test".into(),
            exit_code: Some(0),
            chunk: "1a2b3c".into(),
            output: "ok\n".into(),
            duration_ms: 77,
        }
        .into(),
        CheckFinished {
            command: "make lint".into(),
            exit_code: None,
            chunk: "1a2b3d".into(),
            output: String::new(),
            duration_ms: 0,
        }
        .into(),
        AnswerRejected {
            reason: "schema".into(),
            message: "no".into(),
            last: false,
        }
        .into(),
        AnswerRejected {
            reason: "schema".into(),
            message: "no".into(),
            last: true,
        }
        .into(),
        DriverAttached {
            program_version: "0.1.0".into(),
            torn_bytes: 12,
        }
        .into(),
        InterruptRequested {
            by: "SIGINT".into(),
            limit: None,
            inbox: None,
        }
        .into(),
        InterruptRequested {
            by: "budget".into(),
            limit: Some("600 seconds".into()),
            inbox: None,
        }
        .into(),
        ended(Outcome::Completed {
            answer: "Done.".into(),
        })
        .into(),
        ended(Outcome::Failed {
            reason: "model".into(),
            message: "it broke".into(),
        })
        .into(),
        ended(Outcome::Interrupted { by: "user".into() }).into(),
        ended(Outcome::BudgetReached {
            limit: "30 steps".into(),
        })
        .into(),
        Warning {
            code: "w".into(),
            message: "Careful.".into(),
        }
        .into(),
        NetworkRequested {
            request: RequestEvent {
                host: "example.com".into(),
                port: 443,
                method: "GET".into(),
                path: Some("/v1/".into()),
                bytes_up: 1,
                bytes_down: 2,
                verdict: Verdict::Allowed,
                rule: Some("preset:rust".into()),
                failure: Some("it was cut".into()),
            },
            missed: 3,
        }
        .into(),
        NetworkRequested {
            request: RequestEvent {
                host: "example.com".into(),
                port: 80,
                method: "CONNECT".into(),
                path: None,
                bytes_up: 0,
                bytes_down: 0,
                verdict: Verdict::Refused {
                    reason: "not allowed".into(),
                },
                rule: None,
                failure: None,
            },
            missed: 0,
        }
        .into(),
        StateChanged {
            state: State::OutOfBudget,
            reason: "30 steps".into(),
        }
        .into(),
        Checkpointed {
            tree: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".into(),
            head: Some("b".repeat(40)),
            skipped: vec!["big.bin".into()],
        }
        .into(),
        WorkSettled {
            branch: "recto/abcdefghijkl.1".into(),
            base: "a".repeat(40),
            commit: "b".repeat(40),
            leftovers: Some("b".repeat(40)),
            files: 2,
            added: 30,
            removed: 4,
        }
        .into(),
        EvidenceGathered {
            turn: 1,
            summary: serde_json::json!({"version": 1, "claims": [], "not_verified": [{"what": "no_tests_since_change"}]}),
        }
        .into(),
        TurnStarted {
            turn: 3,
            items: vec![],
            output_schema: None,
            inbox: Some(2),
        }
        .into(),
        MessageAdded {
            items: vec![],
            delivery: Delivery::Steer,
            inbox: Some(3),
        }
        .into(),
        InterruptRequested {
            by: "user".into(),
            limit: None,
            inbox: Some(4),
        }
        .into(),
    ]);
    bodies
}

fn directory() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "golden", "v1"]
        .iter()
        .collect()
}

#[test]
fn every_kind_has_golden_lines_that_read_as_ever() {
    let records: Vec<Record> = (1_u32..)
        .zip(expected())
        .map(|(n, body)| Record {
            seq: n.into(),
            at: 1_763_633_000_000 + i64::from(n),
            body,
        })
        .collect();
    for &kind in Body::KINDS {
        let records: Vec<&Record> = records.iter().filter(|r| r.body.kind() == kind).collect();
        assert!(!records.is_empty(), "no golden line for {kind}");
        let path = directory().join(format!("{kind}.jsonl"));
        if !path.exists() && std::env::var_os("RECTO_WRITE_GOLDEN").is_some() {
            let lines: String = records.iter().map(|r| r.to_line() + "\n").collect();
            std::fs::write(&path, lines).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{e}: {path:?}"));
        assert_eq!(text.lines().count(), records.len(), "{kind}");
        for (line, expected) in text.lines().zip(records) {
            let read = Record::from_line(line).unwrap_or_else(|e| panic!("{e:?}: {line}"));
            assert_eq!(read.body, expected.body);
            assert_eq!(
                read.at - 1_763_633_000_000,
                i64::try_from(read.seq).unwrap()
            );
            assert_eq!(read.to_line(), line);
        }
    }
    let files = std::fs::read_dir(directory()).unwrap().count();
    assert_eq!(files, Body::KINDS.len(), "a golden file without a kind");
}
