//! One session of one column, from its start to its end.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};

use super::column::{Column, Place};
use super::interrupt;
use super::process::{self, Ended, Process};
use super::server::{Exchange, Script, Server, Session};
use super::workshop::Workshop;

/// After this a session counts as failed.
const LIMIT: Duration = Duration::from_secs(180);
/// Bytes of its messages that are shown when it failed.
const SHOWN: usize = 600;

/// What all sessions of a run share.
pub(super) struct Bench {
    pub(super) server: Server,
    pub(super) workshop: Workshop,
}

/// A session with everything prepared, not started yet.
pub(super) struct Prepared {
    command: std::process::Command,
    session: Arc<Session>,
    directory: PathBuf,
}

/// A session that runs.
pub(super) struct Running {
    pub(super) process: Process,
    pub(super) session: Arc<Session>,
    directory: PathBuf,
}

/// A session that went as the script says.
pub(super) struct Finished {
    pub(super) started: std::time::Instant,
    pub(super) ended: Ended,
    pub(super) exchanges: Vec<Exchange>,
}

impl Bench {
    pub(super) fn prepare(&self, column: &Column, script: Script) -> anyhow::Result<Prepared> {
        if interrupt::happened() {
            bail!("interrupted");
        }
        let directory = self.workshop.session()?;
        let (session, base_url) = self.server.open(script);
        let mut command = column.command(&Place {
            base_url: &base_url,
            home: &self.workshop.home(column.name)?,
            repository: &directory.join("repository"),
        });
        command
            .stdout(process::log(&directory.join("stdout"))?)
            .stderr(process::log(&directory.join("stderr"))?);
        Ok(Prepared {
            command,
            session,
            directory,
        })
    }

    /// Runs a session alone. The CPU of what it left to be adopted is added to its own.
    pub(super) fn alone(&self, column: &Column, script: Script) -> anyhow::Result<Finished> {
        self.prepare(column, script)?.start()?.finish_alone()
    }
}

impl Prepared {
    pub(super) fn start(mut self) -> anyhow::Result<Running> {
        let process = Process::start(&mut self.command)?;
        Ok(Running {
            process,
            session: self.session,
            directory: self.directory,
        })
    }
}

impl Running {
    /// Waits until the held answer is asked for.
    pub(super) fn wait_for_hold(&self) -> anyhow::Result<()> {
        let Some(held) = self.session.script().held else {
            bail!("the script holds nothing back");
        };
        while !self
            .session
            .has_requests(held + 1, Duration::from_millis(50))
        {
            if self.process.has_ended(Duration::ZERO) {
                bail!("it ended before step {held}: {}", messages(&self.directory));
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> anyhow::Result<Finished> {
        let started = self.process.started;
        let finished = self.process.finish(LIMIT);
        // Whatever happened, a connection must not wait for ever.
        self.session.release();
        let ended = finished.with_context(|| messages(&self.directory))?;
        let exchanges = self.session.exchanges();
        let expected = self.session.script().commands.len() + 1;
        if ended.status != 0 {
            bail!(
                "it ended with status {:#x}: {}",
                ended.status,
                messages(&self.directory)
            );
        }
        if exchanges.len() != expected {
            bail!("it sent {} requests and not {expected}", exchanges.len());
        }
        // Its files stay until the end of the run: ext4 passes over inodes that were freed a short while ago, and
        // the next session's new files would pay for that.
        Ok(Finished {
            started,
            ended,
            exchanges,
        })
    }

    pub(super) fn finish_alone(self) -> anyhow::Result<Finished> {
        let mut finished = self.finish()?;
        let (cpu, killed) = process::sweep();
        if killed > 0 {
            bail!("it left {killed} processes behind, which did not end by themselves");
        }
        finished.ended.cpu += cpu;
        Ok(finished)
    }
}

impl Finished {
    /// When an answer was handed over. Every answer of a finished session was.
    pub(super) fn handed(&self, answer: usize) -> anyhow::Result<std::time::Instant> {
        let exchange = self
            .exchanges
            .get(answer)
            .and_then(|exchange| exchange.handed);
        exchange.with_context(|| format!("answer {answer} was never given"))
    }

    /// Milliseconds from handing over the answer with a command to the request that tells its result.
    pub(super) fn step_ms(&self, step: usize) -> anyhow::Result<f64> {
        let next = self.exchanges.get(step + 1);
        let next = next.with_context(|| format!("there was no request after step {step}"))?;
        Ok(ms(next
            .arrived
            .saturating_duration_since(self.handed(step)?)))
    }
}

pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The end of what a session said on standard error.
fn messages(directory: &std::path::Path) -> String {
    let text = fs::read(directory.join("stderr")).unwrap_or_default();
    let start = text.len().saturating_sub(SHOWN);
    match String::from_utf8_lossy(&text[start..]).trim() {
        "" => "it said nothing".to_owned(),
        text => text.to_owned(),
    }
}
