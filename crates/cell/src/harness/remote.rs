//! A running cell: the port's implementation over the stream.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use recto_protocol::ports::cell::{
    Cell, CellError, CellStats, Command, ExitStatus, Limit, Limited, Process, ProcessEvent,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::process::{Control, Incoming, Room, events};
use super::undertaker::Init;
use crate::wire::{
    Decoder, Event, Exit, LimitName, Request, Resize, Signal, Spawn, SpawnError, SpawnStage,
    StatsReply,
};

/// The harness' handle to a cell.
pub(crate) struct Remote {
    shared: Arc<Shared>,
    tasks: Mutex<Option<Tasks>>,
}

struct Tasks {
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
    /// None for a cell that another process holds.
    init: Option<Init>,
    /// Accepts at the cell's doors; dropped, it stops.
    accepting: JoinSet<()>,
}

/// What the handle, the commands' controls and the reading task share.
pub(super) struct Shared {
    next: AtomicU32,
    frames: mpsc::UnboundedSender<Vec<u8>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    gone: bool,
    commands: HashMap<u32, Incoming>,
    killing: HashMap<u32, oneshot::Sender<()>>,
    asking: HashMap<u32, oneshot::Sender<StatsReply>>,
}

impl Remote {
    /// A cell that another process holds: closing it only ends the connection.
    pub(crate) fn held_elsewhere(stream: UnixStream, decoder: Decoder) -> Self {
        Self::new(stream, decoder, None, JoinSet::new())
    }

    pub(super) fn new(
        stream: UnixStream,
        decoder: Decoder,
        init: Option<Init>,
        accepting: JoinSet<()>,
    ) -> Self {
        let (frames, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            next: AtomicU32::new(1),
            frames,
            state: Mutex::default(),
        });
        let (read, write) = stream.into_split();
        let reader = tokio::spawn(receive(read, decoder, Arc::clone(&shared)));
        let writer = tokio::spawn(send(write, queue));
        Self {
            shared,
            tasks: Mutex::new(Some(Tasks {
                reader,
                writer,
                init,
                accepting,
            })),
        }
    }
}

#[async_trait]
impl Cell for Remote {
    async fn spawn(&self, command: Command) -> Result<Process, CellError> {
        let program = command.argv.first().cloned().unwrap_or_default();
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::unbounded_channel();
        let (started, answer) = oneshot::channel();
        let limit = command.output.head.saturating_add(command.output.tail);
        let room = Room::new();
        let incoming = Incoming::new(sender, started, limit, room.clone());
        let request = Request::Spawn(message(command));
        self.shared
            .enter(|state| state.commands.insert(id, incoming))?;
        self.shared.send(id, &request)?;
        match answer.await {
            Ok(Ok(())) => Ok(Process {
                events: events(receiver, room),
                control: Box::new(Control {
                    shared: Arc::clone(&self.shared),
                    id,
                }),
            }),
            Ok(Err(reason)) => Err(CellError::Spawn { program, reason }),
            Err(_) => Err(CellError::Gone),
        }
    }

    async fn kill_all(&self) -> Result<(), CellError> {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (done, answer) = oneshot::channel();
        self.shared.enter(|state| state.killing.insert(id, done))?;
        self.shared.send(id, &Request::KillAll)?;
        answer.await.map_err(|_| CellError::Gone)
    }

    async fn stats(&self) -> Result<CellStats, CellError> {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (done, answer) = oneshot::channel();
        self.shared.enter(|state| state.asking.insert(id, done))?;
        self.shared.send(id, &Request::Stats)?;
        let reply = answer.await.map_err(|_| CellError::Gone)?;
        Ok(CellStats {
            commands: reply.commands,
            own_memory: reply.resident,
            ..CellStats::default()
        })
    }

