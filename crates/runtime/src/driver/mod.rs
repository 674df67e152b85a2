//! The loop: ask the core what to do, do it, record what came of it.

mod checkpoint;
mod checks;
mod compact;
pub(crate) mod control;
pub(crate) mod instructions;
mod stream;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use recto_agent::{Next, Session};
use recto_protocol::ports::cell::{Cell, CellError};
use recto_protocol::ports::checkpoints::Checkpoints;
use recto_protocol::ports::files::Files;
use recto_protocol::ports::log::{Chunks, Log, LogError};
use recto_protocol::ports::model::Model;
use recto_protocol::record::{
    AnswerRejected, Body, InterruptRequested, MessageAdded, NetworkRequested, Outcome,
    ToolFinished, TurnEnded, TurnStarted,
};
use recto_protocol::tool::{Effect, ToolCall, ToolStatus};
use recto_protocol::{Item, Record};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::live::{Live, LiveEvent, Sink};
use crate::schema::Schema;
use crate::tools::{DECODERS, Limits, Processes, ToolResult, Tools};
use control::{Control, Handle};
use instructions::Instructions;
use stream::Stream;

/// What a driver works with.
pub struct Parts {
    /// The log, open for writing.
    pub log: Box<dyn Log>,
    /// Where the outputs of its commands are kept.
    pub chunks: Arc<dyn Chunks>,
    /// The model.
    pub model: Arc<dyn Model>,
    /// Where commands run.
    pub cell: Arc<dyn Cell>,
    /// The work tree's files.
    pub files: Arc<dyn Files>,
    /// Who watches.
    pub sink: Box<dyn Sink>,
    /// Limits on tools.
    pub limits: Limits,
    /// Tries after the first when the model fails in a way that may pass.
    pub max_retries: u32,
    /// Names of instruction files besides `AGENTS.md`, in order of preference.
    pub instruction_names: Vec<String>,
    /// A random number in 0..1, for spreading retries.
    pub jitter: fn() -> f64,
    /// What commands ask for outside the cell, to be recorded.
    pub network: Option<mpsc::Receiver<NetworkRequested>>,
    /// Who writes the work tree down after each step that may have changed it; none where nobody
    /// goes back to earlier steps.
    pub checkpoints: Option<Arc<dyn Checkpoints>>,
}

/// Drives one session. Owns its log.
pub struct Driver {
    session: Session,
    log: Box<dyn Log>,
    model: Arc<dyn Model>,
    tools: Arc<Tools>,
    live: Live,
    max_retries: u32,
    jitter: fn() -> f64,
    network: Option<mpsc::Receiver<NetworkRequested>>,
    instructions: Instructions,
    handle: Handle,
    controls: mpsc::UnboundedReceiver<Control>,
    stream: Option<Stream>,
    running: JoinSet<(ToolResult, Duration)>,
    /// The calls that run, by their task.
    started: HashMap<tokio::task::Id, ToolCall>,
    /// Until when the next request waits, after a failure.
    pause: Option<Instant>,
    /// When the turn's time is up.
    deadline: Option<Instant>,
    schema: Option<Schema>,
    /// Whether it is to stop between two steps.
    yields: bool,
    checkpoints: Option<Arc<dyn Checkpoints>>,
    /// Whether files may have changed since the last checkpoint.
    is_changed: bool,
    last_tree: Option<String>,
}

/// What a turn begins with.
#[derive(Default)]
pub struct TurnInput {
    /// The user's message.
    pub items: Vec<Item>,
    /// The schema that the answer must fit.
    pub schema: Option<Schema>,
    /// The message's number in the attempt's inbox, where there is one.
    pub inbox: Option<u64>,
}

