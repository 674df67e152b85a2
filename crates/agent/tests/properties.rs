//! What holds for every log.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use common::{Player, settings, valid_input};
use proptest::prelude::*;
use recto_agent::{Next, Session};
use recto_protocol::egress::{RequestEvent, Verdict};
use recto_protocol::ports::model::{ErrorKind, Finish, FinishReason, ModelError};
use recto_protocol::profile::Profile;
use recto_protocol::record::*;
use recto_protocol::settings::{Budget, Mode, Settings};
use recto_protocol::tool::{Effect, Plan, ToolStatus};
use recto_protocol::usage::{Micros, Usage};
use recto_protocol::{Item, policy};
use serde_json::json;

// ---- any records at all ----

fn any_id() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[ab]",
        Just("\u{1f600}\"\\\n".to_owned())
    ]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        ".{0,20}",
        Just("é\u{0}\"},{".repeat(3000))
    ]
}

fn any_item() -> impl Strategy<Value = Item> {
    let made = |value: serde_json::Value| Item::from_value(&value).unwrap();
    prop_oneof![
        (any_id(), any_text()).prop_map(move |(id, text)| made(json!({
            "type": "function_call", "call_id": id, "name": "exec_command", "arguments": text,
        }))),
        (any_id(), any_text()).prop_map(move |(id, text)| made(json!({
            "type": "custom_tool_call", "call_id": id, "name": "apply_patch", "input": text,
        }))),
        any_id().prop_map(move |id| made(json!({"type": "function_call", "call_id": id}))),
        any_id().prop_map(move |id| made(json!({
            "type": "function_call_output", "call_id": id, "output": "o",
        }))),
        any_text().prop_map(move |text| made(json!({"type": "reasoning", "summary": text}))),
        any_text().prop_map(|text| Item::message("assistant", &text)),
        any_text().prop_map(|text| Item::message("user", &text)),
        any_text().prop_map(move |text| made(json!({
            "type": "message", "role": 7, "content": text,
        }))),
        any_text().prop_map(move |text| made(json!({
            "type": "message", "role": "assistant", "content": [{"refusal": text}, 1, null],
        }))),
        Just(Item::parse(r#"{"type":"compaction"}"#).unwrap()),
        any_text().prop_map(move |text| made(json!({"type": text}))),
        Just(
            Item::parse(&format!(
                r#"{{"type":"x","d":{}{}}}"#,
                "[".repeat(5000),
                "]".repeat(5000)
            ))
            .unwrap()
        ),
    ]
}

fn any_items() -> impl Strategy<Value = Vec<Item>> {
    prop::collection::vec(any_item(), 0..3)
}

fn any_count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0_u64..20_000, Just(u64::MAX)]
}

fn any_usage() -> impl Strategy<Value = Usage> {
    (any_count(), any_count(), any_count()).prop_map(|(input, cached, output)| Usage {
        input_tokens: input,
        cached_input_tokens: cached,
        cache_write_input_tokens: cached,
        output_tokens: output,
        reasoning_output_tokens: output,
    })
}

fn any_cost() -> impl Strategy<Value = Option<Micros>> {
    prop::option::of(any_count().prop_map(Micros))
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        any_text().prop_map(|answer| Outcome::Completed { answer }),
        any_text().prop_map(|message| Outcome::Failed {
            reason: "r".into(),
            message
        }),
        any_text().prop_map(|by| Outcome::Interrupted { by }),
        any_text().prop_map(|limit| Outcome::BudgetReached { limit }),
    ]
}

fn any_effect() -> impl Strategy<Value = Effect> {
    prop_oneof![
        Just(Effect::None),
        (any_text(), any::<Option<i32>>()).prop_map(|(command, exit_code)| Effect::Command {
            command,
            exit_code,
            session: Some(1),
            chunk: None,
            output_bytes: u64::MAX,
            output_lines: 0,
        }),
        Just(Effect::Files {
            changes: Vec::new()
        }),
        Just(Effect::Plan {
            plan: Plan::default()
        }),
    ]
}

fn any_status() -> impl Strategy<Value = ToolStatus> {
    prop_oneof![
        Just(ToolStatus::Ok),
        Just(ToolStatus::Failed),
        Just(ToolStatus::Rejected),
        Just(ToolStatus::Interrupted),
        Just(ToolStatus::Lost),
    ]
}

