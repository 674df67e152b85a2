//! Progress for people, on standard error: plain lines, and on a terminal a live status below them.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use recto_protocol::record::{Body, Outcome, StepFailed, ToolFinished, TurnEnded};
use recto_protocol::tool::{ChangeKind, Effect, FileChange, PlanStatus, ToolCall, ToolStatus};
use recto_protocol::usage::{Micros, Usage};
use recto_protocol::{CallId, Record, View};
use recto_runtime::{LiveEvent, Sink};

use super::network::{Unknown, is_notable, network_line};
use super::safe::{cut, safe, safe_line};
use super::{plural, told};

/// Lines of a command's output that are shown.
const SHOWN_LINES: usize = 8;
/// Bytes of a command's output that are kept for showing.
const KEPT_BYTES: usize = 16 << 10;
const LINE: usize = 160;

/// Shows a session's progress.
pub struct Human {
    status: Option<ProgressBar>,
    usage: Usage,
    cost: Micros,
    /// Commands that have no result yet.
    open: BTreeMap<CallId, Open>,
    /// The command whose line was said last.
    headline: Option<CallId>,
    /// The names of other tools whose calls have no result yet.
    others: BTreeMap<CallId, String>,
    /// What commands asked for and no rule is about.
    unknown: Unknown,
    colour: bool,
}

/// A command that has no result yet.
struct Open {
    command: String,
    output: Vec<u8>,
}