/// Why driving ended without an outcome in the log.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The log can't be written; nothing more may be done.
    #[error("the session's log can't be written")]
    Log(#[from] LogError),
    /// The cell is gone.
    #[error("the cell failed")]
    Cell(#[from] CellError),
    /// It was asked to stop between two steps.
    #[error("the driver stopped between two steps")]
    Yielded,
}

impl Driver {
    /// A driver for the session that `records` give. The log of `parts` must hold just these
    /// records. None when they do not begin with `session.started`.
    pub fn new(parts: Parts, records: &[Record]) -> Option<Self> {
        let session = Session::replay(records)?;
        let (handle, controls) = Handle::pair();
        let live = Live::new(parts.sink);
        let settings = session.settings();
        let tools = Tools {
            cell: parts.cell,
            files: Arc::clone(&parts.files),
            chunks: parts.chunks,
            live: live.clone(),
            processes: Processes::after(records),
            limits: parts.limits,
            cwd: settings.cwd.clone(),
            decoders: Arc::new(Semaphore::new(DECODERS)),
            work_tree: Default::default(),
        };
        let instructions =
            Instructions::new(parts.files, parts.instruction_names, settings, records);
        Some(Self {
            log: parts.log,
            model: parts.model,
            tools: Arc::new(tools),
            live,
            max_retries: parts.max_retries,
            jitter: parts.jitter,
            network: parts.network,
            instructions,
            handle,
            controls,
            stream: None,
            running: JoinSet::new(),
            started: HashMap::new(),
            pause: None,
            deadline: None,
            schema: None,
            yields: false,
            checkpoints: parts.checkpoints,
            is_changed: false,
            last_tree: None,
            session,
        })
    }

    /// By which others speak to the session while a turn runs.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Forgets what was said and not taken in yet.
    pub fn forget_controls(&mut self) {
        while self.controls.try_recv().is_ok() {}
    }

    /// The session as it stands.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Ends the cell; the session's log stays open until the driver is dropped.
    pub async fn close(&self) {
        self.tools.cell.close().await;
    }

    /// Reads the beginning of a chunk of this session, `limit` bytes of it at the most.
    ///
    /// # Errors
    /// As [`Chunks::read`].
    pub fn read_chunk(
        &self,
        id: &recto_protocol::ChunkId,
        limit: u64,
    ) -> Result<Vec<u8>, LogError> {
        self.tools.chunks.read(id, 0, limit)
    }

    /// Begins a turn and drives it to its end.
    ///
    /// # Errors
    /// [`DriverError`] when the log or the cell fails; everything recorded until then is kept.
    pub async fn run_turn(&mut self, input: TurnInput) -> Result<Outcome, DriverError> {
        let started = TurnStarted {
            turn: self.session.turns() + 1,
            items: input.items,
            output_schema: input.schema.as_ref().map(|schema| schema.text().to_owned()),
            inbox: input.inbox,
        };
        self.schema = input.schema;
        let seconds = self.session.settings().budget.seconds;
        self.begin_clock(seconds.map(Duration::from_secs));
        // Durable with the first request's record, before anything comes of it.
        self.record(vec![started.into()]).await?;
        self.drive().await
    }

    /// Drives on with a turn that an earlier driver left unfinished. None when there is none.
    ///
    /// # Errors
    /// As [`Driver::run_turn`].
    pub async fn run_rest(&mut self) -> Result<Option<Outcome>, DriverError> {
        if !self.session.is_running() {
            return Ok(None);
        }
        // It was checked when the turn began.
        self.schema = self
            .session
            .output_schema()
            .and_then(|text| Schema::parse(text).ok());
        // What earlier drivers spent on the turn is spent.
        self.begin_clock(self.session.time_left());
        self.drive().await.map(Some)
    }

    fn begin_clock(&mut self, left: Option<Duration>) {
        // A time beyond what the clock can tell is no limit.
        self.deadline = left.and_then(|left| Instant::now().checked_add(left));
        self.pause = None;
    }

    /// Writes records that need not survive the machine at once: the next durable ones take them
    /// along.
    pub async fn record(&mut self, bodies: Vec<Body>) -> Result<(), DriverError> {
        if bodies.is_empty() {
            return Ok(());
        }
        let records = self.log.append_relaxed(bodies).await?;
        self.take_in(&records);
        Ok(())
    }

    async fn record_durable(&mut self, bodies: Vec<Body>) -> Result<(), DriverError> {
        let records = self.log.append(bodies).await?;
        self.take_in(&records);
        Ok(())
    }

    fn take_in(&mut self, records: &[Record]) {
        for record in records {
            self.session.apply(record);
            self.live.emit(LiveEvent::Record(record));
        }
    }

    async fn drive(&mut self) -> Result<Outcome, DriverError> {
        loop {
            match self.session.next() {
                Next::Idle(outcome) => {
                    return Ok(outcome.unwrap_or(Outcome::Failed {
                        reason: "empty".into(),
                        message: "There was nothing to do.".into(),
                    }));
                }
                Next::EndTurn(outcome) => self.end_turn(outcome).await?,
                Next::CallModel(_) if self.tools.processes.lost_cell() => {
                    // Nobody was told: it took a command in the background with it.
                    return Err(CellError::Gone.into());
                }
                Next::CallModel(_) | Next::Compact(_) | Next::RunChecks(_)
                    if self.yields && self.stream.is_none() && self.running.is_empty() =>
                {
                    return Err(DriverError::Yielded);
                }
                Next::CallModel(request) => {
                    if self.stream.is_none() && self.pause.is_none() {
                        self.checkpoint().await?;
                        self.call_model(request).await?;
                    }
                    self.wait().await?;
                }
                Next::AwaitResponse => self.wait().await?,
                Next::RunTools(calls) => {
                    self.start(calls);
                    self.wait().await?;
                }
                Next::Compact(compact) => self.compact(compact).await?,
                Next::RunChecks(commands) => self.run_checks(commands).await?,
            }
        }
    }

    /// Waits for the next thing to happen and records it.
    async fn wait(&mut self) -> Result<(), DriverError> {
        tokio::select! {
            biased;
            Some(control) = self.controls.recv() => self.control(control).await,
            event = Stream::next(&mut self.stream) => self.model_event(event).await,
            Some(done) = self.running.join_next_with_id() => self.tool_done(done).await,
            () = sleep_until(self.pause) => {
                self.pause = None;
                Ok(())
            }
            () = sleep_until(self.deadline) => self.out_of_time().await,
            // Last: a flood of requests holds nothing else up.
            requested = asked(&mut self.network) => self.record(vec![requested.into()]).await,
        }
    }

    /// Records the requests of commands that nobody has recorded yet. Those that come while a turn
    /// runs are recorded then.
    ///
    /// # Errors
    /// As [`Driver::record`].
    pub async fn record_network(&mut self) -> Result<(), DriverError> {
        let mut bodies: Vec<Body> = Vec::new();
        while let Some(Ok(requested)) = self.network.as_mut().map(mpsc::Receiver::try_recv) {
            bodies.push(requested.into());
        }
        self.record(bodies).await
    }

    async fn control(&mut self, control: Control) -> Result<(), DriverError> {
        match control {
            Control::Yield => {
                self.yields = true;
                Ok(())
            }
            Control::Message {
                items,
                delivery,
                inbox,
            } => {
                self.record_durable(vec![
                    MessageAdded {
                        items,
                        delivery,
                        inbox,
                    }
                    .into(),
                ])
                .await
            }
            Control::Interrupt { by, inbox } => {
                self.record_durable(vec![
                    InterruptRequested {
                        by,
                        limit: None,
                        inbox,
                    }
                    .into(),
                ])
                .await
            }
        }
    }

    async fn out_of_time(&mut self) -> Result<(), DriverError> {
        let seconds = self.session.settings().budget.seconds.unwrap_or_default();
        let limit = Some(format!("{seconds} seconds"));
        self.deadline = None;
        self.record_durable(vec![
            InterruptRequested {
                by: "budget".into(),
                limit,
                inbox: None,
            }
            .into(),
        ])
        .await
    }

    // ---- tools ----

    /// Starts those of `calls` that do not run yet. Their records are durable by now.
    fn start(&mut self, calls: Vec<ToolCall>) {
        for call in calls {
            if self
                .started
                .values()
                .any(|known| known.call_id == call.call_id)
            {
                continue;
            }
            self.live.emit(LiveEvent::ToolStarted(&call));
            let tools = Arc::clone(&self.tools);
            let known = call.clone();
            let access = self.session.settings().policy.access;
            let task = self.running.spawn(async move {
                let began = Instant::now();
                (tools.run(call, access).await, began.elapsed())
            });
            self.started.insert(task.id(), known);
        }
    }

    async fn tool_done(&mut self, done: Joined) -> Result<(), DriverError> {
        let Some((call, result, took)) = self.ended_call(done) else {
            return Ok(());
        };
        let gone = result.cell_gone;
        let touched = self.instructions.touched(&call, &result.effect);
        self.note_effect(&result.effect);
        let mut bodies = vec![finished(&call, result, took)];
        bodies.extend(touched);
        self.record(bodies).await?;
        if gone {
            // Nothing more can be run. The turn stays open, for a driver with a new cell; what runs
            // beside ends by itself now and tells what it said.
            let others = self.drain(None).await;
            self.record(others).await?;
            return Err(CellError::Gone.into());
        }
        Ok(())
    }

    /// Which call a finished task was, and what came of it. A panic in a tool is a failed call.
    fn ended_call(&mut self, done: Joined) -> Option<(ToolCall, ToolResult, Duration)> {
        match done {
            Ok((id, (result, took))) => Some((self.started.remove(&id)?, result, took)),
            Err(error) => {
                let call = self.started.remove(&error.id())?;
                let result = ToolResult::failed(
                    "the tool stopped unexpectedly; this is a defect of the harness",
                    Effect::None,
                );
                Some((call, result, Duration::ZERO))
            }
        }
    }

    // ---- the end of a turn ----

    async fn end_turn(&mut self, outcome: Outcome) -> Result<(), DriverError> {
        if let Some(rejected) = self.judge_answer(&outcome) {
            return self.record(vec![rejected.into()]).await;
        }
        self.stream = None;
        self.stop_tools(&outcome).await?;
        self.checkpoint().await?;
        let turn = self.session.turn_totals();
        let ended = TurnEnded {
            turn: self.session.turns(),
            outcome,
            usage: turn.usage,
            cost: turn.cost,
            duration_ms: turn.duration_ms,
        };
        self.record_durable(vec![ended.into()]).await
    }

    /// Checks the answer against the schema: once it is handed back, then the turn fails.
    fn judge_answer(&mut self, outcome: &Outcome) -> Option<AnswerRejected> {
        let (Outcome::Completed { answer }, Some(schema)) = (outcome, &self.schema) else {
            return None;
        };
        let problems = schema.problems(answer);
        if problems.is_empty() {
            return None;
        }
        let last = self.session.rejections() > 0;
        let list = problems.join("\n- ");
        let message = if last {
            format!("The answer does not fit the output schema:\n- {list}")
        } else {
            format!(
                "Your answer does not fit the required JSON schema:\n- {list}\nAnswer again with \
                 nothing but JSON that fits it."
            )
        };
        Some(AnswerRejected {
            reason: "schema".into(),
            message,
            last,
        })
    }

    /// Kills what runs and records each call that was cut off. Who stops a turn wants its commands
    /// in the background stopped too; they outlive the end of any other.
    async fn stop_tools(&mut self, outcome: &Outcome) -> Result<(), DriverError> {
        let stopped = match outcome {
            Outcome::Interrupted { .. } | Outcome::BudgetReached { .. } => true,
            Outcome::Completed { .. } | Outcome::Failed { .. } => false,
        };
        if self.running.is_empty() && !stopped {
            return Ok(());
        }
        self.tools.stop_all().await;
        // With their commands dead, the calls end by themselves and still tell what was said.
        let bodies = self.drain(Some(ToolStatus::Interrupted)).await;
        self.record(bodies).await
    }

    /// What the running calls have to tell when their commands are dead, with this status if there
    /// is one. Those that do not end soon are given up.
    async fn drain(&mut self, status: Option<ToolStatus>) -> Vec<Body> {
        let mut bodies = Vec::new();
        let grace = tokio::time::sleep(Duration::from_secs(2));
        tokio::pin!(grace);
        loop {
            tokio::select! {
                biased;
                done = self.running.join_next_with_id() => {
                    let Some(done) = done else { break };
                    if let Some((call, mut result, took)) = self.ended_call(done) {
                        result.status = status.unwrap_or(result.status);
                        bodies.push(finished(&call, result, took));
                    }
                }
                () = &mut grace => {
                    self.running.shutdown().await;
                    break;
                }
            }
        }
        self.started.clear();
        bodies
    }
}

type Joined = Result<(tokio::task::Id, (ToolResult, Duration)), tokio::task::JoinError>;

fn finished(call: &ToolCall, result: ToolResult, took: Duration) -> Body {
    ToolFinished {
        call_id: call.call_id.clone(),
        status: result.status,
        item: Item::call_output(call, &result.output),
        effect: result.effect,
        duration_ms: milliseconds(took),
    }
    .into()
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The next request of a command; never when there is nobody who tells.
async fn asked(network: &mut Option<mpsc::Receiver<NetworkRequested>>) -> NetworkRequested {
    if let Some(requests) = network
        && let Some(requested) = requests.recv().await
    {
        return requested;
    }
    // Nobody is left who could tell.
    *network = None;
    std::future::pending().await
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
