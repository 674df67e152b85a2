//! Which session a turn belongs to, and what it begins with.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use recto_protocol::policy::Policy;
use recto_protocol::ports::files::Files;
use recto_protocol::ports::log::{Chunks, Log};
use recto_protocol::record::Body;
use recto_protocol::settings::{Budget, Mode, Settings};
use recto_protocol::{Item, Record, SessionId};
use recto_runtime::opening::Opening;
use recto_store::{MemoryChunks, MemoryLog, Sessions};

use super::Request;
use crate::args::{ExecCommand, RunArgs};
use crate::compose::agent;
use crate::compose::home::Home;
use crate::compose::place::{Place, text};
use crate::compose::prompt;
use crate::compose::settle::{self, Settled};
use crate::exit::Failure;

/// Everything decided before anything is made.
pub struct Opened {
    /// The session that the turn belongs to.
    pub(super) id: SessionId,
    pub(super) place: Place,
    pub(super) settled: Settled,
    pub(super) source: Source,
    /// The user's message; none to go on with an unfinished turn.
    pub(super) message: Option<Item>,
    pub(super) mode: Mode,
    /// The commit that is checked out before the turn.
    pub(super) head: Option<String>,
}

/// Where the session's log comes from.
pub enum Source {
    /// A new one.
    New,
    /// An earlier one, as it was when it was looked at.
    Resumed {
        id: SessionId,
        settings: Box<Settings>,
    },
    /// A copy of an earlier one up to a record.
    Forked {
        from: SessionId,
        at: u64,
        settings: Box<Settings>,
    },
}

impl Opened {
    /// What the session is made of now: the configuration, over which a resumed session keeps what
    /// the command line does not change.
    fn opening(&self, home: &Home) -> Opening {
        agent::opening(
            home,
            &self.settled,
            &self.place,
            agent::Who {
                id: self.id.clone(),
                mode: self.mode,
                policy: self.policy(),
                head: self.head.clone(),
            },
        )
    }

    /// What commands may do: the configuration's word. A resumed session's own word counts unless
    /// something explicit says otherwise or the configuration gives less access by now. `ask` never
    /// writes.
    pub fn policy(&self) -> Policy {
        let now = &self.settled.policy;
        let mut policy = match self.before() {
            Some(before)
                if !self.settled.policy_is_explicit && before.policy.access <= now.access =>
            {
                before.policy.clone()
            }
            _ => now.clone(),
        };
        if self.mode == Mode::Ask {
            policy.access = recto_protocol::policy::Access::ReadOnly;
            policy.writable.clear();
        }
        policy
    }

    /// The settings of the session that is gone on with.
    pub fn before(&self) -> Option<&Settings> {
        match &self.source {
            Source::New => None,
            Source::Resumed { settings, .. } | Source::Forked { settings, .. } => Some(settings),
        }
    }
}

