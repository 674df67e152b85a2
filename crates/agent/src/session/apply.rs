//! What each record does to the state.

use recto_protocol::policy::Access;
use recto_protocol::ports::model::ErrorKind;
use recto_protocol::record::{
    AnswerRejected, Body, CheckFinished, Compacted, CompactionFailed, ContextAdded, Delivery,
    InterruptRequested, MessageAdded, Outcome, Record, SettingsChanged, StepFailed, StepFinished,
    ToolFinished, TurnEnded, TurnStarted,
};
use recto_protocol::settings::Mode;
use recto_protocol::tool::{Effect, ToolCall, ToolStatus};
use recto_protocol::usage::{Micros, Usage};
use recto_protocol::{Item, View};

use super::compaction::Compaction;
use super::history::{Held, KEPT_USER_BYTES, Kind};
use super::repeats::Repeated;
use super::step::Call;
use super::turn::Turn;
use super::{Session, notes};
use crate::tools::EXEC_COMMAND;

/// Requests in a row refused for their length after which the turn fails.
const MAX_OVERFLOWS: u32 = 6;

impl Session {
    /// Takes in one record. Total: any sequence of records gives a valid state.
    pub fn apply(&mut self, record: &Record) {
        if let Some(turn) = &mut self.turn {
            turn.tick(record.at, matches!(record.body, Body::DriverAttached(_)));
        }
        match &record.body {
            Body::SessionStarted(_)
            | Body::Warning(_)
            | Body::NetworkRequested(_)
            | Body::StateChanged(_)
            | Body::Checkpointed(_)
            | Body::WorkSettled(_)
            | Body::EvidenceGathered(_)
            | Body::Unknown { .. } => {}
            Body::ContextAdded(body) => self.context_added(body),
            Body::SettingsChanged(body) => self.settings_changed(body),
            Body::TurnStarted(body) => self.turn_started(body, record.at),
            Body::MessageAdded(body) => self.message_added(body),
            Body::StepStarted(_) => self.step_started(),
            Body::StepItem(body) => self.step_item(&body.item),
            Body::StepFinished(body) => self.step_finished(body),
            Body::StepFailed(body) => self.step_failed(body),
            Body::ToolFinished(body) => self.tool_finished(body),
            Body::Compacted(body) => self.compacted(body),
            Body::CompactionFailed(body) => self.compaction_failed(body),
            Body::CheckFinished(body) => self.check_finished(body),
            Body::AnswerRejected(body) => self.answer_rejected(body),
            Body::DriverAttached(_) => self.driver_attached(),
            Body::InterruptRequested(body) => self.interrupt_requested(body),
            Body::TurnEnded(body) => self.turn_ended(body),
        }
    }

    // ---- what users and the harness add ----

    fn context_added(&mut self, body: &ContextAdded) {
        self.add(&body.items, Kind::Context);
    }

    fn settings_changed(&mut self, body: &SettingsChanged) {
        let settings = &mut self.settings;
        if let Some(policy) = &body.policy {
            settings.policy = policy.clone();
        }
        if let Some(budget) = &body.budget {
            settings.budget = budget.clone();
        }
        if let Some(checks) = &body.checks {
            settings.checks = checks.clone();
            self.checks.declare(checks);
        }
        if let Some(tools) = &body.tools {
            settings.tools = tools.clone();
        }
        if let Some(change) = &body.model {
            // New limits of the same model leave what it said readable.
            self.switched |= change.provider != settings.provider || change.model != settings.model;
            settings.provider = change.provider.clone();
            settings.model = change.model.clone();
            settings.profile = change.profile.clone();
            if !change.profile.reasoning {
                settings.reasoning = None;
            }
        }
        if let Some(reasoning) = &body.reasoning {
            settings.reasoning = Some(reasoning.clone());
        }
        self.settle();
    }

    fn turn_started(&mut self, body: &TurnStarted, at: i64) {
        self.turns = body.turn;
        self.step.failures = 0;
        self.outcome = None;
        let mut turn = Turn {
            now: at,
            ..Turn::default()
        };
        match &body.output_schema {
            // The schema becomes part of the request's JSON as it is.
            Some(schema) if serde_json::from_str::<Fields>(schema).is_err() => {
                turn.fail("schema", "The answer's JSON schema is not a JSON object.");
            }
            schema => turn.output_schema = schema.clone(),
        }
        self.turn = Some(turn);
        self.add(&body.items, Kind::User);
    }

