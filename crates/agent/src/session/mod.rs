//! The state of one session, and what its driver must do next.

mod apply;
mod checks;
mod compaction;
mod history;
mod judge;
mod next;
mod notes;
mod repeats;
mod step;
mod turn;

use std::time::Duration;

use recto_protocol::ports::model::Request;
use recto_protocol::record::{Body, Outcome, Record};
use recto_protocol::settings::Settings;
use recto_protocol::tool::{Plan, ToolCall};
use recto_protocol::usage::{Micros, Usage};

use checks::Checks;
use compaction::Compaction;
use history::{Held, History};
use step::Step;
use turn::Turn;

/// One session, folded from its log.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    settings: Settings,
    history: History,
    /// Items that wait for the end of the current step.
    held: Vec<Held>,
    /// User messages that wait for the end of the turn.
    queued: Vec<Held>,
    step: Step,
    turn: Option<Turn>,
    turns: u32,
    checks: Checks,
    compaction: Compaction,
    /// The model changed while a response streamed, and the history is not made readable yet.
    switched: bool,
    plan: Plan,
    totals: Totals,
    outcome: Option<Outcome>,
}

/// What a session used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Model responses that were finished.
    pub steps: u32,
    /// Tokens.
    pub usage: Usage,
    /// Money, as far as prices are known.
    pub cost: Micros,
    /// Whether every step's price was known.
    pub cost_unknown: bool,
}

/// What a turn used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnTotals {
    /// Tokens.
    pub usage: Usage,
    /// Money; none when some price is not known.
    pub cost: Option<Micros>,
    /// How long drivers have been at work on it, in milliseconds.
    pub duration_ms: u64,
}

/// What the driver must do now.
#[derive(Clone, Debug)]
pub enum Next {
    /// Append `step.started`, send this request, record what comes.
    CallModel(Request),
    /// The response in flight is not finished yet, and no call of it is open.
    AwaitResponse,
    /// Run those of these calls that are not running yet. They may run side by side.
    RunTools(Vec<ToolCall>),
    /// Ask for a compaction and record it.
    Compact(CompactRequest),
    /// Run these commands and record each.
    RunChecks(Vec<String>),
    /// Stop what runs and append `turn.ended` with this outcome.
    EndTurn(Outcome),
    /// Nothing to do until a user speaks. Holds the last turn's outcome.
    Idle(Option<Outcome>),
}

/// A request for a compaction.
#[derive(Clone, Debug)]
pub struct CompactRequest {
    /// The request: the session's own prefix and history, and one more item that asks for it.
    pub request: Request,
    /// Whether the answer must be the provider's own `compaction` item rather than a summary.
    pub by_provider: bool,
}

impl Session {
    /// A session with settings and an empty log.
    pub fn start(settings: Settings) -> Self {
        let mut checks = Checks::default();
        checks.declare(&settings.checks);
        Self {
            checks,
            settings,
            history: History::default(),
            held: Vec::new(),
            queued: Vec::new(),
            step: Step::default(),
            turn: None,
            turns: 0,
            compaction: Compaction::default(),
            switched: false,
            plan: Plan::default(),
            totals: Totals::default(),
            outcome: None,
        }
    }

    /// Folds a whole log. None when it does not begin with `session.started`, but for what was
    /// written about a task before its agent began.
    pub fn replay<'a>(records: impl IntoIterator<Item = &'a Record>) -> Option<Self> {
        let is_before =
            |record: &&Record| matches!(record.body, Body::StateChanged(_) | Body::Warning(_));
        let mut records = records.into_iter().skip_while(is_before);
        let first = records.next()?;
        let Body::SessionStarted(started) = &first.body else {
            return None;
        };
        let mut session = Self::start(started.settings.clone());
        session.apply(first);
        for record in records {
            session.apply(record);
        }
        Some(session)
    }

    /// The settings as they stand now.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The agent's plan as it stands now.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What the session used so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// What the running turn used so far; nothing when none runs.
    pub fn turn_totals(&self) -> TurnTotals {
        self.turn
            .as_ref()
            .map_or_else(TurnTotals::default, |turn| TurnTotals {
                usage: turn.usage,
                cost: (!turn.cost_unknown).then_some(turn.cost),
                duration_ms: turn.elapsed_ms,
            })
    }

    /// The number of turns begun.
    pub fn turns(&self) -> u32 {
        self.turns
    }

    /// Whether a turn is running.
    pub fn is_running(&self) -> bool {
        self.turn.is_some()
    }

    /// The required checks that failed and were not run again since.
    pub fn failed_checks(&self) -> Vec<String> {
        let failures = self.checks.failures();
        failures
            .into_iter()
            .map(|(command, _)| command.to_owned())
            .collect()
    }

    /// The required checks that were not run because nothing was changed.
    pub fn needless_checks(&self) -> Vec<String> {
        self.checks.needless()
    }

    /// The JSON schema that the running turn's answer must fit.
    pub fn output_schema(&self) -> Option<&str> {
        self.turn.as_ref()?.output_schema.as_deref()
    }

    /// Requests in a row that failed, other than for their length.
    pub fn failures(&self) -> u32 {
        self.step.failures
    }

    /// Answers of the running turn that were not accepted.
    pub fn rejections(&self) -> u32 {
        self.turn.as_ref().map_or(0, |turn| turn.rejections)
    }

    /// How long the running turn may still take, counted from the newest record.
    pub fn time_left(&self) -> Option<Duration> {
        let turn = self.turn.as_ref()?;
        let limit = Duration::from_secs(self.settings.budget.seconds?);
        Some(limit.saturating_sub(Duration::from_millis(turn.elapsed_ms)))
    }

    /// The number of the step that the next request belongs to.
    pub fn step_number(&self) -> u32 {
        self.totals.steps.saturating_add(1)
    }

    /// Tokens that the next request is likely to hold: the provider's last count, and a quarter
    /// of the bytes added since.
    pub fn context_tokens(&self) -> u64 {
        self.compaction.tokens(self.weight())
    }

    /// What the next request weighs in bytes, its fixed prefix included.
    fn weight(&self) -> usize {
        self.history.weight() + self.settings.instructions.len() + self.settings.tools.len()
    }

    /// The conversation as the next request would hold it: item texts joined by commas.
    pub fn input(&self) -> &str {
        self.history.joined()
    }
}