fn any_reason() -> impl Strategy<Value = FinishReason> {
    prop_oneof![
        Just(FinishReason::Complete),
        Just(FinishReason::OutputLimit),
        Just(FinishReason::ContentFilter),
        Just(FinishReason::Other("x".into())),
    ]
}

fn any_error_kind() -> impl Strategy<Value = ErrorKind> {
    prop_oneof![
        Just(ErrorKind::Stream),
        Just(ErrorKind::ContextLength),
        Just(ErrorKind::Auth)
    ]
}

fn any_profile() -> impl Strategy<Value = Profile> {
    (any_count(), prop::option::of(any_count())).prop_map(|(context_window, auto_compact_limit)| {
        Profile {
            context_window,
            auto_compact_limit,
            ..Profile::default()
        }
    })
}

fn any_change() -> impl Strategy<Value = SettingsChanged> {
    let budget = (any::<Option<u32>>(), any_cost(), any::<Option<u64>>()).prop_map(
        |(steps, cost, seconds)| Budget {
            steps,
            cost,
            tokens: seconds,
            seconds,
        },
    );
    let checks = prop::collection::vec(any_text(), 0..3);
    (
        prop::option::of(any_profile()),
        prop::option::of(budget),
        prop::option::of(checks),
        prop::option::of(any_text()),
    )
        .prop_map(|(profile, budget, checks, reasoning)| SettingsChanged {
            policy: Some(policy::Policy::default()),
            model: profile.map(|profile| ModelChange {
                provider: "q".into(),
                model: "n".into(),
                profile,
            }),
            tools: None,
            budget,
            checks,
            reasoning,
        })
}

fn any_body() -> impl Strategy<Value = Body> {
    let change = prop_oneof![Just(Delivery::Steer), Just(Delivery::Queue)];
    prop_oneof![
        1 => Just(SessionStarted { settings: settings() }.into()),
        1 => any_items().prop_map(|items| {
            ContextAdded { about: "a".into(), items, sources: Vec::new() }.into()
        }),
        1 => any_change().prop_map(Body::from),
        1 => (any::<u32>(), any_items(), prop::option::of(any_text())).prop_map(
            |(turn, items, output_schema)| TurnStarted { turn, items, output_schema, inbox: None }.into()
        ),
        1 => (any_items(), change).prop_map(|(items, delivery)| MessageAdded { items, delivery, inbox: None }.into()),
        1 => any::<u32>().prop_map(|step| StepStarted { step }.into()),
        4 => any_item().prop_map(|item| StepItem { item }.into()),
        1 => (any_reason(), prop::option::of(any_usage()), any_cost(), any::<Option<bool>>()).prop_map(
            |(reason, usage, cost, end_turn)| {
                let finish = Finish { reason, response_id: String::new(), usage, end_turn };
                StepFinished { finish, cost, duration_ms: 0, first_event_ms: 0 }.into()
            }
        ),
        1 => (any_error_kind(), any::<bool>()).prop_map(|(kind, retry)| {
            let error = ModelError {
                kind,
                message: String::new(),
                status: None,
                code: None,
                retry_after: None,
            };
            StepFailed { error, retry_in: retry.then_some(std::time::Duration::MAX) }.into()
        }),
        3 => (any_id(), any_status(), any_item(), any_effect()).prop_map(
            |(id, status, item, effect)| {
                ToolFinished { call_id: id.into(), status, item, effect, duration_ms: 0 }.into()
            }
        ),
        1 => (any_items(), any_usage(), any_cost())
            .prop_map(|(items, usage, cost)| Compacted { items, usage, cost }.into()),
        1 => (any_text(), any_usage(), any_cost())
            .prop_map(|(reason, usage, cost)| CompactionFailed { reason, usage, cost }.into()),
        1 => (any_text(), any::<Option<i32>>()).prop_map(|(command, exit_code)| {
            let (chunk, output) = ("c".into(), String::new());
            CheckFinished { command, exit_code, chunk, output, duration_ms: 0 }.into()
        }),
        1 => (any_text(), any::<bool>()).prop_map(|(message, last)| {
            AnswerRejected { reason: "schema".into(), message, last }.into()
        }),
        1 => Just(DriverAttached { program_version: String::new(), torn_bytes: u64::MAX }.into()),
        1 => prop::option::of(any_text())
            .prop_map(|limit| InterruptRequested { by: "user".into(), limit, inbox: None }.into()),
        1 => (any::<u32>(), any_outcome(), any_usage(), any_cost()).prop_map(
            |(turn, outcome, usage, cost)| {
                TurnEnded { turn, outcome, usage, cost, duration_ms: 0 }.into()
            }
        ),
        1 => any_text()
            .prop_map(|message| Warning { code: "w".into(), message }.into()),
        1 => any_text().prop_map(|host| {
            let request = RequestEvent {
                host,
                port: 443,
                method: "CONNECT".into(),
                path: None,
                bytes_up: 0,
                bytes_down: 0,
                verdict: Verdict::Allowed,
                rule: None,
                failure: None,
            };
            NetworkRequested { request, missed: 0 }.into()
        }),
        1 => any_text().prop_map(|kind| Body::Unknown {
            kind,
            body: serde_json::value::RawValue::from_string("{\"x\": 1}".into()).unwrap(),
        }),
    ]
}

