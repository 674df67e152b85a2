//! The driver and its tools on ports in memory.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod fakes;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fakes::{FakeCell, MemoryLog, Replies, Reply, Tree, Trees};
use recto_protocol::policy::{Access, Policy};
use recto_protocol::ports::cell::CellError;
use recto_protocol::ports::checkpoints::Checkpoints;
use recto_protocol::ports::model::{ErrorKind, ModelError};
use recto_protocol::profile::{CompactionWay, Profile};
use recto_protocol::record::{
    Body, DriverAttached, Outcome, Record, SessionStarted, SettingsChanged, ToolFinished,
    TurnStarted,
};
use recto_protocol::settings::{Budget, Mode, Settings};
use recto_protocol::tool::{Effect, ToolStatus};
use recto_protocol::{CallId, Item, SessionId};
use recto_runtime::{Control, Driver, DriverError, Limits, LiveEvent, Parts, TurnInput};
use serde_json::{Value, json};

/// A session and the ports it is driven on.
struct Stage {
    settings: Settings,
    /// What the log holds besides its head.
    before: Vec<(i64, Body)>,
    log: MemoryLog,
    model: Arc<Replies>,
    cell: Arc<FakeCell>,
    tree: Tree,
    limits: Limits,
    checkpoints: Option<Arc<Trees>>,
}

impl Stage {
    fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self {
            settings: settings(),
            before: Vec::new(),
            log: MemoryLog::default(),
            model: Replies::new(replies),
            cell: Arc::default(),
            tree: Tree::default(),
            limits: Limits::default(),
            checkpoints: None,
        }
    }

    fn driver(&mut self) -> Driver {
        let head = SessionStarted {
            settings: self.settings.clone(),
        };
        let bodies = [(0, head.into())].into_iter().chain(self.before.drain(..));
        let numbered = bodies.zip(0..);
        let records: Vec<Record> = numbered
            .map(|((at, body), seq)| Record { seq, at, body })
            .collect();
        *self.log.records.lock().unwrap() = records.clone();
        let parts = Parts {
            log: Box::new(self.log.clone()),
            chunks: Arc::new(self.log.clone()),
            model: self.model.clone(),
            cell: self.cell.clone(),
            files: Arc::new(Tree(self.tree.0.clone())),
            sink: Box::new(|_: LiveEvent<'_>| ()),
            limits: self.limits.clone(),
            max_retries: 2,
            instruction_names: Vec::new(),
            jitter: || 0.0,
            network: None,
            checkpoints: self
                .checkpoints
                .clone()
                .map(|one| one as Arc<dyn Checkpoints>),
        };
        Driver::new(parts, &records).unwrap()
    }

    async fn turn(&mut self) -> Result<Outcome, DriverError> {
        self.driver().run_turn(input("do it")).await
    }

    fn records(&self) -> Vec<Body> {
        let records = self.log.records.lock().unwrap();
        records.iter().map(|record| record.body.clone()).collect()
    }

    fn kinds(&self) -> Vec<String> {
        let kinds = self.records();
        kinds.iter().map(|body| body.kind().to_owned()).collect()
    }

    fn calls(&self) -> Vec<ToolFinished> {
        let of_tools = |body| match body {
            Body::ToolFinished(finished) => Some(finished),
            _ => None,
        };
        self.records().into_iter().filter_map(of_tools).collect()
    }
}

fn settings() -> Settings {
    Settings {
        id: SessionId("s".into()),
        cache_key: "s".into(),
        mode: Mode::Code,
        provider: "p".into(),
        model: "m".into(),
        profile: Profile::default(),
        instructions: "Be brief.".into(),
        tools: "[]".into(),
        reasoning: None,
        cwd: "/w/sub".into(),
        root: "/w".into(),
        policy: Policy::default(),
        checks: Vec::new(),
        budget: Budget::default(),
        base_commit: None,
        forked_from: None,
        program_version: "test".into(),
    }
}

fn input(text: &str) -> TurnInput {
    TurnInput {
        items: vec![Item::message("user", text)],
        schema: None,
        inbox: None,
    }
}

