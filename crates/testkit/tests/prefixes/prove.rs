//! Runs a session, then goes on from every prefix of its log.
//!
//! What is done for each prefix of each log, from one record to all of them:
//!
//! 1. It folds, `next()` has an answer, and folding record by record gives the same state.
//! 2. The work tree is put into the state that the prefix says: the first commit, and what the calls
//!    did whose results are in the prefix, done again by the test outside of any cell. A call that is
//!    in the prefix without its result may have run or not when a process dies, so both are tried.
//! 3. The session's directory gets the prefix as its log, and `recto exec resume` goes on, in as many
//!    runs as there are turns left.
//! 4. The last turn must end as it did in the session that nobody cut: exit code and outcome with its
//!    answer (of a failure the reason, not its words). Every file of the work tree must be the same,
//!    and so must the subjects of the commits and git's status. The new log must begin with the
//!    prefix, byte for byte, and its next record must be `driver.attached`; and each step's
//!    conversation begins with the one before, up to a compaction.
//! 5. A session that was interrupted is interrupted again only where the request to stop is in the
//!    prefix; from an earlier one it goes on to its answer. What was used up (tokens, time) is not
//!    compared: a repair costs a step.
//!
//! A scripted model does not think. So each script has a `mend` command, which it gives when it is
//! told that a result was lost, that a response was cut, or that a process is no longer there; it
//! brings about what the cut response was to bring about, and is harmless where that has happened. A
//! model that is not told would not run it, and the trees would differ: that is what is tested.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use recto_agent::Session;
use recto_protocol::record::{Body, Outcome, Record};
use recto_protocol::tool::{Effect, ToolCall, ToolInput, ToolStatus};
use recto_protocol::{CallId, View};
use recto_testkit::{Home, Live, Repository, Run, Script, Tree, replace, tree};
use rustix::process::Signal;
use serde_json::{Value, json};

pub(crate) struct Turn {
    prompt: &'static str,
    flags: Vec<String>,
    /// SIGINT comes as soon as a command runs.
    interrupted: bool,
}

/// A session to be made and cut.
pub(crate) struct Scenario {
    home: Home,
    repo: Repository,
    replies: Vec<Value>,
    turns: Vec<Turn>,
    command: &'static str,
    /// What the tree holds besides when a cut session goes on.
    gate: Option<&'static str>,
    torn: bool,
    code: i32,
}

/// What a session came to.
#[derive(Debug, PartialEq)]
struct End {
    code: Option<i32>,
    outcome: Value,
    tree: Tree,
    git: String,
}

pub(crate) fn scenario(files: &[(&str, &str)]) -> Scenario {
    Scenario {
        home: Home::new(),
        repo: Repository::new(files),
        replies: Vec::new(),
        turns: Vec::new(),
        command: "exec",
        gate: None,
        torn: false,
        code: 0,
    }
}

impl Scenario {
    pub(crate) fn reply(mut self, reply: Value) -> Self {
        self.replies.push(reply);
        self
    }

    pub(crate) fn exec(self, command: &str) -> Self {
        self.call("exec_command", json!({"cmd": command}))
    }

    pub(crate) fn call(self, tool: &str, arguments: Value) -> Self {
        self.reply(json!({"events": [{"call": tool, "arguments": arguments}]}))
    }

    pub(crate) fn patch(self, patch: &str) -> Self {
        self.call("apply_patch", json!({"input": patch}))
    }

    /// The final answer, which can be given again when it was cut.
    pub(crate) fn answer(self, text: &str) -> Self {
        self.reply(json!({"text": text, "times": 4}))
    }

    /// What brings about whatever a cut response was to bring about.
    pub(crate) fn mend(self, command: &str) -> Self {
        self.on_loss(&json!({"events": [{"call": "exec_command", "arguments": {"cmd": command}}]}))
    }

    pub(crate) fn on_loss(self, reply: &Value) -> Self {
        let lost = ["The worker stopped before", "no running command"];
        lost.into_iter()
            .fold(self.on_cut(reply), |this, told| this.told(told, reply))
    }

    /// What the model says when a response was cut that held a message.
    pub(crate) fn on_cut(self, reply: &Value) -> Self {
        self.told("The connection broke before", reply)
    }

    fn told(mut self, told: &str, reply: &Value) -> Self {
        let mut reply = reply.clone();
        reply["match"] = told.into();
        self.replies.push(reply);
        self
    }

    pub(crate) fn turn(self, prompt: &'static str, flags: &[&str]) -> Self {
        self.add_turn(prompt, flags, false)
    }