fn any_settings() -> impl Strategy<Value = Settings> {
    (any_profile(), any_change(), any::<bool>()).prop_map(|(profile, change, ask)| Settings {
        profile,
        mode: if ask { Mode::Ask } else { Mode::Code },
        budget: change.budget.unwrap_or_default(),
        checks: change.checks.unwrap_or_default(),
        ..settings()
    })
}

fn every_accessor(session: &Session) {
    // Not read as values, because items may be nested deeper than those are.
    let is_list = |input: &str| {
        let text = format!("[{input}]");
        serde_json::from_str::<Vec<&serde_json::value::RawValue>>(&text).expect("input is JSON");
    };
    match session.next() {
        Next::CallModel(request) => is_list(&request.input),
        Next::Compact(compact) => is_list(&compact.request.input),
        Next::AwaitResponse
        | Next::RunTools(_)
        | Next::RunChecks(_)
        | Next::EndTurn(_)
        | Next::Idle(_) => {}
    }
    let _ = (
        session.context_tokens(),
        session.step_number(),
        session.failures(),
    );
    let _ = (session.turn_totals(), session.time_left(), session.totals());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_records_is_a_state(
        settings in any_settings(),
        bodies in prop::collection::vec((any::<u64>(), any::<i64>(), any_body()), 0..40),
    ) {
        let mut session = Session::start(settings);
        every_accessor(&session);
        for (seq, at, body) in bodies {
            session.apply(&Record { seq, at, body });
            every_accessor(&session);
        }
    }

    #[test]
    fn lines_round_trip(seq in any::<u64>(), at in any::<i64>(), body in any_body()) {
        let record = Record { seq, at, body };
        let line = record.to_line();
        prop_assert!(!line.contains('\n'));
        let read = Record::from_line(&line).unwrap();
        prop_assert_eq!(&read, &record);
        prop_assert_eq!(read.to_line(), line);
    }

    #[test]
    fn well_formed_sessions_hold_their_promises(
        steps in prop::collection::vec(any_step(), 1..40),
        small in any::<bool>(),
    ) {
        let context_window = if small { 2_000 } else { 100_000 };
        let settings = Settings {
            profile: Profile { context_window, ..Profile::default() },
            checks: vec!["make".into()],
            ..settings()
        };
        let mut player = Player::new(settings);
        player.play("user go");
        let mut names = 0;
        let mut sent = String::new();
        // A switch of the model takes effect when the response under way has ended.
        let mut switching = false;
        for step in steps {
            names += 1;
            sent = keeps_prefix(&player.session, sent);
            switching &= !matches!(player.session.next(), Next::CallModel(_) | Next::Idle(_));
            switching |= matches!(step, Step::Switch);
            if !perform(&mut player, &step, names) || switching {
                sent.clear();
            }
        }
        if switching {
            sent.clear();
            player.play("attach");
        }
        ends(&mut player, sent);
        // Any prefix is a state, and a new driver brings it to an end.
        let records = std::mem::take(&mut player.records);
        let replayed = Session::replay(&records);
        prop_assert_eq!(replayed.as_ref(), Some(&player.session));
        for cut in 1..=records.len() {
            let mut player = Player::new(player.session.settings().clone());
            player.records = records[..cut].to_vec();
            player.session = Session::replay(&player.records).unwrap();
            player.play("attach");
            ends(&mut player, String::new());
        }
    }
}

// ---- sessions as a driver writes them ----