impl Human {
    /// Shows progress; with a live status line when `terminal`, in colour when `colour`.
    pub fn new(terminal: bool, colour: bool) -> Self {
        let status = terminal.then(|| {
            let bar = ProgressBar::new_spinner();
            // The template is a constant that parses.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} · {elapsed}{msg}")
            {
                bar.set_style(style);
            }
            bar.set_prefix("starting");
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            status,
            usage: Usage::default(),
            cost: Micros::default(),
            open: BTreeMap::new(),
            headline: None,
            others: BTreeMap::new(),
            unknown: Unknown::default(),
            colour,
        }
    }

    /// One line about the session, before anything else.
    pub fn banner(&mut self, line: &str) {
        self.say(line);
    }

    fn say(&self, text: &str) {
        match &self.status {
            Some(bar) => bar.println(text),
            None => super::tell(&format!("{text}\n")),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn doing(&self, what: &str) {
        let Some(bar) = &self.status else { return };
        bar.set_prefix(safe_line(what, 60));
        let mut message = String::new();
        if self.usage.total() > 0 {
            message.push_str(&format!(" · {} tokens", short(self.usage.total())));
        }
        if self.cost.0 > 0 {
            message.push_str(&format!(" · {}", self.cost));
        }
        bar.set_message(message);
    }

    fn record(&mut self, record: &Record) {
        match &record.body {
            Body::TurnStarted(_) | Body::StepStarted(_) => self.doing("waiting for the model"),
            Body::StepItem(body) => self.model_item(&body.item.view()),
            Body::StepFinished(body) => {
                self.usage += body.finish.usage.unwrap_or_default();
                self.cost += body.cost.unwrap_or_default();
            }
            Body::StepFailed(body) => self.step_failed(body),
            Body::ToolFinished(body) => self.tool_finished(body),
            Body::CheckFinished(body) => {
                let mark = if body.exit_code == Some(0) {
                    "passed"
                } else {
                    "FAILED"
                };
                let why = killed_after(&body.output)
                    .filter(|_| body.exit_code.is_none())
                    .map_or(String::new(), |seconds| {
                        format!(" (killed after {seconds} s)")
                    });
                let command = safe_line(&body.command, LINE);
                self.say(&format!("check {mark}{why}: {command}"));
                if body.exit_code != Some(0) {
                    self.show_output(body.output.as_bytes());
                }
            }
            Body::Compacted(body) => {
                self.usage += body.usage;
                self.cost += body.cost.unwrap_or_default();
                self.say(&self.dim("the conversation was replaced by a summary of it"));
            }
            Body::CompactionFailed(body) => {
                self.say(&format!(
                    "warning: compaction failed: {}",
                    safe_line(&body.reason, LINE)
                ));
            }
            Body::AnswerRejected(body) => {
                self.say(&format!("answer not accepted: {}", safe(&body.message)));
            }
            Body::Warning(body) => self.say(&format!("warning: {}", safe(&body.message))),
            Body::NetworkRequested(body) if is_notable(&body.request) => {
                self.say(&format!("network: {}", network_line(&body.request, LINE)));
                self.unknown.note(&body.request);
            }
            Body::DriverAttached(body) if body.torn_bytes > 0 => self.say(&format!(
                "warning: the log's last line was torn; {} {} were set aside",
                body.torn_bytes,
                plural(body.torn_bytes as usize, "byte")
            )),
            Body::InterruptRequested(body) => {
                self.say(&format!("stopping ({})", safe_line(&body.by, LINE)));
            }
            Body::TurnEnded(body) => self.turn_ended(body),
            Body::SessionStarted(_)
            | Body::ContextAdded(_)
            | Body::SettingsChanged(_)
            | Body::MessageAdded(_)
            | Body::DriverAttached(_)
            | Body::NetworkRequested(_)
            | Body::StateChanged(_)
            | Body::Checkpointed(_)
            | Body::WorkSettled(_)
            | Body::EvidenceGathered(_)
            | Body::Unknown { .. } => {}
        }
    }

    fn model_item(&mut self, view: &View) {
        match view {
            View::Reasoning { summary } if !summary.is_empty() => {
                self.say(&self.dim(&safe(summary)));
            }
            View::Message {
                role,
                text,
                commentary: true,
                ..
            } if role == "assistant" => {
                self.say(&safe(text));
            }
            _ => {}
        }
    }

    fn step_failed(&self, body: &StepFailed) {
        let message = safe_line(&body.error.message, 2 * LINE);
        // Without another try, the turn's end tells it.
        if let Some(wait) = body.retry_in {
            let seconds = wait.as_secs_f64();
            self.say(&format!(
                "warning: {message}; trying again in {seconds:.1} s"
            ));
        }
    }

    fn tool_started(&mut self, call: &ToolCall) {
        let arguments: serde_json::Value =
            serde_json::from_str(call.input.text()).unwrap_or_default();
        match arguments["cmd"].as_str() {
            Some(command) if call.name == "exec_command" => {
                let open = Open {
                    command: safe_line(command, LINE),
                    output: Vec::new(),
                };
                self.say(&self.paint("1", &format!("$ {}", open.command)));
                self.doing(command);
                self.headline = Some(call.call_id.clone());
                self.open.insert(call.call_id.clone(), open);
            }
            _ => {
                self.doing(&call.name);
                let name = safe_line(&call.name, LINE);
                self.others.insert(call.call_id.clone(), name);
            }
        }
    }

    fn tool_output(&mut self, call: &CallId, bytes: &[u8]) {
        let Some(open) = self.open.get_mut(call) else {
            return;
        };
        let kept = &mut open.output;
        kept.extend_from_slice(bytes);
        if kept.len() > 2 * KEPT_BYTES {
            kept.drain(..kept.len() - KEPT_BYTES);
        }
    }

    fn tool_finished(&mut self, body: &ToolFinished) {
        let is_last = self.headline.as_ref() == Some(&body.call_id);
        let open = self.open.remove(&body.call_id);
        let other = self.others.remove(&body.call_id);
        match &body.effect {
            Effect::Command {
                exit_code, session, ..
            } => {
                if let Some(open) = &open {
                    if !is_last {
                        // Which one this is about would be a guess otherwise.
                        self.headline = Some(body.call_id.clone());
                        self.say(&self.dim(&format!("$ {}", open.command)));
                    }
                    self.show_output(&open.output);
                }
                let seconds = body.duration_ms as f64 / 1000.0;
                let end = match (exit_code, session) {
                    (Some(code), _) => format!("  exit {code} ({seconds:.1} s)"),
                    (None, Some(_)) => "  runs on in the background".to_owned(),
                    (None, None) => format!("  {} ({seconds:.1} s)", how_it_ended(body)),
                };
                self.say(&self.dim(&end));
            }
            Effect::Files { changes } => {
                if body.status == ToolStatus::Ok {
                    for change in changes {
                        self.say(&file_line(change));
                    }
                } else {
                    self.say(&format!("patch not applied: {}", reason(body)));
                }
            }
            Effect::Plan { plan } => {
                self.say("plan:");
                for step in &plan.steps {
                    let mark = match step.status {
                        PlanStatus::Pending => "[ ]",
                        PlanStatus::InProgress => "[>]",
                        PlanStatus::Completed => "[x]",
                    };
                    self.say(&format!("  {mark} {}", safe_line(&step.step, LINE)));
                }
            }
            Effect::Image { path } => self.say(&format!("looked at {}", safe_line(path, LINE))),
            Effect::None => {
                let name = match &open {
                    Some(open) => format!("$ {}", open.command),
                    None => other.unwrap_or_else(|| "a tool call".to_owned()),
                };
                match body.status {
                    ToolStatus::Ok => {}
                    ToolStatus::Interrupted => self.say(&format!("{name}: stopped")),
                    ToolStatus::Rejected => {
                        self.say(&format!("{name}: refused: {}", reason(body)));
                    }
                    _ => self.say(&format!("{name}: failed: {}", reason(body))),
                }
            }
        }
        match self.open.values().next() {
            Some(open) => self.doing(&open.command),
            None => self.doing("working"),
        }
    }

    fn show_output(&self, output: &[u8]) {
        let text = safe(&String::from_utf8_lossy(output));
        let lines: Vec<&str> = text.lines().collect();
        let skipped = lines.len().saturating_sub(SHOWN_LINES);
        if skipped > 0 {
            let lines = plural(skipped, "line");
            self.say(&self.dim(&format!("  … {skipped} more {lines} above")));
        }
        for line in &lines[skipped..] {
            self.say(&self.dim(&format!("  {}", cut(line, LINE))));
        }
    }

    fn turn_ended(&mut self, body: &TurnEnded) {
        match &body.outcome {
            Outcome::Completed { .. } => {}
            Outcome::Failed { message, .. } => self.say(&format!("failed: {}", safe(message))),
            Outcome::Interrupted { by } => {
                self.say(&format!("interrupted by {}", safe_line(by, LINE)));
            }
            Outcome::BudgetReached { limit } => {
                self.say(&format!("budget used up: {}", safe_line(limit, LINE)));
            }
        }
        let usage = &body.usage;
        let cost = body.cost.map_or(String::new(), |cost| format!(", {cost}"));
        self.say(&self.dim(&format!(
            "{} · {} tokens in ({} cached), {} out{cost}",
            elapsed(body.duration_ms / 1000),
            short(usage.input_tokens),
            short(usage.cached_input_tokens),
            short(usage.output_tokens),
        )));
    }

    /// Says the last words and takes the live status away.
    pub fn close(&mut self, lines: Vec<String>) {
        if let Some(hint) = self.unknown.hint() {
            self.say(&hint);
        }
        for line in lines {
            self.say(&line);
        }
        self.still();
    }

    /// Takes the live status away.
    pub fn still(&mut self) {
        if let Some(bar) = self.status.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Human {
    fn drop(&mut self) {
        if let Some(bar) = &self.status {
            bar.finish_and_clear();
        }
    }
}

/// Why a call was not done: the first line of what the model was told.
fn reason(body: &ToolFinished) -> String {
    let text = told(body);
    let first = text.lines().find(|line| !line.trim().is_empty());
    safe_line(first.unwrap_or("no reason was given"), 2 * LINE)
}

/// How a command without an exit code ended.
fn how_it_ended(body: &ToolFinished) -> String {
    if body.status == ToolStatus::Interrupted {
        return "stopped".to_owned();
    }
    let text = told(body);
    let head = text.split("\nOutput:\n").next().unwrap_or_default();
    if head.contains("Process ended with its cell") {
        return "its cell ended".to_owned();
    }
    if let Some(seconds) = killed_after(&text) {
        return format!("killed after {seconds} s");
    }
    let signal = head
        .split_once("Process ended by signal ")
        .and_then(|(_, rest)| rest.lines().next()?.parse::<u32>().ok());
    signal.map_or("ended".to_owned(), |signal| {
        format!("ended by signal {signal}")
    })
}

/// The time limit that ended a command, in seconds, as the harness' remark in its output says.
fn killed_after(output: &str) -> Option<u64> {
    let (_, rest) = output.rsplit_once("[killed after ")?;
    rest.split_once(" seconds]")?.0.parse().ok()
}

fn file_line(change: &FileChange) -> String {
    let mark = match change.change {
        ChangeKind::Add => 'A',
        ChangeKind::Update => 'M',
        ChangeKind::Delete => 'D',
    };
    let path = safe_line(&change.path, LINE);
    match &change.moved_to {
        Some(to) => format!("{mark} {path} -> {}", safe_line(to, LINE)),
        None => format!("{mark} {path}"),
    }
}

fn elapsed(seconds: u64) -> String {
    if seconds < 60 {
        format!("{seconds} s")
    } else {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    }
}

fn short(tokens: u64) -> String {
    match tokens {
        0..10_000 => tokens.to_string(),
        10_000..1_000_000 => format!("{}k", tokens / 1000),
        _ => format!("{}.{}M", tokens / 1_000_000, tokens / 100_000 % 10),
    }
}

impl Sink for Human {
    fn event(&mut self, event: LiveEvent<'_>) {
        match event {
            LiveEvent::Record(record) => self.record(record),
            LiveEvent::Delta(_) => {}
            LiveEvent::ToolStarted(call) => self.tool_started(call),
            LiveEvent::ToolOutput(call, bytes) => self.tool_output(call, bytes),
            LiveEvent::CheckStarted(command) => {
                self.doing(&format!("check: {command}"));
            }
            LiveEvent::Compacting => self.doing("making the conversation shorter"),
        }
    }
}