    pub(crate) fn interrupted_turn(mut self, prompt: &'static str, gate: &'static str) -> Self {
        self.gate = Some(gate);
        self.add_turn(prompt, &[], true)
    }

    fn add_turn(mut self, prompt: &'static str, flags: &[&str], interrupted: bool) -> Self {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        self.turns.push(Turn {
            prompt,
            flags,
            interrupted,
        });
        self
    }

    pub(crate) fn ask(mut self) -> Self {
        self.command = "ask";
        self
    }

    /// Also cuts in the middle of every line.
    pub(crate) fn torn(mut self) -> Self {
        self.torn = true;
        self
    }

    pub(crate) fn ends_with(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// Runs the session and proves it for every prefix.
    pub(crate) fn prove(mut self) {
        if self.turns.is_empty() {
            self = self.turn("do it", &[]);
        }
        let script = self
            .replies
            .iter()
            .cloned()
            .fold(Script::new(), Script::reply);
        let model = script.model();
        let kept = tempfile::tempdir().unwrap();
        let pristine = kept.path().join("pristine");
        replace(self.repo.path(), &pristine);

        let mut last = None;
        for number in 0..self.turns.len() {
            last = Some(self.run(number, number > 0, true, &model, true));
        }
        let expected = self.end(last.unwrap());
        assert_eq!(expected.code, Some(self.code), "{expected:#?}");
        let session = self.home.sessions().pop().unwrap();
        let log = std::fs::read_to_string(session.join("log.jsonl")).unwrap();
        replace(&session, &kept.path().join("session"));

        let lines: Vec<&str> = log.split_inclusive('\n').collect();
        let records: Vec<Record> = lines
            .iter()
            .map(|line| Record::from_line(line.trim_end()).unwrap())
            .collect();
        check_folds(&records);
        let mut replay = Replay::new(&pristine, kept.path().join("tree"));
        let mut cuts = 0;
        for count in 1..=records.len() {
            replay.take(&records[count - 1]);
            let prefix = lines[..count].concat();
            let mut variants = vec![(prefix.clone(), false)];
            if replay.has_pending() {
                variants.push((prefix.clone(), true));
            }
            if let Some(next) = lines.get(count).filter(|_| self.torn) {
                variants.push((prefix.clone() + &next[..next.len() / 2], false));
            }
            for (text, ran) in variants {
                replay.restore(self.repo.path(), self.gate, ran);
                replace(&kept.path().join("session"), &session);
                std::fs::write(session.join("log.jsonl"), &text).unwrap();
                let about = format!(
                    "cut after record {} ({}) of {}, open calls {}",
                    count - 1,
                    records[count - 1].body.kind(),
                    records.len() - 1,
                    if ran { "done" } else { "not done" },
                );
                self.go_on(&records[..count], &prefix, &text, &model, &expected, &about);
                cuts += 1;
            }
        }
        println!("{} records, {cuts} resumed sessions", records.len());
    }

    fn go_on(
        &self,
        records: &[Record],
        prefix: &str,
        text: &str,
        model: &str,
        expected: &End,
        about: &str,
    ) {
        let folded = Session::replay(records).unwrap();
        let begun = folded.turns() as usize;
        let mut last = None;
        if folded.is_running() || begun == self.turns.len() {
            // A session whose last turn has ended has nothing to go on with: nothing must change.
            if !folded.is_running() {
                return self.is_over(records, expected, about);
            }
            last = Some(self.run(begun - 1, true, false, model, false));
        }
        for number in begun..self.turns.len() {
            last = Some(self.run(number, true, true, model, false));
        }
        let run = last.unwrap();
        let stderr = run.stderr.clone();
        let end = self.end(run);
        // An interrupt that is not in the prefix never happened.
        let interrupted = |record: &Record| matches!(record.body, Body::InterruptRequested(_));
        let differs = self.turns.last().unwrap().interrupted && !records.iter().any(interrupted);
        if differs {
            assert_eq!(end.code, Some(0), "{about}\n{end:#?}\n{stderr}");
        } else if end != *expected {
            let log = std::fs::read_to_string(self.log()).unwrap();
            panic!("{about}\nis {end:#?}\nshould be {expected:#?}\n{stderr}\n{log}");
        }
        let log = std::fs::read_to_string(self.log()).unwrap();
        assert!(log.starts_with(prefix), "{about}");
        let next: Value =
            serde_json::from_str(log[prefix.len()..].lines().next().unwrap()).unwrap();
        assert_eq!(next["kind"], "driver.attached", "{about}");
        let torn = text.len() - prefix.len();
        assert_eq!(
            next["body"]["torn_bytes"].as_u64().unwrap_or(0),
            torn as u64,
            "{about}"
        );
        let all: Vec<Record> = log
            .lines()
            .map(|line| Record::from_line(line).unwrap())
            .collect();
        check_input_grows(&all, about);
    }

    fn is_over(&self, records: &[Record], expected: &End, about: &str) {
        let outcome = last_outcome(records).unwrap();
        assert_eq!(outcome, expected.outcome, "{about}");
        assert_eq!(self.tree(), expected.tree, "{about}");
    }

    fn log(&self) -> PathBuf {
        self.home.sessions().pop().unwrap().join("log.jsonl")
    }

    /// One run of the program: a turn, or the rest of one.
    fn run(&self, number: usize, resume: bool, prompt: bool, model: &str, first: bool) -> Run {
        let turn = &self.turns[number];
        let mut args = vec![self.command.to_owned(), "--json".into()];
        args.extend(turn.flags.iter().cloned());
        if resume {
            let session = self.home.sessions().pop().unwrap();
            args.push("resume".into());
            args.push(session.file_name().unwrap().to_str().unwrap().to_owned());
        } else {
            args.extend(["-m".into(), model.to_owned()]);
        }
        if prompt {
            args.push(turn.prompt.to_owned());
        }
        let mut live = Live::start(self.home.command(self.repo.path(), &args));
        if turn.interrupted && first {
            let gate = self.gate.unwrap();
            assert!(live.wait_for(|event| {
                let command = event["item"]["command"].as_str().unwrap_or_default();
                event["type"] == "item.started" && command.contains(gate)
            }));
            live.signal(Signal::INT);
        }
        live.finish()
    }

    fn tree(&self) -> Tree {
        let mut tree = tree(self.repo.path());
        if let Some(gate) = self.gate {
            tree.remove(gate);
        }
        tree
    }

    fn end(&self, run: Run) -> End {
        let log = std::fs::read_to_string(self.log()).unwrap();
        let records: Vec<Record> = log
            .lines()
            .map(|line| Record::from_line(line).unwrap())
            .collect();
        let outcome = last_outcome(&records);
        End {
            code: run.code,
            outcome: outcome.unwrap_or_else(|| panic!("no outcome\n{}", run.stderr)),
            tree: self.tree(),
            git: self.repo.git(&["log", "--format=%s"])
                + &self.gate.map_or_else(
                    || self.repo.git(&["status", "--porcelain"]),
                    |_| String::new(),
                ),
        }
    }
}