/// Decides what the turn begins with. Makes nothing yet.
pub fn open(home: &Home, request: &Request) -> Result<Opened, Failure> {
    if request.run.ephemeral && request.command.is_some() {
        return Err(Failure::usage(anyhow!(
            "--ephemeral can't be used with resume and fork: their sessions are on disk"
        )));
    }
    let sessions = Sessions::open(&home.recto);
    let (source, given, last_turn) = match &request.command {
        None => (Source::New, request.prompt.as_deref(), LastTurn::None),
        Some(ExecCommand::Resume {
            id,
            prompt,
            last,
            all,
        }) => {
            let (id, prompt) = if *last {
                (
                    newest(&sessions, request, *all)?,
                    id.as_deref().or(prompt.as_deref()),
                )
            } else {
                let id = id.as_deref().ok_or_else(no_id)?;
                (
                    super::super::sessions::find(&sessions, id)?,
                    prompt.as_deref(),
                )
            };
            let (settings, last_turn) = look(&sessions, &id, None)?;
            (
                Source::Resumed { id, settings },
                prompt.or(request.prompt.as_deref()),
                last_turn,
            )
        }
        Some(ExecCommand::Fork { id, prompt, at }) => {
            let from = super::super::sessions::find(&sessions, id)?;
            let last = last_seq(&sessions, &from)?;
            let at = at.unwrap_or(last).min(last);
            let (settings, last_turn) = look(&sessions, &from, Some(at))?;
            (
                Source::Forked { from, at, settings },
                prompt.as_deref(),
                last_turn,
            )
        }
    };
    let place = place(request, &source)?;
    let mode = mode(request, &source)?;
    let before = match &source {
        Source::New => None,
        Source::Resumed { settings, .. } | Source::Forked { settings, .. } => Some(&**settings),
    };
    let mut settled = settle::settle(home, &place, &request.run, before)?;
    if let Some(before) = before {
        if !settled.checks_are_explicit {
            settled.checks = joined(&before.checks, &settled.checks);
        }
        settled.budget = budget(&request.run, &settled.budget, &before.budget);
    }
    let ended = match &last_turn {
        LastTurn::Ended(how) => Some(missing(request, how)),
        LastTurn::None | LastTurn::Unfinished => None,
    };
    let needed = match (
        last_turn == LastTurn::Unfinished,
        request.run.image.is_empty(),
    ) {
        (_, false) => prompt::Needed::ImagesWillDo,
        (true, true) => prompt::Needed::No,
        (false, true) => prompt::Needed::Yes,
    };
    let message = match prompt::read(given, needed, &ended)? {
        Some(text) => Some(prompt::message(&text, &images(&request.run.image))?),
        None => None,
    };
    if message.is_none() && request.run.output_schema.is_some() {
        settled.notices.push(
            "--output-schema is not used: the unfinished turn keeps what it began with".to_owned(),
        );
    }
    let head = place.head();
    let id = match &source {
        Source::Resumed { id, .. } => id.clone(),
        Source::New | Source::Forked { .. } => new_id(),
    };
    Ok(Opened {
        id,
        place,
        settled,
        source,
        message,
        mode,
        head,
    })
}

/// The first list, and what only the second one has.
fn joined(first: &[String], second: &[String]) -> Vec<String> {
    let mut all = first.to_vec();
    all.extend(
        second
            .iter()
            .filter(|entry| !first.contains(entry))
            .cloned(),
    );
    all
}

/// The images' files. Several may be given at once with commas between them, unless that is the
/// name of a file.
fn images(given: &[PathBuf]) -> Vec<PathBuf> {
    let split = |path: &PathBuf| match path.to_str() {
        Some(list) if !path.exists() => list.split(',').map(PathBuf::from).collect(),
        _ => vec![path.clone()],
    };
    given.iter().flat_map(split).collect()
}

/// The limits of a session that is gone on with: what the command line says now, else what they were.
/// A limit given once must not be gone because a later command line is silent.
fn budget(run: &RunArgs, now: &Budget, before: &Budget) -> Budget {
    if run.config.iter().any(|pair| pair.starts_with("budget")) {
        return now.clone();
    }
    Budget {
        steps: if run.max_steps.is_some() {
            now.steps
        } else {
            before.steps.or(now.steps)
        },
        cost: if run.max_cost.is_some() {
            now.cost
        } else {
            before.cost.or(now.cost)
        },
        tokens: if run.max_tokens.is_some() {
            now.tokens
        } else {
            before.tokens.or(now.tokens)
        },
        seconds: if run.max_seconds.is_some() {
            now.seconds
        } else {
            before.seconds.or(now.seconds)
        },
    }
}