fn says(text: &str) -> Reply {
    Reply::Items(vec![Item::message("assistant", text)])
}

fn calls(name: &str, arguments: &Value) -> Reply {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let item = json!({"type": "function_call", "call_id": format!("call_{number}"), "name": name,
        "arguments": arguments.to_string()});
    Reply::Items(vec![Item::from_value(&item).unwrap()])
}

fn runs(line: &str) -> Reply {
    calls("exec_command", &json!({"cmd": line, "yield_time_ms": 250}))
}

fn completed() -> Outcome {
    Outcome::Completed {
        answer: "done".into(),
    }
}

fn policy(access: Access) -> Policy {
    Policy {
        access,
        ..Policy::default()
    }
}

fn changed(access: Access) -> Body {
    let policy = Some(policy(access));
    Body::from(SettingsChanged {
        policy,
        ..SettingsChanged::default()
    })
}

fn attached() -> Body {
    Body::from(DriverAttached {
        program_version: "test".into(),
        torn_bytes: 0,
    })
}

#[tokio::test]
async fn patches_follow_the_policy_as_it_stands() {
    for (old, new, status) in [
        (
            Access::WorkspaceWrite,
            Access::ReadOnly,
            ToolStatus::Rejected,
        ),
        (Access::ReadOnly, Access::WorkspaceWrite, ToolStatus::Ok),
    ] {
        let patch = "*** Begin Patch\n*** Delete File: a\n*** End Patch";
        let heredoc = format!("apply_patch <<'EOF'\n{patch}\nEOF\n");
        let mut stage = Stage::new([
            calls("apply_patch", &json!({"input": patch})),
            runs(&heredoc),
            says("done"),
        ]);
        stage.settings.policy = policy(old);
        let mut driver = stage.driver();
        driver.record(vec![attached(), changed(new)]).await.unwrap();
        assert_eq!(driver.run_turn(input("x")).await.unwrap(), completed());
        let found: Vec<_> = stage.calls().iter().map(|call| call.status).collect();
        assert_eq!(found, [status, status]);
        assert!(stage.cell.spawned.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_lost_cell_ends_driving_after_its_record() {
    let image = calls("view_image", &json!({"path": "gone"}));
    for reply in [runs("gone"), runs("dies"), image] {
        let mut stage = Stage::new([reply]);
        let ended = stage.turn().await;
        assert!(
            matches!(ended, Err(DriverError::Cell(CellError::Gone))),
            "{ended:?}"
        );
        assert_eq!(stage.kinds().last().unwrap(), "tool.finished");
    }
}

#[tokio::test]
async fn a_cell_lost_in_the_background_is_noticed_before_the_next_request() {
    // It ends while the second command is waited for.
    let mut stage = Stage::new([runs("dies later"), runs("hangs")]);
    let ended = stage.turn().await;
    assert!(
        matches!(ended, Err(DriverError::Cell(CellError::Gone))),
        "{ended:?}"
    );
    assert_eq!(stage.calls().len(), 2);
}

#[tokio::test]
async fn what_ran_beside_a_lost_cell_is_recorded_too() {
    let item = |id: &str, cmd: &str| {
        let arguments = json!({"cmd": cmd}).to_string();
        let item = json!({"type": "function_call", "call_id": id, "name": "exec_command",
            "arguments": arguments});
        Item::from_value(&item).unwrap()
    };
    let mut stage = Stage::new([Reply::Items(vec![
        item("a", "dies later"),
        item("b", "gone"),
    ])]);
    assert!(stage.turn().await.is_err());
    let found: Vec<_> = stage.calls().iter().map(|call| call.status).collect();
    assert_eq!(found, [ToolStatus::Failed, ToolStatus::Failed]);
}

#[tokio::test]
async fn a_check_without_a_cell_is_not_a_failed_check() {
    for check in ["gone", "dies"] {
        let mut stage = Stage::new([
            calls(
                "exec_command",
                &json!({"cmd": "touch a", "yield_time_ms": 250}),
            ),
            says("done"),
        ]);
        stage.settings.checks = vec![check.into()];
        let ended = stage.turn().await;
        assert!(
            matches!(ended, Err(DriverError::Cell(CellError::Gone))),
            "{ended:?}"
        );
        assert!(!stage.kinds().contains(&"check.finished".to_owned()));
    }
}

#[tokio::test]
async fn long_and_broken_arguments_do_not_reach_the_cell() {
    let long = "x".repeat(4097);
    let mut stage = Stage::new([
        calls("exec_command", &json!({"cmd": "true", "workdir": long})),
        calls("exec_command", &json!({"cmd": "true", "shell": long})),
        calls(
            "exec_command",
            &json!({"cmd": "true", "workdir": "a\u{0}b"}),
        ),
        calls("view_image", &json!({"path": long})),
        says("done"),
    ]);
    assert_eq!(stage.turn().await.unwrap(), completed());
    for call in stage.calls() {
        assert_eq!(call.status, ToolStatus::Rejected);
    }
    assert!(
        stage.calls()[0]
            .item
            .raw()
            .contains("workdir has 4097 bytes and the limit is 4096")
    );
    assert!(stage.cell.spawned.lock().unwrap().is_empty());
}

#[tokio::test]
async fn input_that_nobody_reads_does_not_hold_up_the_turn() {
    let start = json!({"cmd": "hangs", "tty": true, "yield_time_ms": 250});
    let mut stage = Stage::new([
        calls("exec_command", &start),
        calls("write_stdin", &json!({"session_id": 1, "chars": "hi"})),
        says("done"),
    ]);
    assert_eq!(stage.turn().await.unwrap(), completed());
    let told = stage.calls()[1].item.raw().to_owned();
    assert!(
        told.contains("The input was not taken completely: the command does not read it"),
        "{told}"
    );
    assert!(told.contains(r#""output":"Chunk ID: "#), "{told}");
}

#[tokio::test]
async fn instruction_files_are_found_from_the_calls_directory() {
    let mut stage = Stage::new([
        calls(
            "exec_command",
            &json!({"cmd": "cat x/y.rs ../other/z", "workdir": "deep"}),
        ),
        calls("exec_command", &json!({"cmd": "cat more/y.rs"})),
        says("done"),
    ]);
    for path in [
        "x",
        "deep",
        "more",
        "sub/deep",
        "sub/deep/x",
        "sub/other",
        "sub/more",
    ] {
        let path = format!("{path}/AGENTS.md");
        stage.tree.0.insert(path.clone(), path);
    }
    assert_eq!(stage.turn().await.unwrap(), completed());
    let sources: Vec<String> = stage
        .records()
        .into_iter()
        .filter_map(|body| match body {
            Body::ContextAdded(added) => Some(added.sources),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(
        sources,
        [
            "sub/deep/AGENTS.md",
            "sub/deep/x/AGENTS.md",
            "sub/other/AGENTS.md",
            "sub/more/AGENTS.md"
        ]
    );
}

#[tokio::test]
async fn instruction_files_have_room_for_the_whole_session() {
    let touch = |n: u32| runs(&format!("cat d{n}/y"));
    let mut stage = Stage::new((0..5).map(touch).chain([says("done")]));
    for n in 0..5 {
        let path = format!("sub/d{n}/AGENTS.md");
        stage.tree.0.insert(path, "x".repeat(20 << 10));
    }
    assert_eq!(stage.turn().await.unwrap(), completed());
    let records = stage.records();
    let added: Vec<usize> = records
        .iter()
        .filter_map(|body| match body {
            Body::ContextAdded(added) => Some(added.items[0].raw().matches('x').count()),
            _ => None,
        })
        .collect();
    // The fourth is cut, and says so; of the fifth nothing is read.
    assert_eq!(added.len(), 4);
    assert!(added.iter().sum::<usize>() < (64 << 10) + 100, "{added:?}");
    let warnings = records.iter().filter(
        |body| matches!(body, Body::Warning(warning) if warning.code == "instructions_cut"),
    );
    assert_eq!(warnings.count(), 2);
}

#[tokio::test]
async fn a_resumed_turn_has_only_the_time_that_is_left() {
    let mut stage = Stage::new([Reply::Silence]);
    stage.settings.budget.seconds = Some(60);
    let turn = TurnStarted {
        turn: 1,
        items: vec![Item::message("user", "x")],
        output_schema: None,
        inbox: None,
    };
    let warning = recto_protocol::record::Warning {
        code: "x".into(),
        message: "x".into(),
    };
    stage.before = vec![
        (0, turn.into()),
        (59_700, warning.into()),
        (90_000, attached()),
    ];
    stage.log.now = 90_000;
    // The model is silent for ever: an end is the budget's.
    let outcome = stage.driver().run_rest().await.unwrap().unwrap();
    assert!(
        matches!(outcome, Outcome::BudgetReached { .. }),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn the_output_of_checks_holds_no_nul() {
    let mut stage = Stage::new([runs("touch a"), says("done"), says("done")]);
    stage.settings.checks = vec!["nul".into()];
    assert_eq!(stage.turn().await.unwrap(), completed());
    let outputs: Vec<String> = stage
        .records()
        .into_iter()
        .filter_map(|body| match body {
            Body::CheckFinished(finished) => Some(finished.output),
            _ => None,
        })
        .collect();
    assert!(!outputs.is_empty());
    assert!(outputs.iter().all(|output| output == "a\u{2400}b"));
    let requests = stage.model.requests.lock().unwrap();
    assert!(
        !requests
            .iter()
            .any(|request| request.input.contains(r"\u0000"))
    );
}

#[tokio::test]
async fn ended_commands_leave_room_for_others() {
    let mut stage = Stage::new([
        runs("late"),
        runs("hangs"),
        runs("hangs"),
        runs("true"),
        says("done"),
    ]);
    stage.limits.running_commands = 2;
    // While the second is waited for, the first ends, which makes room for the third.
    assert_eq!(stage.turn().await.unwrap(), completed());
    let found: Vec<_> = stage.calls().iter().map(|call| call.status).collect();
    let (ok, rejected) = (ToolStatus::Ok, ToolStatus::Rejected);
    assert_eq!(found, [ok, ok, ok, rejected]);
}

#[tokio::test]
async fn session_numbers_go_on_after_the_log() {
    let mut stage = Stage::new([runs("hangs"), says("done")]);
    let call = recto_protocol::tool::ToolCall {
        call_id: CallId("old".into()),
        name: "exec_command".into(),
        input: recto_protocol::tool::ToolInput::Function("{}".into()),
    };
    let finished = ToolFinished {
        call_id: call.call_id.clone(),
        status: ToolStatus::Ok,
        item: Item::call_output(&call, &json!("")),
        effect: Effect::Command {
            command: "x".into(),
            exit_code: None,
            session: Some(7),
            chunk: None,
            output_bytes: 0,
            output_lines: 0,
        },
        duration_ms: 0,
    };
    stage.before = vec![(0, finished.into())];
    assert_eq!(stage.turn().await.unwrap(), completed());
    let effect = &stage.calls()[1].effect;
    assert!(
        matches!(
            effect,
            Effect::Command {
                session: Some(8),
                ..
            }
        ),
        "{effect:?}"
    );
}

#[tokio::test]
async fn an_interrupt_kills_also_what_runs_in_the_background() {
    for stuck in [false, true] {
        let mut stage = Stage::new([runs("hangs"), Reply::Silence]);
        stage.cell = Arc::new(FakeCell {
            stuck,
            ..FakeCell::default()
        });
        let mut driver = stage.driver();
        let handle = driver.handle();
        let speak = async {
            while stage.model.requests.lock().unwrap().len() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            handle.send(Control::Interrupt {
                by: "user".into(),
                inbox: None,
            });
        };
        let (outcome, ()) = tokio::join!(driver.run_turn(input("x")), speak);
        assert_eq!(outcome.unwrap(), Outcome::Interrupted { by: "user".into() });
        assert_eq!(stage.cell.kills.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn background_commands_outlive_a_completed_turn() {
    let mut stage = Stage::new([runs("hangs"), says("done")]);
    assert_eq!(stage.turn().await.unwrap(), completed());
    assert_eq!(stage.cell.kills.load(Ordering::Relaxed), 0);
}

fn long_session(replies: impl IntoIterator<Item = Reply>) -> Stage {
    let mut stage = Stage::new(replies);
    stage.settings.profile.auto_compact_limit = Some(1000);
    stage.settings.profile.compaction = CompactionWay::Provider;
    stage
}

#[tokio::test]
async fn a_provider_that_refuses_to_compact_is_asked_for_a_summary() {
    for kind in [ErrorKind::Refused, ErrorKind::NotFound] {
        let refused = Reply::Error(ModelError::new(kind, "no such thing"));
        let mut stage = long_session([refused, says("a summary"), says("done")]);
        let long = input(&"word ".repeat(2000));
        let outcome = stage.driver().run_turn(long).await.unwrap();
        assert_eq!(outcome, completed());
        let kinds = stage.kinds();
        assert!(kinds.contains(&"compaction.failed".to_owned()), "{kinds:?}");
        assert!(kinds.contains(&"context.compacted".to_owned()), "{kinds:?}");
    }
}

#[tokio::test]
async fn retries_of_a_compaction_are_told() {
    let busy = || Reply::Error(ModelError::new(ErrorKind::Server, "busy"));
    let item = Item::parse(r#"{"type":"compaction","encrypted_content":"x"}"#).unwrap();
    let mut stage = long_session([busy(), Reply::Items(vec![item]), says("done")]);
    let long = input(&"word ".repeat(2000));
    assert_eq!(stage.driver().run_turn(long).await.unwrap(), completed());
    let told = stage.records().into_iter().find_map(|body| match body {
        Body::Warning(warning) => Some(warning),
        _ => None,
    });
    let told = told.unwrap();
    assert_eq!(told.code, "compaction_retry");
    assert!(told.message.ends_with(": busy"), "{}", told.message);
}

#[tokio::test]
async fn steps_that_may_have_changed_files_are_written_down() {
    let mut stage = Stage::new([
        calls("update_plan", &json!({"plan": []})),
        runs("one"),
        runs("two"),
        runs("three"),
        says("done"),
    ]);
    // The second command changed nothing; after the third the tree can't be written.
    stage.checkpoints = Some(Trees::new([Ok("t1"), Ok("t1"), Err("disk full")]));
    assert_eq!(stage.turn().await.unwrap(), completed());
    let told: Vec<String> = stage
        .records()
        .into_iter()
        .filter_map(|body| match body {
            Body::Checkpointed(written) => Some(written.tree),
            Body::Warning(warning) => Some(warning.message),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["t1", "disk full"]);
    let kinds = stage.kinds();
    let at = |kind: &str| kinds.iter().position(|one| one == kind).unwrap();
    // Durable before the model is asked again.
    assert_eq!(kinds[at("checkpoint.written") + 1], "step.started");
}

#[tokio::test]
async fn a_driver_that_yields_leaves_the_turn_to_another_one() {
    let mut stage = Stage::new([runs("one"), says("done")]);
    let mut driver = stage.driver();
    driver.handle().send(Control::Yield);
    let yielded = driver.run_turn(input("x")).await;
    assert!(matches!(yielded, Err(DriverError::Yielded)), "{yielded:?}");
    assert!(driver.session().is_running());
    // What it had begun is whole in the log; what it had not is not there.
    let records = stage.log.records.lock().unwrap().clone();
    stage.before = records[1..]
        .iter()
        .map(|one| (one.at, one.body.clone()))
        .collect();
    let mut next = stage.driver();
    assert_eq!(next.run_rest().await.unwrap(), Some(completed()));
    assert_eq!(stage.cell.spawned.lock().unwrap().len(), 1);
}