fn last(records: &[Record]) -> Option<&Outcome> {
    records.iter().rev().find_map(|record| match &record.body {
        Body::TurnEnded(body) => Some(&body.outcome),
        _ => None,
    })
}

fn last_outcome(records: &[Record]) -> Option<Value> {
    let mut outcome = serde_json::to_value(last(records)?).unwrap();
    // A script's error tells its place, which is another one after a repair.
    if outcome["kind"] == "failed" {
        outcome.as_object_mut().unwrap().remove("message");
    }
    Some(outcome)
}

fn check_folds(records: &[Record]) {
    assert!(Session::replay(&[]).is_none());
    let mut grown = Session::replay(&records[..1]).unwrap();
    for count in 1..=records.len() {
        if count > 1 {
            grown.apply(&records[count - 1]);
        }
        let folded = Session::replay(&records[..count]).unwrap();
        assert_eq!(folded, grown, "prefix of {count}");
        // Every state has an answer; asking does not change it.
        assert_eq!(
            format!("{:?}", folded.next()),
            format!("{:?}", grown.next())
        );
    }
    check_input_grows(records, "the session that was not cut");
}

fn check_input_grows(records: &[Record], about: &str) {
    let mut session = Session::replay(&records[..1]).unwrap();
    let mut before = session.input().to_owned();
    for record in &records[1..] {
        session.apply(record);
        let shortens = matches!(record.body, Body::Compacted(_) | Body::CompactionFailed(_));
        let grown = session.input().starts_with(&before);
        assert!(
            grown || shortens,
            "{about}: record {} changed the input",
            record.seq
        );
        before = session.input().to_owned();
    }
}

/// Does again what the calls of a log did.
struct Replay {
    tree: PathBuf,
    writable: bool,
    calls: HashMap<CallId, ToolCall>,
    /// Calls without a result, in their order.
    pending: Vec<CallId>,
    /// Commands that ran on in the background.
    background: Vec<String>,
}

