//! The side that holds a cell: one connection to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use recto_protocol::ports::cell::{Cell, CellError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::command::{self, Act, Acts, Put};
use crate::wire::files::{FileRefused, Why};
use crate::wire::{
    self, Decoder, Event, Frame, Hello, InputTaken, KilledAll, Refused, Request, StatsReply,
};

/// Frames that wait to be written; a client that is slower slows its commands.
const QUEUE: usize = 16;
/// Commands of one connection at the same time.
const MOST: usize = 256;
/// How long a command may take to end once its client has gone.
const GRACE: Duration = Duration::from_secs(2);
const SIGHUP: i32 = 1;
const SIGKILL: i32 = 9;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client went away, or broke the protocol.
    Client,
    /// The cell has ended.
    Cell,
}

/// What a connection was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// How it ended.
    pub ended: Ended,
    /// How many commands were started over it.
    pub commands: u64,
}

/// Serves a cell to one client until either has gone.
///
/// Commands whose client goes away get SIGHUP, and SIGKILL two seconds later; what they started in
/// sessions of their own lives on. Dropping the future leaves its commands running and unread.
pub async fn serve(cell: Arc<dyn Cell>, stream: UnixStream) -> Served {
    let (read, write) = stream.into_split();
    let (out, queue) = mpsc::channel(QUEUE);
    let mut connection = Connection {
        cell,
        read,
        decoder: Decoder::new(wire::MAX_REQUEST),
        out,
        running: HashMap::new(),
        commands: 0,
        tasks: JoinSet::new(),
        _writer: Writer(tokio::spawn(send(write, queue))),
    };
    let ended = if connection.greet().await {
        connection.listen().await
    } else {
        Ended::Client
    };
    let commands = connection.commands;
    if ended == Ended::Client {
        connection.hang_up().await;
    }
    Served { ended, commands }
}

/// The writing task; it ends with its connection.
struct Writer(JoinHandle<()>);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Connection {
    cell: Arc<dyn Cell>,
    read: OwnedReadHalf,
    decoder: Decoder,
    out: mpsc::Sender<Vec<u8>>,
    running: HashMap<u32, Acts>,
    commands: u64,
    /// One for each command or question; the result says which command has ended.
    tasks: JoinSet<(u32, Ended)>,
    _writer: Writer,
}

impl Connection {
    /// Whether the client speaks this version.
    async fn greet(&mut self) -> bool {
        let Some(Ok(Request::Hello(hello))) = self.frame().await.map(|frame| Request::read(&frame))
        else {
            return false;
        };
        let version = wire::VERSION;
        put(&self.out, 0, &Event::Hello(Hello { version })).await && hello.version == version
    }

    async fn listen(&mut self) -> Ended {
        loop {
            tokio::select! {
                frame = next(&mut self.read, &mut self.decoder) => {
                    let request = frame.map(|frame| (frame.id, Request::read(&frame)));
                    let Some((id, Ok(request))) = request else {
                        return Ended::Client;
                    };
                    if !self.perform(id, request).await {
                        return Ended::Client;
                    }
                }
                Some(done) = self.tasks.join_next() => match done {
                    Ok((id, Ended::Client)) => drop(self.running.remove(&id)),
                    Ok((_, Ended::Cell)) | Err(_) => return Ended::Cell,
                },
            }
        }
    }

    async fn frame(&mut self) -> Option<Frame> {
        next(&mut self.read, &mut self.decoder).await
    }