/// How a session's last turn is.
#[derive(PartialEq, Eq)]
enum LastTurn {
    /// There is none.
    None,
    /// It can go on without a message.
    Unfinished,
    /// It ended, how in one word.
    Ended(&'static str),
}

/// Why a session can't go on without a message, and how it can.
fn missing(request: &Request, how: &str) -> (String, String) {
    let words = match &request.command {
        Some(ExecCommand::Resume {
            last: true, all, ..
        }) => if *all {
            "resume --last --all"
        } else {
            "resume --last"
        }
        .to_owned(),
        Some(ExecCommand::Resume { id, .. }) => {
            format!("resume {}", id.as_deref().unwrap_or("ID"))
        }
        Some(ExecCommand::Fork { id, .. }) => format!("fork {id}"),
        None => String::new(),
    };
    let command = command_word(request.mode);
    (
        format!("the last turn ended ({how}), so there must be a message"),
        format!("give the next message: recto {command} {words} \"go on\""),
    )
}

/// The command that a session of this mode belongs to.
pub fn command_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Ask => "ask",
        Mode::Code => "exec",
    }
}

fn no_id() -> Failure {
    Failure::usage(anyhow!("which session is not said"))
        .hint("give an id from `recto sessions list`, or --last")
}

fn newest(sessions: &Sessions, request: &Request, all: bool) -> Result<SessionId, Failure> {
    let cwd = text(&Place::find(request.run.cd.as_deref())?.cwd);
    let filter = recto_store::Filter {
        cwd: (!all).then_some(cwd.clone()),
        mode: Some(request.mode),
        limit: Some(1),
    };
    let listing = sessions.list(&filter).map_err(Failure::unavailable)?;
    listing
        .sessions
        .into_iter()
        .next()
        .map(|summary| summary.id)
        .ok_or_else(|| {
            let place = if all {
                "at all".to_owned()
            } else {
                format!("in {cwd}")
            };
            Failure::usage(anyhow!("there is no session {place}"))
                .hint("`recto sessions list --all` shows those of other directories")
        })
}

/// A session's settings, and how its last turn is; without locking it.
fn look(
    sessions: &Sessions,
    id: &SessionId,
    at: Option<u64>,
) -> Result<(Box<Settings>, LastTurn), Failure> {
    let records = read(sessions, id)?;
    let upto = records
        .iter()
        .take_while(|record| at.is_none_or(|at| record.seq <= at));
    let session = recto_agent::Session::replay(upto)
        .ok_or_else(|| Failure::usage(anyhow!("session {id} has an empty log")))?;
    let last_turn = match session.next() {
        recto_agent::Next::Idle(Some(outcome)) => {
            LastTurn::Ended(super::super::sessions::state(Some(&outcome)))
        }
        recto_agent::Next::Idle(None) => LastTurn::None,
        _ => LastTurn::Unfinished,
    };
    Ok((Box::new(session.settings().clone()), last_turn))
}

fn last_seq(sessions: &Sessions, id: &SessionId) -> Result<u64, Failure> {
    Ok(read(sessions, id)?.last().map_or(0, |record| record.seq))
}

fn read(sessions: &Sessions, id: &SessionId) -> Result<Vec<Record>, Failure> {
    sessions
        .read(id)
        .with_context(|| format!("cannot read session {id}"))
        .map_err(Failure::usage)
}

fn place(request: &Request, source: &Source) -> Result<Place, Failure> {
    let settings = match source {
        Source::New => {
            let place = Place::find(request.run.cd.as_deref())?;
            place.require_repository(request.run.skip_git_repo_check)?;
            return Ok(place);
        }
        Source::Resumed { settings, .. } | Source::Forked { settings, .. } => settings,
    };
    let place = Place::find(Some(settings.cwd.as_ref())).map_err(|failure| {
        failure.hint("a session goes on where it began; make that directory again, or begin anew")
    })?;
    if let Some(given) = &request.run.cd {
        let given = Place::find(Some(given))?;
        if given.cwd != place.cwd {
            return Err(Failure::usage(anyhow!(
                "the session belongs to {}, not to {}",
                place.cwd.display(),
                given.cwd.display()
            ))
            .hint("leave -C out, or begin a new session there"));
        }
    }
    Ok(place)
}

