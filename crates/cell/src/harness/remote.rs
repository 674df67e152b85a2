//! A running cell: the port's implementation over any pair of byte streams.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use recto_protocol::ports::cell::files::CellFiles;
use recto_protocol::ports::cell::{
    Cell, CellError, CellStats, Command, ExitStatus, Limit, Limited, Process, ProcessEvent,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::conversation::{Answer, Breach, Conversation, Heard, Question, Said, Speaker};
use super::process::{Control, Incoming, Room, events};
use super::undertaker::Life;
use crate::wire::{
    Decoder, Exit, Frame, LimitName, Request, Resize, Signal, Spawn, SpawnError, SpawnStage,
};

/// How long a cell may take to kill everything in it before it is killed itself.
const KILLING: Duration = Duration::from_secs(10);
/// How long it may take for any other answer; a slow disk is waited for, a dead PID 1 is not.
const ANSWERING: Duration = Duration::from_secs(60);
/// Requests that wait to be sent. More means that the cell doesn't listen.
const QUEUE: usize = 4096;
/// Requests about files that are under way at once; each may hold a chunk in memory on both sides.
const FILES: usize = 4;

/// The harness' handle to a cell.
pub(crate) struct Remote {
    shared: Arc<Shared>,
    tasks: Mutex<Option<Tasks>>,
    /// Room for requests about files.
    files: Semaphore,
}

struct Tasks {
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
    /// None for a cell that another process holds.
    life: Option<Box<dyn Life>>,
    /// Accepts at the cell's doors; dropped, it stops.
    accepting: JoinSet<()>,
}

/// What the handle, the commands' controls and the reading task share.
pub(super) struct Shared {
    next: AtomicU32,
    frames: mpsc::Sender<Vec<u8>>,
    /// Pausing and going on, ahead of what waits. At most a few for each command: between two lie
    /// megabytes of output.
    urgent: mpsc::UnboundedSender<Vec<u8>>,
    state: Mutex<State>,
}

struct State {
    gone: bool,
    conversation: Conversation,
    commands: HashMap<u32, Incoming>,
    questions: HashMap<u32, oneshot::Sender<Answer>>,
}

impl Remote {
    /// A cell that another process holds: closing it only ends the connection.
    pub(crate) fn held_elsewhere(stream: UnixStream, decoder: Decoder) -> Self {
        let (read, write) = stream.into_split();
        Self::new(read, write, decoder, None, JoinSet::new())
    }

    /// Speaks with a PID 1 that has said hello. `decoder` holds what was read behind that.
    pub(super) fn new(
        read: impl AsyncRead + Send + Unpin + 'static,
        write: impl AsyncWrite + Send + Unpin + 'static,
        decoder: Decoder,
        life: Option<Box<dyn Life>>,
        accepting: JoinSet<()>,
    ) -> Self {
        let (frames, queue) = mpsc::channel(QUEUE);
        let (urgent, first) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            next: AtomicU32::new(1),
            frames,
            urgent,
            state: Mutex::new(State {
                gone: false,
                conversation: Conversation::new(if life.is_some() {
                    Speaker::Cell
                } else {
                    Speaker::Relay
                }),
                commands: HashMap::new(),
                questions: HashMap::new(),
            }),
        });
        let reader = tokio::spawn(receive(read, decoder, Arc::clone(&shared)));
        let writer = tokio::spawn(send(write, first, queue));
        Self {
            shared,
            tasks: Mutex::new(Some(Tasks {
                reader,
                writer,
                life,
                accepting,
            })),
            files: Semaphore::new(FILES),
        }
    }

    /// Asks something about files.
    pub(super) async fn ask_files(
        &self,
        request: &Request,
        question: Question,
    ) -> Result<Answer, CellError> {
        let _room = self.files.acquire().await.map_err(|_| CellError::Gone)?;
        self.ask(request, question, ANSWERING).await
    }

    /// Asks, and waits for the answer. A cell that does not answer in time is ended from outside.
    async fn ask(
        &self,
        request: &Request,
        question: Question,
        patience: Duration,
    ) -> Result<Answer, CellError> {
        let answer = self.shared.ask(request, question)?;
        match tokio::time::timeout(patience, answer).await {
            Ok(answer) => answer.map_err(|_| CellError::Gone),
            Err(_) => {
                self.close().await;
                Err(CellError::Gone)
            }
        }
    }
}

#[async_trait]
impl Cell for Remote {
    async fn spawn(&self, command: Command) -> Result<Process, CellError> {
        let program = command.argv.first().cloned().unwrap_or_default();
        let (sender, receiver) = mpsc::unbounded_channel();
        let (started, answer) = oneshot::channel();
        let most = command.output.head.saturating_add(command.output.tail);
        let room = Room::default();
        let incoming = Incoming::new(sender, started, room.clone());
        let id = self.shared.next();
        let mut frame = Vec::new();
        Request::Spawn(message(command)).put(&mut frame, id);
        if frame.len() > crate::wire::MAX_REQUEST {
            let reason = "arguments and variables are too long".into();
            return Err(CellError::Spawn { program, reason });
        }
        self.shared.enter(|state| {
            state.conversation.command(id, most);
            state.commands.insert(id, incoming);
        })?;
        self.shared.queue(frame)?;
        match tokio::time::timeout(ANSWERING, answer).await {
            Ok(Ok(Ok(()))) => Ok(Process {
                events: events(receiver, room, Arc::clone(&self.shared), id),
                control: Box::new(Control::new(Arc::clone(&self.shared), id)),
            }),
            Ok(Ok(Err(reason))) => Err(CellError::Spawn { program, reason }),
            Ok(Err(_)) => Err(CellError::Gone),
            Err(_) => {
                self.close().await;
                Err(CellError::Gone)
            }
        }
    }

