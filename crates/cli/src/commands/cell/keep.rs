//! `recto cell-keep`: the process that holds a kept cell. It is told what to make on standard input,
//! answers once on standard output, and serves whoever connects until the cell is to end.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use recto_cell::relay::{self, Ended, Served};
use recto_egress::Observer;
use recto_protocol::egress::RequestEvent;
use serde::{Deserialize, Serialize};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::block_on;
use crate::compose::cell::{Launched, Settings};
use crate::compose::cells::{Cells, Claim, NotClaimed, Record, Watch};
use crate::exit::{DONE, Failure};

/// Connections at the same time; more are turned away.
const MOST: usize = 64;
/// How long to leave the socket alone when no descriptor is left for a connection.
const PAUSE: Duration = Duration::from_millis(50);

/// What a keeper is told.
#[derive(Debug, Serialize, Deserialize)]
pub struct Orders {
    /// The program's own directory.
    pub recto: std::path::PathBuf,
    /// What to make.
    pub settings: Settings,
    /// What to call it.
    pub name: Option<String>,
    /// Seconds without a command after which it ends.
    pub idle_secs: Option<u64>,
}

/// What a keeper answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The cell is there.
    Ready(Record),
    /// It is not, and nothing is left of it.
    Failed {
        /// The exit code.
        code: u8,
        /// Why.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// Runs the keeper.
pub fn keep() -> Result<u8, Failure> {
    relay::detach()?;
    if let Err(failure) = block_on(hold()) {
        // Nobody may be waiting for it any more.
        let _ = answer(&Answer::Failed {
            code: failure.code,
            message: failure.message(),
            hint: failure.hint,
        });
    }
    Ok(DONE)
}

async fn hold() -> Result<(), Failure> {
    // Heard from the first moment on, so that the cell is always ended in order.
    let end = asked_to_end()?;
    tokio::pin!(end);
    let orders = orders()?;
    let keeper = tokio::select! {
        keeper = Keeper::start(orders) => keeper?,
        () = &mut end => return Ok(()),
    };
    // Whoever asked for the cell and is gone does not know it.
    if answer(&Answer::Ready(keeper.claim.record.clone())).is_ok() && silence(&keeper.claim).is_ok()
    {
        keeper.serve(end).await;
    } else {
        keeper.launched.close().await;
    }
    Ok(())
}

fn orders() -> Result<Orders, Failure> {
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text)?;
    serde_json::from_slice(&text)
        .context("this command is for the program itself")
        .map_err(Failure::usage)
}

fn answer(answer: &Answer) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, answer)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Lets go of what belongs to the process that started this one.
fn silence(claim: &Claim) -> std::io::Result<()> {
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stderr(claim.log()?)?;
    // Last: its end tells the other process that all is done.
    Ok(rustix::stdio::dup2_stdout(&nothing)?)
}

/// Resolves when a signal asks for the end.
fn asked_to_end() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

/// A cell, its directory, and who uses it.
struct Keeper {
    launched: Launched,
    listener: UnixListener,
    watch: Watch,
    idle: Option<Duration>,
    clients: JoinSet<Served>,
    /// Dropped last: the directory goes when all else is gone.
    claim: Claim,
}

impl Keeper {
    async fn start(orders: Orders) -> Result<Self, Failure> {
        let cells = Cells::below(&orders.recto);
        let settings = orders.settings;
        let record = Record {
            id: String::new(),
            name: orders.name,
            pid: std::process::id(),
            created: jiff::Timestamp::now(),
            work_tree: settings.work_tree.clone(),
            cwd: settings.cwd.clone(),
            policy: settings.policy.clone(),
            backend: recto_cell::backend(&settings.spec()).to_owned(),
            idle_secs: orders.idle_secs,
        };
        let claim = cells.claim(record).map_err(|error| match error {
            NotClaimed::NameTaken(_) => {
                Failure::usage(error).hint("`recto cell ls` shows it, `recto cell rm` ends it")
            }
            NotClaimed::Io(..) => Failure::unavailable(error),
        })?;
        let watch = claim.watch()?;
        let listener = claim.listen()?;
        let observer = NetworkLog::new(claim.network_log()?);
        Ok(Self {
            launched: settings.launch(Arc::new(observer)).await?,
            listener,
            watch,
            idle: orders.idle_secs.map(Duration::from_secs),
            clients: JoinSet::new(),
            claim,
        })
    }

    /// Serves until the cell is to end, or has ended, and ends it.
    async fn serve(mut self, end: impl Future<Output = ()>) {
        tokio::pin!(end);
        let mut last_used = Instant::now();
        loop {
            let idle_since = self.clients.is_empty().then_some(last_used);
            tokio::select! {
                () = &mut end => break,
                () = self.watch.gone() => break,
                () = idle_for(self.idle, idle_since) => break,
                Some(served) = self.clients.join_next() => match served {
                    Ok(Served { ended: Ended::Client, commands: 0 }) => {}
                    Ok(Served { ended: Ended::Client, .. }) => last_used = Instant::now(),
                    Ok(Served { ended: Ended::Cell, .. }) | Err(_) => break,
                },
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => self.admit(stream),
                    Err(_) => tokio::time::sleep(PAUSE).await,
                },
            }
        }
        let Self {
            launched,
            listener,
            mut clients,
            claim,
            ..
        } = self;
        drop(listener);
        launched.close().await;
        clients.shutdown().await;
        drop(claim);
    }

    /// Serves a client, if it is the same user and there is room.
    fn admit(&mut self, stream: UnixStream) {
        let own = rustix::process::geteuid().as_raw();
        let is_own = stream.peer_cred().is_ok_and(|peer| peer.uid() == own);
        if is_own && self.clients.len() < MOST {
            self.clients
                .spawn(relay::serve(Arc::clone(&self.launched.cell), stream));
        }
    }
}

async fn idle_for(idle: Option<Duration>, since: Option<Instant>) {
    match idle
        .zip(since)
        .and_then(|(idle, since)| since.checked_add(idle))
    {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Writes what commands ask for outside into the cell's directory, a line of JSON for each.
struct NetworkLog(Mutex<Log>);

struct Log {
    file: File,
    /// Bytes that may still be written.
    left: usize,
}

/// The most that a network log takes on disk.
const MOST_LOGGED: usize = 64 << 20;

impl NetworkLog {
    fn new(file: File) -> Self {
        Self(Mutex::new(Log {
            file,
            left: MOST_LOGGED,
        }))
    }
}

impl Observer for NetworkLog {
    fn request(&self, event: RequestEvent) -> bool {
        let Ok(mut line) = serde_json::to_vec(&event) else {
            return false;
        };
        line.push(b'\n');
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left) = log.left.checked_sub(line.len()) else {
            return false;
        };
        log.left = left;
        log.file.write_all(&line).is_ok()
    }
}
