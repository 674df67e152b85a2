//! `recto exec` and `recto ask`: one turn of a session, new or resumed.

mod opening;
mod outputs;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use recto_protocol::Record;
use recto_protocol::ports::cell::Cell;
use recto_protocol::ports::files::Files;
use recto_protocol::record::{Body, InterruptRequested, Outcome};
use recto_protocol::settings::Mode;
use recto_runtime::{Driver, DriverError, LiveEvent, Parts, Sink as _, TurnInput};

use super::report::{self, Closing, Shared};
use super::signals;
use crate::args::{AskArgs, ExecArgs, ExecCommand, RunArgs};
use crate::compose::cell::Launched;
use crate::compose::files::{TreeFiles, hidden};
use crate::compose::home::Home;
use crate::compose::import::Import;
use crate::compose::outside::Requests;
use crate::compose::view::View;
use crate::compose::{agent, cell, git, model, prompt, view};
use crate::exit::{BUDGET, DONE, FAILED, Failure, UNAVAILABLE};
use opening::Opened;
pub use outputs::Surface;

/// What was asked for on the command line.
pub struct Request {
    pub(super) mode: Mode,
    pub(super) run: RunArgs,
    pub(super) prompt: Option<String>,
    pub(super) command: Option<ExecCommand>,
}

impl Request {
    /// `recto exec`.
    pub fn code(args: ExecArgs) -> Self {
        Self {
            mode: Mode::Code,
            run: args.run,
            prompt: args.prompt,
            command: args.command,
        }
    }

    /// `recto ask`.
    pub fn ask(args: AskArgs) -> Self {
        Self {
            mode: Mode::Ask,
            run: args.run,
            prompt: args.prompt,
            command: args.command,
        }
    }
}

/// What one turn gave, for callers that show it in their own way.
pub struct Ran {
    /// How it ended.
    pub outcome: Outcome,
    /// The citations of its answer.
    pub report: Option<recto_evidence::Report>,
    /// The session's directory; none for an ephemeral one.
    pub session: Option<PathBuf>,
    /// The required checks that failed, of a turn that was completed.
    pub failed_checks: Vec<String>,
}

/// A turn that has ended and is not told of yet.
struct Turn {
    ran: Ran,
    home: Home,
    opened: Opened,
    json: bool,
    checks_needless: bool,
}

impl Turn {
    /// Says the last words.
    async fn conclude(self, surface: &Shared<Surface>) -> Ran {
        let place = &self.opened.place;
        if !self.json
            && self.opened.mode == Mode::Code
            && let Some(repository) = &place.repository
        {
            // Only told: what can't be looked at is left out.
            let head = self.opened.head.as_deref();
            let policy = self.opened.policy();
            let writable: Vec<&Path> = policy.writable.iter().map(Path::new).collect();
            if let Ok(work) = git::work_since(&self.home, repository, head, &writable).await {
                let moved = place.head().as_deref() != head;
                let on_branch = place.is_on_branch();
                surface.with(|surface| surface.work(&work, moved, on_branch));
            }
        }
        let answer = match &self.ran.outcome {
            Outcome::Completed { answer } => answer.as_str(),
            _ => "",
        };
        let closing = Closing {
            answer,
            report: self.ran.report.as_ref(),
            failed_checks: &self.ran.failed_checks,
            checks_needless: self.checks_needless,
            go_on: self.go_on(),
        };
        surface.with(|surface| report::Output::close(surface, &closing));
        self.ran
    }

    /// The command that goes on with a turn that was not completed.
    fn go_on(&self) -> Option<String> {
        if matches!(self.ran.outcome, Outcome::Completed { .. }) {
            return None;
        }
        let id = self.ran.session.as_ref()?.file_name()?.to_str()?;
        let command = opening::command_word(self.opened.mode);
        Some(format!("recto {command} resume {id} \"…\""))
    }
}

/// Runs one turn and says what came of it.
pub fn run(request: Request) -> Result<u8, Failure> {
    let json = request.run.json;
    let surface = Shared::new(Surface::new(&request.run));
    let ran = super::block_on(run_and_tell(request, &surface));
    match ran {
        Ok((ran, delivered)) => {
            delivered?;
            let code = if ran.failed_checks.is_empty() {
                exit_code(&ran.outcome)
            } else {
                FAILED
            };
            match surface.with(|surface| surface.lost()) {
                Some(why) => Err(Failure::unavailable(anyhow!("events were lost: {why}"))),
                None => Ok(code),
            }
        }
        Err(failure) => {
            if json {
                surface.with(|surface| surface.fatal(&failure));
                read_rest_of_input();
            }
            Err(failure)
        }
    }
}