    fn message_added(&mut self, body: &MessageAdded) {
        match body.delivery {
            Delivery::Queue if self.turn.as_ref().is_some_and(|turn| !turn.answered) => {
                self.queued.extend(held(&body.items, Kind::User));
            }
            Delivery::Steer | Delivery::Queue => {
                self.keep_going();
                self.add(&body.items, Kind::User);
            }
        }
    }

    /// Appends items now, or after the current step when one is running.
    fn add(&mut self, items: &[Item], kind: Kind) {
        self.held.extend(held(items, kind));
        self.settle();
    }

    /// A new message withdraws an answer that was already given.
    fn keep_going(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.answered = false;
            turn.parts.clear();
        }
    }

    /// Queued messages come in when the model would otherwise end the turn.
    pub(super) fn take_queued(&mut self) {
        if !self.queued.is_empty() {
            self.held.append(&mut self.queued);
            self.keep_going();
        }
    }

    // ---- what the model says ----

    fn step_started(&mut self) {
        // A driver asks only when every call is answered; a log that says otherwise is mended.
        self.abandon_step(notes::lost_output);
        self.step.open = true;
    }

    fn step_item(&mut self, item: &Item) {
        match item.view() {
            View::Reasoning { .. } => self.step.reasoning.push(item.clone()),
            View::Call(call) if self.step.takes(&call) => {
                self.keep(item);
                self.step.calls.push(Call { call, output: None });
            }
            // A call without an output would make every later request invalid, and so would an
            // output without a call.
            View::Call(_) => self.drop_call(),
            View::Other { kind } if kind == "function_call" || kind == "custom_tool_call" => {
                self.drop_call();
            }
            View::CallOutput { .. } => self.step.reasoning.clear(),
            View::Message {
                text,
                refusal,
                commentary,
                ..
            } => {
                self.keep(item);
                self.step.refusal = refusal.or(self.step.refusal.take());
                if !text.trim().is_empty() {
                    let said = if commentary {
                        &mut self.step.remark
                    } else {
                        &mut self.step.answer
                    };
                    *said = Some(text);
                }
            }
            View::Compaction | View::WebSearch { .. } | View::Other { .. } => self.keep(item),
        }
    }

    /// Appends what the model made, behind the reasoning that led to it.
    fn keep(&mut self, item: &Item) {
        for reasoning in std::mem::take(&mut self.step.reasoning) {
            self.history.push(&reasoning, Kind::Reasoning);
        }
        self.history.push(item, Kind::Model);
    }

    fn drop_call(&mut self) {
        self.step.reasoning.clear();
        self.step.unrunnable = true;
    }

    fn step_finished(&mut self, body: &StepFinished) {
        self.step.open = false;
        self.step.failures = 0;
        self.totals.steps = self.totals.steps.saturating_add(1);
        if let Some(turn) = &mut self.turn {
            turn.steps = turn.steps.saturating_add(1);
        }
        let usage = body.finish.usage.as_ref();
        self.spend(usage, body.cost);
        let limit = self.settings.profile.compact_limit();
        self.compaction.accepted(usage, self.weight(), limit);
        self.judge(&body.finish.reason, body.finish.end_turn);
        self.settle();
    }

    fn step_failed(&mut self, body: &StepFailed) {
        self.cut_off();
        let too_long = body.error.kind == ErrorKind::ContextLength;
        if too_long {
            let tokens = self.context_tokens();
            self.compaction.overflow(tokens);
        } else {
            self.step.failures += 1;
        }
        let gives_up = if too_long {
            self.compaction.overflows > MAX_OVERFLOWS
        } else {
            body.retry_in.is_none()
        };
        if let Some(turn) = self.turn.as_mut().filter(|_| gives_up) {
            turn.fail("model", body.error.message.clone());
        }
        self.settle();
    }

    /// The response in flight will not be finished. Its finished items stay, but reasoning without
    /// what it led to can't be sent back.
    fn cut_off(&mut self) {
        self.step.open = false;
        self.step.reasoning.clear();
        self.step.unrunnable = false;
        let refused = self.step.refusal.take().is_some();
        let said = self.step.take_answer().is_some();
        if (said || refused) && self.step.calls.is_empty() {
            // The conversation would end with the model's own words.
            self.note(notes::cut_response());
            if let Some(turn) = &mut self.turn {
                turn.parts.clear();
            }
        }
    }

    // ---- what tools did ----

    fn tool_finished(&mut self, body: &ToolFinished) {
        let open = |call: &&mut Call| call.output.is_none() && call.call.call_id == body.call_id;
        let Some(call) = self.step.calls.iter_mut().find(open) else {
            return;
        };
        call.output = Some(body.item.clone());
        let call = call.call.clone();
        self.note_changes(&call, body);
        if let Effect::Plan { plan } = &body.effect {
            self.plan = plan.clone();
        }
        if let Some(turn) = &mut self.turn {
            match turn.repeats.note(&call, body.status, &body.effect) {
                Repeated::No => {}
                Repeated::Warn => self.held.push(Held {
                    item: notes::repeated_call(),
                    kind: Kind::Note,
                }),
                Repeated::Stop => turn.fail(
                    "loop",
                    format!(
                        "The model repeated the same failing call of {} without end.",
                        call.name
                    ),
                ),
            }
        }
        self.settle();
    }

    /// Takes note of what a call did to the checks. Any command may have changed files, but for one
    /// that was a check, run as the harness would and beside nothing else, and passed.
    fn note_changes(&mut self, call: &ToolCall, body: &ToolFinished) {
        let may_change = match (&body.effect, body.status) {
            (_, ToolStatus::Rejected) => false,
            (Effect::Command { .. } | Effect::Files { .. }, _) => true,
            (_, status) => matches!(status, ToolStatus::Interrupted | ToolStatus::Lost),
        };
        if may_change && !self.passed_check(call, body) {
            self.files_changed();
        }
    }

    /// Whether the call was a check that passed, in which case it is noted.
    fn passed_check(&mut self, call: &ToolCall, body: &ToolFinished) -> bool {
        match &body.effect {
            Effect::Command {
                command,
                exit_code: Some(0),
                ..
            } => {
                body.status == ToolStatus::Ok
                    && self.step.calls.len() == 1
                    && self.is_plain_command(call)
                    && self.checks.passed(command)
            }
            _ => false,
        }
    }

    /// Whether a call runs a command from the repository's root with the usual shell, in one go.
    fn is_plain_command(&self, call: &ToolCall) -> bool {
        let Ok(fields) = serde_json::from_str::<Fields>(call.input.text()) else {
            return false;
        };
        let workdir = fields
            .get("workdir")
            .map_or(Some(&*self.settings.cwd), |dir| dir.as_str());
        call.name == EXEC_COMMAND
            && workdir == Some(&self.settings.root)
            && !fields.contains_key("shell")
    }

    /// Files may have changed, unless they can't.
    fn files_changed(&mut self) {
        let settings = &self.settings;
        if settings.mode != Mode::Ask && settings.policy.access != Access::ReadOnly {
            self.checks.changed();
        }
    }

    fn check_finished(&mut self, body: &CheckFinished) {
        if body.exit_code == Some(0) {
            self.checks.passed(&body.command);
        } else {
            self.checks.failed(&body.command, &body.output);
        }
        let failures = self.checks.failures();
        if failures.is_empty() || !self.checks.due().is_empty() {
            return;
        }
        let note = notes::failed_checks(&failures);
        let Some(turn) = &mut self.turn else { return };
        // Without means to repair anything, the answer stands and the failure is reported.
        if !turn.repaired && turn.exceeded(&self.settings.budget, &self.totals).is_none() {
            turn.repaired = true;
            self.keep_going();
            self.note(note);
            self.settle();
        }
    }

    fn answer_rejected(&mut self, body: &AnswerRejected) {
        let Some(turn) = &mut self.turn else { return };
        turn.rejections = turn.rejections.saturating_add(1);
        if body.last {
            turn.fail(&body.reason, body.message.clone());
        } else {
            self.keep_going();
            self.note(notes::developer(&body.message));
            self.settle();
        }
    }

    // ---- compaction ----

    fn compacted(&mut self, body: &Compacted) {
        self.spend(Some(&body.usage), body.cost);
        // User messages get at most a quarter of the room, at four bytes a token.
        let limit = self.settings.profile.compact_limit();
        let room = usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .min(KEPT_USER_BYTES);
        self.history = self.history.compacted(&body.items, room);
        self.shortened();
    }

    fn compaction_failed(&mut self, body: &CompactionFailed) {
        self.spend(Some(&body.usage), body.cost);
        self.compaction.failures += 1;
        if !self.compaction.must_drop() {
            return;
        }
        let before = self.history.weight();
        self.history = self.history.trimmed(before / 2);
        if self.compaction.overflowed && self.history.weight() > before / 4 * 3 {
            // Outputs are not what fills the window, and as it is no request goes through.
            self.history = self
                .history
                .compacted(&[notes::dropped_conversation()], before / 4);
            if let Some(turn) = self
                .turn
                .as_mut()
                .filter(|_| self.history.weight() >= before)
            {
                turn.fail(
                    "context",
                    format!(
                        "The conversation no longer fits the model's window, and could not be made \
                     shorter: {}",
                        body.reason
                    ),
                );
            }
        }
        self.shortened();
    }

    fn shortened(&mut self) {
        self.compaction.done();
        let tokens = self.context_tokens();
        if self
            .compaction
            .is_due(tokens, self.settings.profile.compact_limit())
        {
            self.compaction.futile(tokens);
        }
    }

    // ---- interruptions and ends ----

    fn driver_attached(&mut self) {
        self.cut_off();
        self.abandon_step(notes::lost_output);
        self.step.failures = 0;
    }

    fn interrupt_requested(&mut self, body: &InterruptRequested) {
        let Some(turn) = &mut self.turn else { return };
        turn.stop.get_or_insert_with(|| match &body.limit {
            Some(limit) => Outcome::BudgetReached {
                limit: limit.clone(),
            },
            None => Outcome::Interrupted {
                by: body.by.clone(),
            },
        });
    }

    fn turn_ended(&mut self, body: &TurnEnded) {
        self.abandon_step(notes::interrupted_output);
        self.step.failures = 0;
        self.turn = None;
        if let Outcome::Interrupted { .. } | Outcome::BudgetReached { .. } = body.outcome {
            self.note(notes::interrupted());
        }
        self.held.append(&mut self.queued);
        self.settle();
        self.outcome = Some(body.outcome.clone());
    }

    /// Ends the step as it stands. Calls without an output get one.
    fn abandon_step(&mut self, output: fn(&ToolCall) -> Item) {
        self.step.open = false;
        let mut any = false;
        for call in self
            .step
            .calls
            .iter_mut()
            .filter(|call| call.output.is_none())
        {
            call.output = Some(output(&call.call));
            any = true;
        }
        if any {
            self.files_changed();
        }
        self.settle();
        self.step.clear();
    }

    // ---- shared ----

    fn spend(&mut self, usage: Option<&Usage>, cost: Option<Micros>) {
        // A request that failed before it used anything costs nothing.
        let unknown = cost.is_none() && usage.is_none_or(|usage| usage.total() > 0);
        let (usage, cost) = (usage.copied().unwrap_or_default(), cost.unwrap_or_default());
        self.totals.usage += usage;
        self.totals.cost += cost;
        self.totals.cost_unknown |= unknown;
        if let Some(turn) = &mut self.turn {
            turn.usage += usage;
            turn.cost += cost;
            turn.cost_unknown |= unknown;
        }
    }

    pub(super) fn note(&mut self, item: Item) {
        self.held.push(Held {
            item,
            kind: Kind::Note,
        });
    }

    /// Once the response has ended and its calls are answered: outputs in the calls' order, then
    /// everything that waited.
    fn settle(&mut self) {
        if !self.step.is_settled() {
            return;
        }
        for call in std::mem::take(&mut self.step.calls) {
            if let Some(output) = call.output {
                self.history.push(&output, Kind::Output);
            }
        }
        for held in std::mem::take(&mut self.held) {
            self.history.push(&held.item, held.kind);
        }
        if std::mem::take(&mut self.switched) {
            self.history = self.history.for_another_model();
            // Neither the old model's counts nor its limits hold for the new one.
            self.compaction = Compaction::default();
        }
    }
}

type Fields = serde_json::Map<String, serde_json::Value>;

fn held(items: &[Item], kind: Kind) -> impl Iterator<Item = Held> {
    items.iter().map(move |item| Held {
        item: item.clone(),
        kind,
    })
}