impl Replay {
    fn new(pristine: &Path, tree: PathBuf) -> Self {
        replace(pristine, &tree);
        Self {
            tree,
            writable: true,
            calls: HashMap::new(),
            pending: Vec::new(),
            background: Vec::new(),
        }
    }

    fn take(&mut self, record: &Record) {
        match &record.body {
            Body::SessionStarted(body) => {
                let access = body.settings.policy.access;
                self.writable = access != recto_protocol::policy::Access::ReadOnly;
            }
            Body::SettingsChanged(body) => {
                if let Some(policy) = &body.policy {
                    self.writable = policy.access != recto_protocol::policy::Access::ReadOnly;
                }
            }
            Body::StepItem(body) => {
                if let View::Call(call) = body.item.view() {
                    self.pending.push(call.call_id.clone());
                    self.calls.insert(call.call_id.clone(), call);
                }
            }
            Body::ToolFinished(body) => {
                self.pending.retain(|id| *id != body.call_id);
                let call = self.calls[&body.call_id].clone();
                if self.writable {
                    self.finished(&call, body.status, &body.effect);
                }
            }
            Body::DriverAttached(_) | Body::TurnEnded(_) => self.pending.clear(),
            _ => {}
        }
    }

    fn finished(&mut self, call: &ToolCall, status: ToolStatus, effect: &Effect) {
        let ran = matches!(status, ToolStatus::Ok | ToolStatus::Failed);
        match effect {
            Effect::Command {
                command,
                session: Some(_),
                exit_code: None,
                ..
            } => {
                self.background.push(command.clone());
            }
            Effect::Command { command, .. } if call.name == "write_stdin" => {
                // It ended between the two looks at it.
                if let Some(at) = self.background.iter().position(|known| known == command) {
                    shell(&self.tree, &self.background.remove(at), SAID);
                }
            }
            Effect::Command { .. } if ran => redo(&self.tree, call),
            Effect::Files { .. } if status == ToolStatus::Ok => redo(&self.tree, call),
            _ => {}
        }
    }

    fn has_pending(&self) -> bool {
        self.writable && !(self.pending.is_empty() && self.background.is_empty())
    }

    /// Puts the work tree into this state, with the open calls done or not.
    fn restore(&self, repo: &Path, gate: Option<&str>, pending_too: bool) {
        replace(&self.tree, repo);
        if let Some(gate) = gate {
            std::fs::write(repo.join(gate), "").unwrap();
        }
        if pending_too {
            self.background
                .iter()
                .for_each(|command| shell(repo, command, SAID));
            self.pending
                .iter()
                .for_each(|id| redo(repo, &self.calls[id]));
        }
    }
}

fn redo(tree: &Path, call: &ToolCall) {
    let fields: Value = serde_json::from_str(call.input.text()).unwrap_or_default();
    let patch = match (&call.input, fields["input"].as_str()) {
        (ToolInput::Custom(text), _) => Some(text.clone()),
        (_, text) => text.map(str::to_owned),
    };
    match (call.name.as_str(), patch, fields["cmd"].as_str()) {
        ("apply_patch", Some(patch), _) => {
            // One that does not fit did not fit the first time either.
            let _ = Command::new(recto_testkit::binary())
                .args(["apply-patch", &patch])
                .current_dir(tree)
                .env("RECTO_HOME", tree.with_extension("home"))
                .output()
                .unwrap();
        }
        ("exec_command", _, Some(command)) => shell(tree, command, ""),
        _ => {}
    }
}

/// What commands in the background are told.
pub(crate) const SAID: &str = "hello\n";

fn shell(tree: &Path, command: &str, input: &str) {
    if command.contains("*** Begin Patch") {
        let start = command.find("*** Begin Patch").unwrap();
        let end = command.find("*** End Patch").unwrap();
        let patch = format!("{}*** End Patch\n", &command[start..end]);
        let status = Command::new(recto_testkit::binary())
            .args(["apply-patch", &patch])
            .current_dir(tree)
            .env("RECTO_HOME", tree.with_extension("home"))
            .output();
        assert!(status.unwrap().status.success());
        return;
    }
    let mut shell = Command::new("timeout");
    let fed = format!("printf %s \"$0\" | {{ {command}\n}}");
    shell.args([
        "20",
        "bash",
        "-c",
        if input.is_empty() { command } else { &fed },
        input,
    ]);
    shell.current_dir(tree);
    for name in ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"] {
        shell.env(name, "Tester");
    }
    for name in ["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"] {
        shell.env(name, "tester@localhost");
    }
    let output = shell.output().unwrap();
    assert_ne!(output.status.code(), Some(124), "{command} does not end");
}