    async fn close(&self) {
        let tasks = lock(&self.tasks).take();
        let Some(Tasks {
            reader,
            writer,
            init,
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
        if let Some(init) = init {
            init.end().await;
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
    /// Queues a request.
    pub(super) fn send(&self, id: u32, request: &Request) -> Result<(), CellError> {
        let mut frame = Vec::new();
        request.put(&mut frame, id);
        self.frames.send(frame).map_err(|_| CellError::Gone)
    }

    /// Queues input and says where its acknowledgement arrives.
    pub(super) fn input(
        &self,
        id: u32,
        bytes: Bytes,
    ) -> Result<oneshot::Receiver<bool>, CellError> {
        let (taken, answer) = oneshot::channel();
        let mut state = self.state();
        let command = state.commands.get_mut(&id).ok_or(CellError::Gone)?;
        command.acknowledge(taken);
        // Under the lock, so that acknowledgements arrive in the order of requests.
        self.send(id, &Request::Input(bytes))?;
        Ok(answer)
    }

    /// Whether a command has not ended.
    pub(super) fn is_live(&self, id: u32) -> bool {
        self.state().commands.contains_key(&id)
    }

    /// Where a command's output waits for its reader.
    fn room(&self, id: u32) -> Option<Room> {
        Some(self.state().commands.get(&id)?.room().clone())
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
        state.killing.clear();
        state.asking.clear();
        for (_, command) in state.commands.drain() {
            command.tell(ProcessEvent::Exited(ExitStatus::CellGone));
        }
    }

    /// Takes an event in. An error is a breach of the protocol and ends the cell.
    fn event(&self, id: u32, event: Event) -> Result<(), String> {
        let mut state = self.state();
        if let Event::KilledAll(_) = event {
            let waiting = state
                .killing
                .remove(&id)
                .ok_or("an answer to no question")?;
            let _ = waiting.send(());
            return Ok(());
        }
        if let Event::Stats(reply) = event {
            let waiting = state.asking.remove(&id).ok_or("an answer to no question")?;
            let _ = waiting.send(reply);
            return Ok(());
        }
        let command = state
            .commands
            .get_mut(&id)
            .ok_or("an event of an unknown command")?;
        match event {
            Event::Started(_) => {
                if !command.started(Ok(()))? {
                    // Whoever wanted it has gone away before it could be handed over.
                    let kill = Request::Signal(Signal {
                        signal: libc::SIGKILL,
                    });
                    let _ = self.send(id, &kill);
                }
            }
            Event::SpawnError(error) => {
                command.started(Err(reason(error)))?;
                state.commands.remove(&id);
            }
            Event::Refused(refused) => {
                command.started(Err(refused.reason))?;
                state.commands.remove(&id);
            }
            Event::Reached(reached) => command.reached(&reached)?,
            Event::Limited(limited) => command.tell(ProcessEvent::Limited(Limited {
                limit: limit(limited.limit),
                text: limited.text,
            })),
            Event::Output(offset, bytes) => command.output(offset, bytes)?,
            Event::Dropped(dropped) => command.dropped(dropped.bytes)?,
            Event::InputTaken(taken) => command.taken(taken.ok)?,
            Event::Exited(exit) => {
                let status = match exit {
                    Exit::Code(code) => ExitStatus::Code(code),
                    Exit::Signal(signal) => ExitStatus::Signal(signal),
                };
                command.tell(ProcessEvent::Exited(status));
                state.commands.remove(&id);
            }
            Event::Hello(_)
            | Event::Launched(_)
            | Event::SetupError(_)
            | Event::KilledAll(_)
            | Event::Stats(_) => {
                return Err("a greeting after the greeting".into());
            }
        }
        Ok(())
    }
}

/// Reads events until the stream ends or breaks the protocol; then the cell is gone.
async fn receive(mut stream: OwnedReadHalf, mut decoder: Decoder, shared: Arc<Shared>) {
    /// Room for the next read; frames of output are about half of it.
    const ROOM: usize = 256 << 10;
    'open: loop {
        loop {
            match decoder.next() {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    let Ok(event) = Event::read(&frame) else {
                        break 'open;
                    };
                    if let (Event::Output(_, bytes), Some(room)) = (&event, shared.room(frame.id)) {
                        room.take(bytes.len()).await;
                    }
                    if shared.event(frame.id, event).is_err() {
                        break 'open;
                    }
                }
                Err(_) => break 'open,
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

/// Writes queued frames whole. Ends with the queue or the stream.
async fn send(mut stream: OwnedWriteHalf, mut queue: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(frame) = queue.recv().await {
        if stream.write_all(&frame).await.is_err() {
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