fn mode(request: &Request, source: &Source) -> Result<Mode, Failure> {
    let (Source::Resumed { settings, .. } | Source::Forked { settings, .. }) = source else {
        return Ok(request.mode);
    };
    if settings.mode == request.mode {
        return Ok(request.mode);
    }
    let (is, should) = match settings.mode {
        Mode::Ask => ("asks", "recto ask resume"),
        Mode::Code => ("changes code", "recto exec resume"),
    };
    Err(Failure::usage(anyhow!("this session {is}")).hint(format!("go on with it by `{should}`")))
}

/// A session that is open for writing.
pub struct Stored {
    pub(super) id: SessionId,
    pub(super) log: Box<dyn Log>,
    /// Where its outputs are kept.
    pub(super) chunks: Arc<dyn Chunks>,
    /// What its log holds.
    pub(super) records: Vec<Record>,
    /// What is to be told the model first.
    pub(super) changes: Vec<Body>,
    /// Where it lies; none for an ephemeral one.
    pub(super) dir: Option<PathBuf>,
}

/// Makes the session's log, or opens it again.
pub async fn store(
    home: &Home,
    request: &Request,
    opened: &Opened,
    files: &Arc<dyn Files>,
) -> Result<Stored, Failure> {
    let sessions = Sessions::open(&home.recto);
    match &opened.source {
        Source::New => create(home, request, opened, files, &sessions).await,
        Source::Resumed { .. } => resume(home, opened, files, &sessions),
        Source::Forked { from, at, .. } => {
            sessions
                .fork(from, *at, &opened.id)
                .with_context(|| format!("cannot fork session {from}"))?;
            resume(home, opened, files, &sessions)
        }
    }
}

async fn create(
    home: &Home,
    request: &Request,
    opened: &Opened,
    files: &Arc<dyn Files>,
    sessions: &Sessions,
) -> Result<Stored, Failure> {
    let id = opened.id.clone();
    let (mut log, chunks, dir): (Box<dyn Log>, Arc<dyn Chunks>, _) = if request.run.ephemeral {
        (
            Box::new(MemoryLog::new(clock())),
            Arc::new(MemoryChunks::new(id.clone())),
            None,
        )
    } else {
        let log = sessions
            .create(&id, clock())
            .context("cannot make a session")?;
        let dir = log.dir().to_owned();
        let chunks = Arc::new(log.chunks());
        (Box::new(log), chunks, Some(dir))
    };
    let bodies = opened.opening(home).records(files);
    let records = log
        .append_relaxed(bodies)
        .await
        .context("cannot write the session's log")?;
    Ok(Stored {
        id,
        log,
        chunks,
        records,
        changes: Vec::new(),
        dir,
    })
}

fn resume(
    home: &Home,
    opened: &Opened,
    files: &Arc<dyn Files>,
    sessions: &Sessions,
) -> Result<Stored, Failure> {
    let id = &opened.id;
    let (log, records, recovered) = sessions
        .resume(id, clock())
        .with_context(|| format!("cannot go on with session {id}"))?;
    let session = recto_agent::Session::replay(&records)
        .ok_or_else(|| Failure::usage(anyhow!("session {id} has an empty log")))?;
    let changes =
        opened
            .opening(home)
            .changes(&records, session.settings(), recovered.torn_bytes, files);
    let dir = Some(log.dir().to_owned());
    Ok(Stored {
        id: id.clone(),
        chunks: Arc::new(log.chunks()),
        log: Box::new(log),
        records,
        changes,
        dir,
    })
}

fn new_id() -> SessionId {
    SessionId(uuid::Uuid::now_v7().to_string())
}

/// Milliseconds since 1970.
pub fn clock() -> recto_store::Clock {
    Box::new(|| jiff::Timestamp::now().as_millisecond())
}