    async fn kill_all(&self) -> Result<(), CellError> {
        self.ask(&Request::KillAll, Question::KillAll, KILLING)
            .await
            .map(drop)
    }

    fn files(&self) -> &dyn CellFiles {
        self
    }

    async fn stats(&self) -> Result<CellStats, CellError> {
        let answer = self.ask(&Request::Stats, Question::Stats, ANSWERING);
        let Answer::Stats(stats) = answer.await? else {
            return Err(CellError::Gone);
        };
        Ok(CellStats {
            commands: stats.commands,
            processes: stats.processes,
            memory: stats.memory,
            own_memory: stats.resident,
            cpu_ms: stats.cpu_ms,
            written: stats.written,
            uptime_ms: stats.uptime_ms,
        })
    }

    async fn close(&self) {
        let tasks = lock(&self.tasks).take();
        let Some(Tasks {
            reader,
            writer,
            life,
            mut accepting,
        }) = tasks
        else {
            return;
        };
        reader.abort();
        writer.abort();
        // Both halves of the stream must be gone: their end is what a direct cell acts on.
        let _ = reader.await;
        let _ = writer.await;
        accepting.shutdown().await;
        self.shared.end();
        if let Some(life) = life {
            life.end().await;
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(tasks) = lock(&self.tasks).take() {
            tasks.reader.abort();
            tasks.writer.abort();
            self.shared.end();
        }
    }
}

impl Shared {
    /// A number that no command or question has had. There are enough for a long life.
    fn next(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Queues a request.
    pub(super) fn send(&self, id: u32, request: &Request) -> Result<(), CellError> {
        let mut frame = Vec::new();
        request.put(&mut frame, id);
        self.queue(frame)
    }

    fn queue(&self, frame: Vec<u8>) -> Result<(), CellError> {
        self.frames.try_send(frame).map_err(|error| match error {
            mpsc::error::TrySendError::Closed(_) => CellError::Gone,
            mpsc::error::TrySendError::Full(_) => {
                CellError::Protocol("it does not listen".to_owned())
            }
        })
    }

    /// Queues input and says where its acknowledgement arrives. `turn` is given back with that.
    pub(super) fn input(
        &self,
        id: u32,
        bytes: Bytes,
        turn: OwnedSemaphorePermit,
    ) -> Result<oneshot::Receiver<bool>, CellError> {
        let (taken, answer) = oneshot::channel();
        let mut state = self.state();
        let state = &mut *state;
        let command = state.commands.get_mut(&id).ok_or(CellError::Gone)?;
        // Under the lock, so that acknowledgements arrive in the order of requests.
        self.send(id, &Request::Input(bytes))?;
        state.conversation.input(id);
        command.acknowledge(taken, turn);
        Ok(answer)
    }

    /// Whether a command has not ended.
    pub(super) fn is_live(&self, id: u32) -> bool {
        self.state().commands.contains_key(&id)
    }

    fn ask(
        &self,
        request: &Request,
        question: Question,
    ) -> Result<oneshot::Receiver<Answer>, CellError> {
        let id = self.next();
        let (sender, answer) = oneshot::channel();
        self.enter(|state| {
            state.conversation.question(id, question);
            state.questions.insert(id, sender);
        })?;
        self.send(id, request)?;
        Ok(answer)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn enter<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<(), CellError> {
        let mut state = self.state();
        if state.gone {
            return Err(CellError::Gone);
        }
        change(&mut state);
        Ok(())
    }

    /// The cell is gone: everyone who waits hears it.
    fn end(&self) {
        let mut state = self.state();
        state.gone = true;
        state.questions.clear();
        for (_, command) in state.commands.drain() {
            command.tell(ProcessEvent::Exited(ExitStatus::CellGone));
        }
    }

    /// Takes a frame in.
    fn hear(&self, frame: &Frame) -> Result<(), Breach> {
        let mut state = self.state();
        let state = &mut *state;
        match state.conversation.hear(frame)? {
            Heard::Command(id, said) => self.said(state, id, said)?,
            Heard::Answer(id, answer) => {
                if let Some(waiting) = state.questions.remove(&id) {
                    // Whoever asked may have given up waiting.
                    let _ = waiting.send(answer);
                }
            }
        }
        Ok(())
    }

    fn pause(&self, id: u32) {
        self.send_first(id, &Request::Pause);
    }

    /// A command's reader has caught up, or gone.
    pub(super) fn resume(&self, id: u32) {
        self.send_first(id, &Request::Resume);
    }

    fn send_first(&self, id: u32, request: &Request) {
        let mut frame = Vec::new();
        request.put(&mut frame, id);
        // A cell that is gone prints nothing.
        let _ = self.urgent.send(frame);
    }

    /// Passes on what the conversation has found to be in order.
    fn said(&self, state: &mut State, id: u32, said: Said) -> Result<(), Breach> {
        let Some(command) = state.commands.get_mut(&id) else {
            return Ok(());
        };
        match said {
            Said::Started => {
                if !command.started(Ok(())) {
                    // Whoever wanted it has gone away before it could be handed over.
                    let signal = libc::SIGKILL;
                    let _ = self.send(id, &Request::Signal(Signal { signal }));
                }
            }
            Said::NotStarted(error) => {
                command.started(Err(reason(error)));
                state.commands.remove(&id);
            }
            Said::Refused(reason) => {
                command.started(Err(reason));
                state.commands.remove(&id);
            }
            Said::Reached(reached) => {
                command.tell(ProcessEvent::Limited(super::limited::told(&reached)));
            }
            Said::Limited(limited) => command.tell(ProcessEvent::Limited(Limited {
                limit: limit(limited.limit),
                text: limited.text,
            })),
            Said::Output(bytes) => {
                if !command.room().take(bytes.len(), || self.pause(id)) {
                    return Err(Breach::Unread);
                }
                command.tell(ProcessEvent::Output(bytes));
            }
            Said::Dropped(bytes) => command.tell(ProcessEvent::Dropped(bytes)),
            Said::InputTaken(ok) => command.taken(ok),
            Said::Exited(exit) => {
                let status = match exit {
                    Exit::Code(code) => ExitStatus::Code(code),
                    Exit::Signal(signal) => ExitStatus::Signal(signal),
                };
                command.tell(ProcessEvent::Exited(status));
                state.commands.remove(&id);
            }
        }
        Ok(())
    }
}

/// Reads events until the stream ends or breaks the protocol; then the cell is gone.
async fn receive(mut stream: impl AsyncRead + Unpin, mut decoder: Decoder, shared: Arc<Shared>) {
    /// Room for the next read; frames of output are about half of it.
    const ROOM: usize = 256 << 10;
    'open: loop {
        loop {
            let frame = match decoder.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => break 'open,
            };
            if shared.hear(&frame).is_err() {
                break 'open;
            }
        }
        let buffer = decoder.buffer();
        if buffer.capacity() - buffer.len() < ROOM / 4 {
            buffer.reserve(ROOM);
        }
        match stream.read_buf(buffer).await {
            Ok(n) if n > 0 => {}
            _ => break,
        }
    }
    shared.end();
}

/// Writes queued frames whole. Ends with the queues or the stream.
async fn send(
    mut stream: impl AsyncWrite + Unpin,
    mut first: mpsc::UnboundedReceiver<Vec<u8>>,
    mut queue: mpsc::Receiver<Vec<u8>>,
) {
    loop {
        let frame = tokio::select! {
            biased;
            Some(frame) = first.recv() => frame,
            Some(frame) = queue.recv() => frame,
            else => return,
        };
        let written = stream.write_all(&frame).await;
        if written.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

fn message(command: Command) -> Spawn {
    let mut env = command.env;
    if command.tty.is_some() && !env.iter().any(|(key, _)| key == "TERM") {
        env.push(("TERM".into(), "xterm-256color".into()));
    }
    Spawn {
        argv: command.argv,
        cwd: command.cwd,
        env,
        tty: command.tty.map(|size| Resize {
            rows: size.rows,
            cols: size.cols,
        }),
        stdin: command.stdin,
        head: command.output.head,
        tail: command.output.tail,
    }
}

fn limit(name: LimitName) -> Limit {
    match name {
        LimitName::Memory => Limit::Memory,
        LimitName::Processes => Limit::Processes,
        LimitName::Disk => Limit::Disk,
        LimitName::Files => Limit::Files,
        LimitName::Output => Limit::Output,
        LimitName::Time => Limit::Time,
        LimitName::Network => Limit::Network,
    }
}

fn reason(error: SpawnError) -> String {
    let cause = std::io::Error::from_raw_os_error(error.errno);
    match (error.stage, error.errno) {
        (SpawnStage::Exec, libc::ENOENT) => "program not found".into(),
        (SpawnStage::Exec, libc::EACCES) => "program may not be run".into(),
        (SpawnStage::Cwd, libc::ENOENT) => "working directory missing".into(),
        (SpawnStage::Cwd, _) => format!("working directory cannot be entered: {cause}"),
        (SpawnStage::Request, libc::EINVAL) => "empty program, or a NUL byte in an argument".into(),
        (SpawnStage::Fork, libc::EAGAIN) => "too many processes in the cell".into(),
        (SpawnStage::Request | SpawnStage::Io | SpawnStage::Fork | SpawnStage::Exec, _) => {
            cause.to_string()
        }
    }
}

/// A panic while holding the lock leaves the maps usable: each change to them is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