/// What happens next, as far as the driver's state allows it.
#[derive(Clone, Debug)]
enum Step {
    Message(usize),
    Think,
    Call,
    Unknown,
    Done(u64),
    Limit,
    Cut,
    TooLong,
    Output(usize),
    Bad,
    Steer,
    Queue,
    Context,
    Interrupt,
    Attach,
    Compaction(bool),
    Check(bool),
    Switch,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0_usize..2_000).prop_map(Step::Message),
        2 => Just(Step::Think),
        4 => Just(Step::Call),
        1 => Just(Step::Unknown),
        4 => (0_u64..3_000).prop_map(Step::Done),
        1 => Just(Step::Limit),
        1 => Just(Step::Cut),
        1 => Just(Step::TooLong),
        4 => (0_usize..4_000).prop_map(Step::Output),
        1 => Just(Step::Bad),
        1 => Just(Step::Steer),
        1 => Just(Step::Queue),
        1 => Just(Step::Context),
        1 => Just(Step::Interrupt),
        1 => Just(Step::Attach),
        2 => any::<bool>().prop_map(Step::Compaction),
        1 => any::<bool>().prop_map(Step::Check),
        1 => Just(Step::Switch),
    ]
}

/// Lets one thing happen, if a driver in this state could meet it. False when the history may be
/// another one afterwards.
fn perform(player: &mut Player, step: &Step, name: u32) -> bool {
    let next = player.session.next();
    let streams = matches!(next, Next::CallModel(_) | Next::AwaitResponse);
    let event = match (step, &next) {
        (Step::Message(size), _) if streams => format!("say {}", "m".repeat(*size)),
        (Step::Think, _) if streams => format!("think r{name}"),
        (Step::Call, _) if streams => format!("call c{name}"),
        (Step::Unknown, _) if streams => r#"item {"type":"never_seen"}"#.into(),
        (Step::Done(tokens), _) if streams => format!("done {tokens}"),
        (Step::Limit, _) if streams => "limit".into(),
        (Step::Cut, _) if streams => "cut".into(),
        (Step::TooLong, Next::CallModel(_)) => "toolong".into(),
        (Step::Output(size), Next::RunTools(calls)) => {
            let call = &calls[name as usize % calls.len()].call_id;
            format!("out {call} {}", "o".repeat(*size))
        }
        (Step::Bad, Next::RunTools(calls)) => format!("bad {}", calls[0].call_id),
        (Step::Steer, _) => format!("steer s{name}"),
        (Step::Queue, _) => format!("queue q{name}"),
        (Step::Context, _) => format!("context x{name}"),
        (Step::Interrupt, _) => "interrupt".into(),
        (Step::Attach, _) => "attach".into(),
        (Step::Compaction(true), Next::Compact(_)) => "compacted SUM".into(),
        (Step::Compaction(false), Next::Compact(_)) => "no-summary".into(),
        (Step::Check(pass), Next::RunChecks(_)) => {
            if *pass {
                "pass make".into()
            } else {
                "broke make".into()
            }
        }
        (Step::Switch, _) => format!("model m{name}"),
        (_, Next::EndTurn(_)) => "end".into(),
        (_, Next::Idle(_)) => format!("user u{name}"),
        _ => return true,
    };
    player.play(&event);
    !matches!(step, Step::Compaction(_) | Step::Switch)
}

/// Holds that the next input begins with the last one, and returns what it is compared with next.
fn keeps_prefix(session: &Session, sent: String) -> String {
    let input = session.input();
    assert!(
        input.starts_with(&sent),
        "history was rewritten:\n{sent}\n{input}"
    );
    if let Next::CallModel(request) = session.next() {
        assert_eq!(&*request.input, input);
        valid_input(input);
    }
    input.to_owned()
}

/// Drives on with a model that answers at once.
fn ends(player: &mut Player, mut sent: String) {
    for _ in 0..100 {
        sent = keeps_prefix(&player.session, sent);
        match player.session.next() {
            Next::CallModel(_) => player.play("say Answer"),
            Next::AwaitResponse => player.play("done 100"),
            Next::RunTools(calls) => player.play(&format!("out {}", calls[0].call_id)),
            Next::Compact(_) => {
                player.play("compacted SUM");
                sent.clear();
            }
            Next::RunChecks(_) => player.play("broke make"),
            Next::EndTurn(_) => player.play("end"),
            Next::Idle(_) => return,
        }
    }
    panic!("no end: {:?}", player.session.next());
}
