//! Drives a [`Session`] from a table: what happens, and what the driver must do then.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use recto_agent::{Next, Session};
use recto_protocol::ports::model::{ErrorKind, Finish, FinishReason, ModelError};
use recto_protocol::profile::Profile;
use recto_protocol::record::*;
use recto_protocol::settings::{Budget, Mode, Settings};
use recto_protocol::tool::{ChangeKind, Effect, FileChange, ToolStatus};
use recto_protocol::usage::{Micros, Usage};
use recto_protocol::{Item, View};
use serde_json::{Value, json};

pub fn settings() -> Settings {
    Settings {
        id: "s".into(),
        cache_key: "s".into(),
        mode: Mode::Code,
        provider: "p".into(),
        model: "m".into(),
        profile: Profile {
            context_window: 10_000,
            ..Profile::default()
        },
        instructions: "instructions".into(),
        tools: "[]".into(),
        reasoning: None,
        cwd: "/w".into(),
        root: "/w".into(),
        policy: recto_protocol::policy::Policy::default(),
        checks: Vec::new(),
        budget: Budget::default(),
        base_commit: None,
        forked_from: None,
        program_version: String::new(),
    }
}

/// Plays a table with [`settings`]. Each line is `event => what next() says`; `model` is followed
/// by what is new since the last line that said so.
#[track_caller]
pub fn check(table: &str) -> Player {
    check_with(settings(), table)
}

/// Plays a table with other settings.
#[track_caller]
pub fn check_with(settings: Settings, table: &str) -> Player {
    let mut player = Player::new(settings);
    let (mut wanted, mut got) = (String::new(), String::new());
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (event, next) = line.split_once("=>").unwrap_or((line, ""));
        player.play(event.trim());
        let sent = player.sent.clone();
        let mut said = player.describe();
        if next.trim().is_empty() {
            player.sent = sent;
            said.clear();
        }
        wanted.push_str(&format!("{:<32} => {}\n", event.trim(), next.trim()));
        got.push_str(&format!("{:<32} => {}\n", event.trim(), said.trim()));
    }
    assert!(wanted == got, "wanted:\n{wanted}\ngot:\n{got}");
    player
}

pub struct Player {
    pub session: Session,
    pub records: Vec<Record>,
    /// The input of the last request that was described.
    pub sent: String,
    pub clock: i64,
}

impl Player {
    pub fn new(settings: Settings) -> Self {
        let mut player = Self {
            session: Session::start(settings.clone()),
            records: Vec::new(),
            sent: String::new(),
            clock: 1_000,
        };
        player.apply(SessionStarted { settings });
        player
    }

    pub fn apply(&mut self, body: impl Into<Body>) {
        let record = Record {
            seq: self.records.len() as u64,
            at: self.clock,
            body: body.into(),
        };
        self.session.apply(&record);
        self.records.push(record);
    }

    fn model(&mut self, item: Value) {
        self.open();
        self.apply(StepItem {
            item: Item::from_value(&item).unwrap(),
        });
    }

    /// A driver that is to call the model says so first.
    fn open(&mut self) {
        if matches!(self.session.next(), Next::CallModel(_)) {
            self.apply(StepStarted {
                step: self.session.step_number(),
            });
        }
    }

    pub fn finish(&mut self, reason: FinishReason, end_turn: Option<bool>, usage: Option<Usage>) {
        self.open();
        let finish = Finish {
            reason,
            response_id: "r".into(),
            usage,
            end_turn,
        };
        let cost = usage.map(|_| Micros(1000));
        self.apply(StepFinished {
            finish,
            cost,
            duration_ms: 0,
            first_event_ms: 0,
        });
    }

    pub fn fail(&mut self, kind: ErrorKind, retry: bool) {
        self.open();
        let error = ModelError {
            kind,
            message: "it broke".into(),
            status: None,
            code: None,
            retry_after: None,
        };
        self.apply(StepFailed {
            error,
            retry_in: retry.then_some(Duration::from_millis(1)),
        });
    }

    pub fn output(&mut self, id: &str, text: &str, status: ToolStatus, effect: Option<Effect>) {
        let call = self
            .records
            .iter()
            .rev()
            .find_map(|record| match &record.body {
                Body::StepItem(body) => match body.item.view() {
                    View::Call(call) if call.call_id.as_str() == id => Some(call),
                    _ => None,
                },
                _ => None,
            });
        let call = call.unwrap_or_else(|| panic!("no call {id}"));
        let arguments: Value = serde_json::from_str(call.input.text()).unwrap_or_default();
        let effect = effect.unwrap_or_else(|| match (&*call.name, arguments["cmd"].as_str()) {
            ("exec_command", Some(command)) => Effect::Command {
                command: command.into(),
                exit_code: Some(i32::from(status != ToolStatus::Ok)),
                session: None,
                chunk: None,
                output_bytes: 0,
                output_lines: 0,
            },
            ("apply_patch", _) => Effect::Files {
                changes: vec![FileChange {
                    path: "f".into(),
                    change: ChangeKind::Update,
                    moved_to: None,
                }],
            },
            _ => Effect::None,
        });
        let item = Item::call_output(&call, &text.into());
        self.apply(ToolFinished {
            call_id: call.call_id,
            status,
            item,
            effect,
            duration_ms: 0,
        });
    }