    /// Does what is asked. False when the client asks for what nobody may.
    async fn perform(&mut self, id: u32, request: Request) -> bool {
        let (cell, out) = (Arc::clone(&self.cell), self.out.clone());
        match request {
            Request::Spawn(_) if self.running.contains_key(&id) => return false,
            Request::Spawn(_) if self.running.len() >= MOST => {
                let reason = format!("more than {MOST} commands over one connection");
                return put(&out, id, &Event::Refused(Refused { reason })).await;
            }
            Request::Spawn(spawn) => {
                let (acts, todo) = command::acts();
                self.running.insert(id, acts);
                self.commands += 1;
                self.tasks
                    .spawn(async move { (id, command::run(&*cell, id, spawn, todo, &out).await) });
            }
            Request::Input(bytes) => {
                let acts = self.running.get(&id);
                match acts.map_or(Put::Ended, |acts| acts.input(Some(bytes))) {
                    Put::Waits => {}
                    Put::Full => return false,
                    // While this was under way.
                    Put::Ended => {
                        return put(&out, id, &Event::InputTaken(InputTaken { ok: false })).await;
                    }
                }
            }
            Request::CloseInput => {
                return self.ask(id, |acts| acts.input(None) != Put::Full);
            }
            Request::Resize(resize) => return self.ask(id, |acts| acts.put(Act::Resize(resize))),
            Request::Signal(m) => return self.ask(id, |acts| acts.put(Act::Signal(m.signal))),
            Request::Pause | Request::Resume => {
                if let Some(acts) = self.running.get(&id) {
                    acts.pause(matches!(request, Request::Pause));
                }
            }
            Request::KillAll => {
                self.tasks.spawn(async move {
                    let killed = cell.kill_all().await;
                    let event = killed.map(|()| Event::KilledAll(KilledAll { reaped: 0 }));
                    (id, answer(&out, id, event).await)
                });
            }
            Request::Stats => {
                self.tasks.spawn(async move {
                    let event = cell.stats().await.map(|stats| {
                        Event::Stats(StatsReply {
                            commands: stats.commands,
                            processes: stats.processes,
                            memory: stats.memory,
                            resident: stats.own_memory,
                            cpu_ms: stats.cpu_ms,
                            written: stats.written,
                            uptime_ms: stats.uptime_ms,
                        })
                    });
                    (id, answer(&out, id, event).await)
                });
            }
            Request::Stat(_)
            | Request::Read(_)
            | Request::Write(..)
            | Request::List(_)
            | Request::MakeDirectory(_)
            | Request::Remove(_)
            | Request::Rename(_) => {
                let refused = FileRefused {
                    why: Why::System,
                    errno: libc::EOPNOTSUPP,
                };
                return put(&out, id, &Event::FileRefused(refused)).await;
            }
            Request::Hello(_) | Request::Setup(_) | Request::Filter(_) => return false,
        }
        true
    }

    /// False when the client sends more than can wait.
    fn ask(&self, id: u32, ask: impl FnOnce(&Acts) -> bool) -> bool {
        self.running.get(&id).is_none_or(ask)
    }

    /// The client has gone: so must what it was running.
    async fn hang_up(mut self) {
        // From here on output is read and thrown away.
        drop(self._writer);
        for acts in self.running.values() {
            acts.pause(false);
        }
        for signal in [SIGHUP, SIGKILL] {
            for acts in self.running.values() {
                // Full only of what a client sent that was in no hurry to read answers.
                acts.put(Act::Signal(signal));
            }
            let end = async {
                while let Some(done) = self.tasks.join_next().await {
                    if let Ok((id, _)) = done {
                        self.running.remove(&id);
                    }
                }
            };
            if tokio::time::timeout(GRACE, end).await.is_ok() {
                return;
            }
        }
    }
}

async fn answer(out: &mpsc::Sender<Vec<u8>>, id: u32, event: Result<Event, CellError>) -> Ended {
    match event {
        Ok(event) => {
            put(out, id, &event).await;
            Ended::Client
        }
        Err(_) => Ended::Cell,
    }
}

/// Queues an event. False when the client has gone.
pub(super) async fn put(out: &mpsc::Sender<Vec<u8>>, id: u32, event: &Event) -> bool {
    let mut frame = Vec::new();
    event.put(&mut frame, id);
    out.send(frame).await.is_ok()
}

/// The next frame; None at the stream's end or where it breaks the protocol. Can be cancelled.
async fn next(read: &mut OwnedReadHalf, decoder: &mut Decoder) -> Option<Frame> {
    loop {
        match decoder.next() {
            Ok(Some(frame)) => return Some(frame),
            Ok(None) => {}
            Err(_) => return None,
        }
        let read = read.read_buf(decoder.buffer()).await;
        if !read.is_ok_and(|bytes| bytes > 0) {
            return None;
        }
    }
}

async fn send(mut stream: OwnedWriteHalf, mut queue: mpsc::Receiver<Vec<u8>>) {
    while let Some(frame) = queue.recv().await {
        if stream.write_all(&frame).await.is_err() {
            return;
        }
    }
}