/// Reads what is still written to standard input before the program ends with an error. Clients
/// that speak JSON write the prompt without looking, and Node ends a whole program when its write
/// meets a closed pipe.
fn read_rest_of_input() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::io::{IsTerminal as _, Read as _};
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return;
    }
    let began = std::time::Instant::now();
    let mut buffer = vec![0; 64 << 10];
    // Neither an open pipe that nobody writes to nor an endless one may hold the program.
    while began.elapsed() < std::time::Duration::from_secs(5) {
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        let patience = Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        let is_ready = poll(&mut fds, Some(&patience)).is_ok_and(|ready| ready > 0);
        if !is_ready || !stdin.lock().read(&mut buffer).is_ok_and(|count| count > 0) {
            return;
        }
    }
}

/// Runs one turn and writes its answer before anything else that takes time. Gives what came of
/// writing apart.
async fn run_and_tell(
    request: Request,
    surface: &Shared<Surface>,
) -> Result<(Ran, Result<(), Failure>), Failure> {
    let json = request.run.json;
    let last_message = request.run.output_last_message.clone();
    let turn = take_turn(request, surface).await?;
    let delivered = match &turn.ran.outcome {
        Outcome::Completed { answer } => {
            surface.with(|surface| surface.still());
            deliver(answer, json, last_message.as_deref())
        }
        _ => Ok(()),
    };
    Ok((turn.conclude(surface).await, delivered))
}

/// Writes the answer where it belongs.
fn deliver(answer: &str, json: bool, last_message: Option<&Path>) -> Result<(), Failure> {
    // Both are tried, so that an answer is lost only where it can't be written.
    let printed = if json {
        Ok(())
    } else {
        outputs::print_answer(answer)
    };
    if let Some(path) = last_message {
        std::fs::write(path, answer)
            .map_err(|error| anyhow!(error).context(format!("cannot write {}", path.display())))?;
    }
    printed
}

/// The exit code of an outcome.
pub fn exit_code(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Completed { .. } => DONE,
        Outcome::Failed { .. } => FAILED,
        Outcome::BudgetReached { .. } => BUDGET,
        Outcome::Interrupted { by } => signals::exit_code(by),
    }
}

/// Drives one turn to its end and says the last words of it, but for the answer.
pub async fn run_turn(request: Request, surface: &Shared<Surface>) -> Result<Ran, Failure> {
    Ok(take_turn(request, surface).await?.conclude(surface).await)
}

/// Drives one turn to its end.
async fn take_turn(request: Request, surface: &Shared<Surface>) -> Result<Turn, Failure> {
    let home = Home::find()?;
    let schema = request
        .run
        .output_schema
        .as_deref()
        .map(prompt::schema)
        .transpose()?;
    let last_message = request.run.output_last_message.as_deref();
    last_message.map(prompt::check_output).transpose()?;
    let opened = opening::open(&home, &request)?;
    for notice in &opened.settled.notices {
        surface.with(|surface| surface.notice(notice));
    }
    if let Some(problem) = model::key_file_problem(&home) {
        surface.with(|surface| surface.notice(&problem));
    }
    home.make()
        .with_context(|| format!("cannot make {}", home.recto.display()))?;
    let tree = TreeFiles::new(opened.place.root(), home.journals(), hidden(&home));
    if let Some(notice) = tree.recover()? {
        surface.with(|surface| surface.notice(&notice));
    }
    let files: Arc<dyn Files> = Arc::new(tree);
    // Before there is a cell that could change anything.
    let repository = opened.place.repository.as_ref();
    let import = Import::begin(&home, repository, &opened.policy()).await;
    view::reap(&home);
    let (view, problem) = View::open(&home, &opened.id, &opened.policy(), request.run.ephemeral);
    if let Some(problem) = problem {
        surface.with(|surface| surface.notice(&problem));
    }
    let (mut driver, signals, session, launched) =
        assemble(&home, &request, &opened, &files, &view, surface).await?;
    let ages = surface.with(|surface| surface.ages());
    let outcome = drive(&mut driver, &opened, schema).await;
    // Signals are still for the turn: the first one does not end the program in between.
    let is_home = !matches!(outcome, Err(DriverError::Cell(_)))
        && bring_home(import, launched.cell.as_ref(), &driver, surface).await;
    signals.end();
    let report = match &outcome {
        Ok(Outcome::Completed { answer }) => {
            Some(report::check(answer, &driver, files.as_ref(), &ages))
        }
        _ => None,
    };
    let (failed_checks, checks_needless) = match &outcome {
        Ok(Outcome::Completed { .. }) => (
            driver.session().failed_checks(),
            opened.mode == Mode::Code && !driver.session().needless_checks().is_empty(),
        ),
        _ => Default::default(),
    };
    driver.close().await;
    launched.close().await;
    let recorded = driver.record_network().await;
    if is_home && let Err(error) = view.discard() {
        surface.with(|surface| surface.notice(&Failure::unavailable(error).message()));
    }
    let outcome = outcome.map_err(driver_failure)?;
    recorded.map_err(driver_failure)?;
    Ok(Turn {
        ran: Ran {
            outcome,
            report,
            session,
            failed_checks,
        },
        home,
        opened,
        json: request.run.json,
        checks_needless,
    })
}