    pub fn play(&mut self, event: &str) {
        let (word, rest) = event.split_once(' ').unwrap_or((event, ""));
        let user = || vec![Item::message("user", rest)];
        match word {
            "user" | "schema" => {
                let turn = self.session.turns() + 1;
                let output_schema = (word == "schema").then(|| rest.to_owned());
                self.apply(TurnStarted {
                    turn,
                    items: user(),
                    output_schema,
                    inbox: None,
                });
            }
            "steer" => self.apply(MessageAdded {
                items: user(),
                delivery: Delivery::Steer,
                inbox: None,
            }),
            "queue" => self.apply(MessageAdded {
                items: user(),
                delivery: Delivery::Queue,
                inbox: None,
            }),
            "context" => self.apply(ContextAdded {
                about: "policy".into(),
                items: user(),
                sources: Vec::new(),
            }),
            "start" => self.open(),
            "say" => self.model(json!({"type": "message", "role": "assistant",
                "content": [{"type": "output_text", "text": rest}]})),
            "remark" => self.model(json!({"type": "message", "role": "assistant",
                "phase": "commentary", "content": [{"type": "output_text", "text": rest}]})),
            "refuse" => self.model(json!({"type": "message", "role": "assistant",
                "content": [{"type": "refusal", "refusal": rest}]})),
            "think" => self.model(json!({"type": "reasoning", "summary": [], "id": rest,
                "encrypted_content": "E"})),
            "call" => {
                let (id, command) = rest.split_once(' ').unwrap_or((rest, "ls"));
                let arguments = json!({"cmd": command}).to_string();
                self.model(
                    json!({"type": "function_call", "call_id": id, "name": "exec_command",
                    "arguments": arguments}),
                );
            }
            "patch" => self.model(json!({"type": "custom_tool_call", "call_id": rest,
                "name": "apply_patch", "input": "P"})),
            "item" => {
                self.open();
                self.apply(StepItem {
                    item: Item::parse(rest).unwrap(),
                });
            }
            "done" => {
                let usage = rest.parse().ok().map(|tokens| Usage {
                    input_tokens: tokens,
                    ..Usage::default()
                });
                self.finish(FinishReason::Complete, None, usage);
            }
            "goon" => self.finish(FinishReason::Complete, Some(false), None),
            "limit" => self.finish(FinishReason::OutputLimit, None, None),
            "filter" => self.finish(FinishReason::ContentFilter, None, None),
            "cut" => self.fail(ErrorKind::Stream, true),
            "toolong" => self.fail(ErrorKind::ContextLength, false),
            "fail" => self.fail(ErrorKind::Auth, false),
            "out" | "bad" | "rejected" => {
                let (id, text) = rest.split_once(' ').unwrap_or((rest, "o"));
                let status = match word {
                    "out" => ToolStatus::Ok,
                    "bad" => ToolStatus::Failed,
                    _ => ToolStatus::Rejected,
                };
                self.output(id, text, status, None);
            }
            "pass" | "broke" => self.apply(CheckFinished {
                command: rest.into(),
                exit_code: Some(i32::from(word == "broke")),
                chunk: "c".into(),
                output: "output of it".into(),
                duration_ms: 0,
            }),
            "reject" | "reject-last" => self.apply(AnswerRejected {
                reason: "schema".into(),
                message: rest.into(),
                last: word == "reject-last",
            }),
            "compacted" => self.apply(Compacted {
                items: user(),
                usage: Usage::default(),
                cost: None,
            }),
            "compacted-by-provider" => self.apply(Compacted {
                items: vec![
                    Item::parse(r#"{"type":"compaction","encrypted_content":"E"}"#).unwrap(),
                ],
                usage: Usage::default(),
                cost: None,
            }),
            "no-summary" => self.apply(CompactionFailed {
                reason: "empty".into(),
                usage: Usage::default(),
                cost: None,
            }),
            "attach" => self.apply(DriverAttached {
                program_version: "1".into(),
                torn_bytes: 0,
            }),
            "interrupt" => self.apply(InterruptRequested {
                by: "user".into(),
                limit: None,
                inbox: None,
            }),
            "seconds" => self.clock += 1000 * rest.parse::<i64>().unwrap(),
            "model" => {
                let profile = Profile {
                    context_window: 50_000,
                    ..Profile::default()
                };
                let model = ModelChange {
                    provider: "q".into(),
                    model: rest.into(),
                    profile,
                };
                self.apply(SettingsChanged {
                    model: Some(model),
                    ..SettingsChanged::default()
                });
            }
            "checks" => self.apply(SettingsChanged {
                checks: Some(vec![rest.into()]),
                ..SettingsChanged::default()
            }),
            "end" => {
                let Next::EndTurn(outcome) = self.session.next() else {
                    panic!("the turn does not end: {}", self.describe())
                };
                let totals = self.session.turn_totals();
                self.apply(TurnEnded {
                    turn: self.session.turns(),
                    outcome,
                    usage: totals.usage,
                    cost: totals.cost,
                    duration_ms: totals.duration_ms,
                });
            }
            _ => panic!("no such event: {event}"),
        }
    }

    /// What the driver must do now, in short. A request is shown as what is new in it (`+`), or
    /// whole (`=`) when it does not begin with the last one.
    pub fn describe(&mut self) -> String {
        match self.session.next() {
            Next::CallModel(request) => {
                valid_input(&request.input);
                let new = request.input.strip_prefix(&self.sent);
                let shown = match new {
                    Some(new) => format!("model +{}", items(new.trim_start_matches(','))),
                    None => format!("model ={}", items(&request.input)),
                };
                self.sent = request.input.to_string();
                shown
            }
            Next::AwaitResponse => "wait".into(),
            Next::RunTools(calls) => {
                let ids: Vec<_> = calls.iter().map(|call| call.call_id.as_str()).collect();
                format!("run {}", ids.join(" "))
            }
            Next::Compact(compact) => {
                list(&compact.request.input);
                assert_eq!(*compact.request.tools, *self.session.settings().tools);
                if compact.by_provider {
                    "compact by provider".into()
                } else {
                    "compact".into()
                }
            }
            Next::RunChecks(checks) => format!("check {}", checks.join(", ")),
            Next::EndTurn(outcome) => format!("end {}", describe_outcome(&outcome)),
            Next::Idle(outcome) => {
                format!(
                    "idle {}",
                    outcome.as_ref().map(describe_outcome).unwrap_or_default()
                )
            }
        }
    }
}

fn describe_outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Completed { answer } => format!("completed: {answer}"),
        Outcome::Failed { reason, .. } => format!("failed: {reason}"),
        Outcome::Interrupted { by } => format!("interrupted: {by}"),
        Outcome::BudgetReached { limit } => format!("budget: {limit}"),
    }
}

