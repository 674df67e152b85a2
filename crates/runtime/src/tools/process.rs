//! Commands running in the cell, and what they have said.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use recto_protocol::ports::cell::{
    Cell, CellError, Command, ExitStatus, Process, ProcessControl, ProcessEvent,
};
use recto_protocol::ports::log::{ChunkWriter, Chunks, LogError};
use recto_protocol::record::Body;
use recto_protocol::tool::Effect;
use recto_protocol::{CallId, ChunkId, Record};
use tokio::sync::watch;

use super::KILL_PATIENCE;
use crate::live::{Live, LiveEvent};
use crate::output::{Capture, Shown};

const SIGKILL: i32 = 9;
/// Commands that ended in the background and whose last output is kept for `write_stdin`.
const MOST_ENDED: usize = 64;

/// The commands that went on in the background, by the number that `write_stdin` uses.
pub(crate) struct Processes {
    /// The highest number that was given out.
    last: AtomicU32,
    known: Mutex<BTreeMap<u32, Arc<Running>>>,
}

impl Processes {
    /// None yet. Numbers go on after the highest in the log, so that none means two commands.
    pub(crate) fn after(records: &[Record]) -> Self {
        let numbers = records.iter().filter_map(|record| match &record.body {
            Body::ToolFinished(finished) => match finished.effect {
                Effect::Command { session, .. } => session,
                _ => None,
            },
            _ => None,
        });
        Self {
            last: AtomicU32::new(numbers.max().unwrap_or_default()),
            known: Mutex::default(),
        }
    }

    /// How many run. One that has ended does not count, also when nobody has looked since.
    pub(super) fn running(&self) -> usize {
        let known = self.lock();
        known.values().filter(|known| !known.has_ended()).count()
    }

    /// Whether a command ended because its cell did.
    pub(crate) fn lost_cell(&self) -> bool {
        let known = self.lock();
        known
            .values()
            .any(|known| *known.exit.borrow() == Some(ExitStatus::CellGone))
    }

    pub(super) fn add(&self, running: Arc<Running>) -> u32 {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut known = self.lock();
        known.insert(number, running);
        forget_oldest(&mut known);
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
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps no more ended commands than [`MOST_ENDED`].
fn forget_oldest(known: &mut BTreeMap<u32, Arc<Running>>) {
    let ended = known.iter().filter(|(_, known)| known.has_ended());
    let ended: Vec<u32> = ended.map(|(&number, _)| number).collect();
    for number in &ended[..ended.len().saturating_sub(MOST_ENDED)] {
        known.remove(number);
    }
}

/// A command that was started, and where its output goes.
pub(crate) struct Started {
    pub(crate) process: Process,
    pub(crate) chunk: Box<dyn ChunkWriter>,
    pub(crate) shown_as: String,
    pub(crate) tty: bool,
    pub(crate) call: Option<CallId>,
}

/// Why a command could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("its output can't be stored: {0}")]
    Store(#[from] LogError),
    #[error(transparent)]
    Cell(#[from] CellError),
}

impl StartError {
    /// Whether there is no cell any more.
    pub(crate) fn is_cell_gone(&self) -> bool {
        matches!(self, Self::Cell(CellError::Gone))
    }
}

/// One command that runs or has run.
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
    /// Takes over a command that was just started; its output flows into `chunk` from here on,
    /// watched or not. The chunk is made before the command, so that no command runs unheard.
    pub(crate) fn watch(started: Started, live: &Live, timeout: Duration) -> Arc<Self> {
        let Process { events, control } = started.process;
        let (send, exit) = watch::channel(None);
        let running = Arc::new(Self {
            command: started.shown_as,
            chunk: started.chunk.id(),
            tty: started.tty,
            control,
            capture: Mutex::default(),
            bytes: AtomicU64::new(0),
            exit,
        });
        let carrier = Carrier {
            running: Arc::clone(&running),
            chunk: Some(started.chunk),
            live: live.clone(),
            call: started.call,
        };
        tokio::spawn(pump(events, carrier, timeout, send));
        running
    }

    pub(super) fn has_ended(&self) -> bool {
        self.exit.borrow().is_some()
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
                let kill = carrier.running.control.signal(SIGKILL);
                let _ = tokio::time::timeout(KILL_PATIENCE, kill).await;
                continue;
            }
        };
        match event {
            Some(ProcessEvent::Output(bytes)) => carrier.output(&bytes),
            Some(ProcessEvent::Dropped(count)) => carrier.dropped(count),
            Some(ProcessEvent::Limited(limited)) => {
                carrier.say(&format!("\n[{}]\n", limited.text));
            }
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
    pub(crate) status: Option<ExitStatus>,
    pub(crate) chunk: ChunkId,
    pub(crate) output: String,
    pub(crate) duration: Duration,
}

impl Ended {
    pub(crate) fn exit_code(&self) -> Option<i32> {
        match self.status {
            Some(ExitStatus::Code(code)) => Some(code),
            Some(ExitStatus::Signal(_) | ExitStatus::CellGone) | None => None,
        }
    }
}

/// Runs a command to its end or to the time limit, whichever comes first.
pub(crate) async fn run_to_end(
    cell: &dyn Cell,
    chunks: &dyn Chunks,
    live: &Live,
    spec: Command,
    shown_as: &str,
    timeout: Duration,
) -> Result<Ended, StartError> {
    let began = Instant::now();
    let chunk = chunks.create()?;
    let started = Started {
        process: cell.spawn(spec).await?,
        chunk,
        shown_as: shown_as.to_owned(),
        tty: false,
        call: None,
    };
    let running = Running::watch(started, live, timeout);
    // The pump ends it at the limit; the grace is for its last output.
    let status = running.wait(timeout + Duration::from_secs(10)).await;
    Ok(Ended {
        status,
        chunk: running.chunk.clone(),
        output: running.show(None).text,
        duration: began.elapsed(),
    })
}
