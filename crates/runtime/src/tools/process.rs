//! Commands running in the cell, and what they have said.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use recto_protocol::ports::cell::{
    Cell, CellError, Command, ExitStatus, Process, ProcessControl, ProcessEvent,
};
use recto_protocol::ports::log::ChunkWriter;
use recto_protocol::{CallId, ChunkId};
use tokio::sync::watch;

use super::{SharedLog, lock};
use crate::live::{Live, LiveEvent};
use crate::output::{Capture, Shown};

const SIGKILL: i32 = 9;

/// The commands that are still running, by the number that `write_stdin` uses.
#[derive(Default)]
pub(crate) struct Processes {
    next: AtomicU32,
    running: Mutex<BTreeMap<u32, Arc<Running>>>,
}

impl Processes {
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn add(&self, running: Arc<Running>) -> u32 {
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.lock().insert(number, running);
        number
    }

    pub(super) fn get(&self, number: u32) -> Option<Arc<Running>> {
        self.lock().get(&number).cloned()
    }

    pub(super) fn remove(&self, number: u32) {
        self.lock().remove(&number);
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One command that was started.
pub(crate) struct Running {
    pub(super) command: String,
    pub(super) chunk: ChunkId,
    pub(super) tty: bool,
    pub(super) control: Box<dyn ProcessControl>,
    capture: Mutex<Capture>,
    bytes: AtomicU64,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Running {
    /// Starts a command; its output flows into a chunk from here on, watched or not.
    pub(crate) async fn start(
        cell: &dyn Cell,
        log: &SharedLog,
        live: &Live,
        spec: Command,
        shown_as: String,
        call: Option<CallId>,
        timeout: Duration,
    ) -> Result<Arc<Self>, CellError> {
        let tty = spec.tty.is_some();
        let Process { events, control } = cell.spawn(spec).await?;
        let chunk = lock(log)
            .create_chunk()
            .map_err(|error| CellError::Protocol(format!("its output can't be stored: {error}")))?;
        let (send, exit) = watch::channel(None);
        let running = Arc::new(Self {
            command: shown_as,
            chunk: chunk.id(),
            tty,
            control,
            capture: Mutex::default(),
            bytes: AtomicU64::new(0),
            exit,
        });
        let carrier = Carrier {
            running: Arc::clone(&running),
            chunk: Some(chunk),
            live: live.clone(),
            call,
        };
        tokio::spawn(pump(events, carrier, timeout, send));
        Ok(running)
    }

    /// Waits until it ends, but no longer than `patience`.
    pub(super) async fn wait(&self, patience: Duration) -> Option<ExitStatus> {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some);
        match tokio::time::timeout(patience, ended).await {
            Ok(Ok(status)) => *status,
            // The pump went away without a word only when the runtime is shutting down.
            Ok(Err(_)) => Some(ExitStatus::CellGone),
            Err(_) => None,
        }
    }

    pub(super) fn show(&self, max_tokens: Option<usize>) -> Shown {
        self.capture().take(max_tokens, Some(self.chunk.as_str()))
    }

    pub(super) fn lines(&self) -> u64 {
        self.capture().lines()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn capture(&self) -> std::sync::MutexGuard<'_, Capture> {
        self.capture.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries a command's output to where it is kept and shown, and ends the command at its time
/// limit. It outlives the call that started it, and ends with the command, at the latest with the
/// cell.
async fn pump(
    mut events: futures_util::stream::BoxStream<'static, ProcessEvent>,
    mut carrier: Carrier,
    timeout: Duration,
    exit: watch::Sender<Option<ExitStatus>>,
) {
    let mut status = ExitStatus::CellGone;
    let mut limit = Box::pin(tokio::time::sleep(timeout));
    let mut killed = false;
    loop {
        let event = tokio::select! {
            biased;
            event = events.next() => event,
            () = &mut limit, if !killed => {
                killed = true;
                carrier.say(&format!("\n[killed after {} seconds]\n", timeout.as_secs()));
                // It may have ended in this very moment.
                let _ = carrier.running.control.signal(SIGKILL).await;
                continue;
            }
        };
        match event {
            Some(ProcessEvent::Output(bytes)) => carrier.output(&bytes),
            Some(ProcessEvent::Dropped(count)) => carrier.dropped(count),
            Some(ProcessEvent::Exited(ended)) => status = ended,
            None => break,
        }
    }
    exit.send_replace(Some(status));
}

/// Where one command's output goes.
struct Carrier {
    running: Arc<Running>,
    /// None once the store has refused bytes.
    chunk: Option<Box<dyn ChunkWriter>>,
    live: Live,
    call: Option<CallId>,
}

impl Carrier {
    fn output(&mut self, bytes: &[u8]) {
        self.keep(bytes);
        self.running.capture().push(bytes);
        self.running
            .bytes
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if let Some(call) = &self.call {
            self.live.emit(LiveEvent::ToolOutput(call, bytes));
        }
    }

    fn dropped(&mut self, count: u64) {
        self.running.capture().skip(count);
        self.running.bytes.fetch_add(count, Ordering::Relaxed);
        self.say(&format!("\n[{count} bytes of output were not kept]\n"));
    }

    /// Adds a remark of the harness to the output.
    fn say(&mut self, notice: &str) {
        self.keep(notice.as_bytes());
        self.running.capture().push(notice.as_bytes());
    }

    fn keep(&mut self, bytes: &[u8]) {
        let Some(chunk) = &mut self.chunk else { return };
        if let Err(error) = chunk.write(bytes) {
            self.chunk = None;
            let notice = format!("\n[output from here on is not kept: {error}]\n");
            self.running.capture().push(notice.as_bytes());
        }
    }
}

/// A command's whole life in one call, for checks.
pub(crate) struct Ended {
    pub(crate) exit_code: Option<i32>,
    pub(crate) chunk: ChunkId,
    pub(crate) output: String,
    pub(crate) duration: Duration,
}

/// Runs a command to its end or to the time limit, whichever comes first.
pub(crate) async fn run_to_end(
    cell: &dyn Cell,
    log: &SharedLog,
    live: &Live,
    spec: Command,
    shown_as: &str,
    timeout: Duration,
) -> Result<Ended, CellError> {
    let started = Instant::now();
    let running = Running::start(cell, log, live, spec, shown_as.to_owned(), None, timeout).await?;
    // The pump ends it at the limit; the grace is for its last output.
    let status = running.wait(timeout + Duration::from_secs(10)).await;
    Ok(Ended {
        exit_code: match status {
            Some(ExitStatus::Code(code)) => Some(code),
            Some(ExitStatus::Signal(_) | ExitStatus::CellGone) | None => None,
        },
        chunk: running.chunk.clone(),
        output: running.show(None).text,
        duration: started.elapsed(),
    })
}