/// The items of a joined input.
pub fn list(input: &str) -> Vec<Value> {
    serde_json::from_str(&format!("[{input}]")).unwrap_or_else(|e| panic!("{e}: {input}"))
}

/// Holds what the Responses API asks of an input: outputs follow their calls, every call has one,
/// and reasoning is followed by something that the model made.
pub fn valid_input(input: &str) {
    let items = list(input);
    let mut open: Vec<&Value> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match item["type"].as_str().unwrap() {
            "function_call" | "custom_tool_call" => open.push(&item["call_id"]),
            "function_call_output" | "custom_tool_call_output" => {
                let Some(call) = open.iter().position(|id| *id == &item["call_id"]) else {
                    panic!("an output without a call: {item}")
                };
                open.remove(call);
            }
            "reasoning" => {
                let next = items.get(at + 1).unwrap_or(&Value::Null);
                let made = next["role"] == "assistant"
                    || next["type"]
                        .as_str()
                        .is_some_and(|kind| kind != "message" && !kind.ends_with("_output"));
                assert!(made, "reasoning stands alone: {input}");
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "calls without output: {open:?}");
}

fn items(input: &str) -> String {
    let shown: Vec<String> = list(input).iter().map(describe_item).collect();
    shown.join(" | ")
}

fn describe_item(item: &Value) -> String {
    let text = |value: &Value| -> String {
        let text = value.as_str().unwrap_or("?").replace('\n', "~");
        if text.len() > 44 {
            format!("{}…", &text[..text.floor_char_boundary(40)])
        } else {
            text
        }
    };
    match item["type"].as_str().unwrap() {
        "message" => match item["role"].as_str().unwrap() {
            "assistant" => format!("say:{}", text(&item["content"][0]["text"])),
            "developer" => format!("dev:{}", text(&item["content"][0]["text"])),
            role => format!("{role}:{}", text(&item["content"][0]["text"])),
        },
        "reasoning" => format!("think:{}", text(&item["id"])),
        "function_call" | "custom_tool_call" => format!("call:{}", text(&item["call_id"])),
        "function_call_output" | "custom_tool_call_output" => {
            format!("out:{}:{}", text(&item["call_id"]), text(&item["output"]))
        }
        kind => kind.to_owned(),
    }
}