/// Brings home what was committed in the cell, however the turn ended, while the cell is there.
/// False when that failed, so that it must be kept where it is.
async fn bring_home(
    import: Result<Option<Import>, Failure>,
    cell: &dyn Cell,
    driver: &Driver,
    surface: &Shared<Surface>,
) -> bool {
    let session = &driver.session().settings().id;
    let imported = match import {
        Ok(Some(mut import)) => import.bring_home(cell, session).await,
        Ok(None) => return true,
        Err(failure) => Err(failure),
    };
    let is_home = imported.is_ok();
    surface.with(|surface| match imported {
        Ok(imported) => surface.imported(&imported),
        Err(failure) => surface.warning("git", &failure.message()),
    });
    is_home
}

/// Puts the driver together; the cell is made while the session's files are.
async fn assemble(
    home: &Home,
    request: &Request,
    opened: &Opened,
    files: &Arc<dyn Files>,
    view: &View,
    surface: &Shared<Surface>,
) -> Result<(Driver, signals::Forwarded, Option<PathBuf>, Launched), Failure> {
    let settled = &opened.settled;
    let model = model::open(
        home,
        &settled.provider_key,
        &settled.provider,
        &settled.model,
        request.run.record.as_deref(),
    )?;
    // What a power cut or a killed keeper left is removed by whoever comes next.
    crate::compose::cells::Cells::of(home).reap();
    let (observer, network) = Requests::pair();
    let launching = async {
        let mut settings = cell::settings(cell::Wanted {
            home,
            policy: opened.policy(),
            root: opened.place.root(),
            cwd: &opened.place.cwd,
            backend: settled.backend,
            readable: settled.readable.clone(),
            limits: settled.limits,
            env: settled.command_env.clone(),
            way_out: settled.way_out.clone(),
            repository: opened.place.repository.as_ref(),
        })
        .await;
        settings.git_layer = view.directory();
        view.wait_until_free().await;
        settings.launch(observer).await
    };
    let storing = async { opening::store(home, request, opened, files).await };
    let (mut stored, launched) = if opened.before().is_some() {
        // Whoever holds the session may have a cell on the same view.
        (storing.await?, launching.await?)
    } else {
        // Both are waited for, so that a cell in the making is not left behind by an error.
        let (launched, stored) = tokio::join!(launching, storing);
        (stored?, launched?)
    };
    let parts = Parts {
        log: stored.log,
        chunks: stored.chunks,
        model,
        cell: Arc::clone(&launched.cell),
        files: Arc::clone(files),
        sink: Box::new(surface.clone()),
        limits: agent::limits(settled),
        max_retries: settled.max_retries(),
        instruction_names: settled.instruction_names.clone(),
        jitter: agent::jitter,
        network: Some(network),
        checkpoints: None,
    };
    let earlier = std::mem::take(&mut stored.records);
    let mut driver = Driver::new(parts, &earlier)
        .ok_or_else(|| anyhow!("the session's log does not begin as a log should"))?;
    // Before the session is shown: whoever sees it may stop it from then on.
    let leaving = surface.clone();
    let signals = signals::forward(driver.handle(), move || {
        // Whoever writes just now need not be waited for: the status line may stay then.
        leaving.try_with(|surface| surface.still());
    })?;
    surface.with(|surface| surface.begin(opened, &stored.id, &earlier));
    if opened.before().is_none() {
        // A new session's first records are written before anybody watches.
        let is_warning = |record: &&Record| matches!(record.body, Body::Warning(_));
        for record in earlier.iter().filter(is_warning) {
            surface.with(|surface| surface.event(LiveEvent::Record(record)));
        }
    }
    driver
        .record(stored.changes)
        .await
        .map_err(driver_failure)?;
    Ok((driver, signals, stored.dir, launched))
}

/// Begins a turn with the user's message, or goes on with an unfinished one.
async fn drive(
    driver: &mut Driver,
    opened: &Opened,
    schema: Option<recto_runtime::schema::Schema>,
) -> Result<Outcome, DriverError> {
    let Some(message) = opened.message.clone() else {
        // Only an unfinished turn goes on without a message; `opening` saw to that.
        return Ok(driver.run_rest().await?.unwrap_or(Outcome::Completed {
            answer: String::new(),
        }));
    };
    if driver.session().is_running() {
        // A new message ends what an earlier run left unfinished.
        driver
            .record(vec![Body::from(InterruptRequested {
                by: "a new message".to_owned(),
                limit: None,
                inbox: None,
            })])
            .await?;
        driver.run_rest().await?;
    }
    driver
        .run_turn(TurnInput {
            items: vec![message],
            schema,
            inbox: None,
        })
        .await
}

fn driver_failure(error: DriverError) -> Failure {
    match error {
        DriverError::Cell(error) => cell::failure(error),
        DriverError::Log(_) => Failure { code: UNAVAILABLE, error: error.into(), hint: Some(
            "what was recorded until then is kept; free some space or mend the cause, then go on \
             with `recto exec resume`".to_owned(),
        ) },
        DriverError::Yielded => Failure::unavailable(error),
    }
}
