//! One command of a client: its events go out, what the client asks of it comes in.

use bytes::Bytes;
use recto_protocol::ports::cell::{
    Cell, CellError, Command, ExitStatus, OutputCap, Process, ProcessControl, ProcessEvent,
};
use tokio::sync::{mpsc, watch};

use super::serve::{Ended, put};
use super::words;
use crate::wire::{Dropped, Event, Exit, InputTaken, Limited, Refused, Resize, Spawn, Started};

/// Requests for one command that may wait; a client sends one piece of input at a time.
const WAITING: usize = 16;

/// What a client asks of a command, besides input.
#[derive(Debug)]
pub(super) enum Act {
    Resize(Resize),
    Signal(i32),
}

/// Where a client's requests for a command go. Input has a way of its own: a command that does not
/// read must still hear signals.
pub(super) struct Acts {
    input: mpsc::Sender<Option<Bytes>>,
    other: mpsc::Sender<Act>,
    paused: watch::Sender<bool>,
}

impl Acts {
    /// Input; None closes it. False when too much waits already.
    pub(super) fn input(&self, bytes: Option<Bytes>) -> bool {
        !is_full(self.input.try_send(bytes))
    }

    /// Stops telling of the command, or goes on.
    pub(super) fn pause(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    /// False when too much waits already.
    pub(super) fn put(&self, act: Act) -> bool {
        !is_full(self.other.try_send(act))
    }
}

/// A command that has ended needs nothing any more.
fn is_full<T>(sent: Result<(), mpsc::error::TrySendError<T>>) -> bool {
    matches!(sent, Err(mpsc::error::TrySendError::Full(_)))
}

/// The receiving ends of [`Acts`].
pub(super) struct Todo {
    input: mpsc::Receiver<Option<Bytes>>,
    other: mpsc::Receiver<Act>,
    paused: watch::Receiver<bool>,
}

pub(super) fn acts() -> (Acts, Todo) {
    let (input, inputs) = mpsc::channel(WAITING);
    let (other, others) = mpsc::channel(WAITING);
    let (paused, pauses) = watch::channel(false);
    let todo = Todo {
        input: inputs,
        other: others,
        paused: pauses,
    };
    let acts = Acts {
        input,
        other,
        paused,
    };
    (acts, todo)
}

/// Starts a command and follows it to its end, also when its client has gone.
pub(super) async fn run(
    cell: &dyn Cell,
    id: u32,
    spawn: Spawn,
    mut todo: Todo,
    out: &mpsc::Sender<Vec<u8>>,
) -> Ended {
    let process = match cell.spawn(command(spawn)).await {
        Ok(process) => process,
        Err(CellError::Gone) => return Ended::Cell,
        Err(error) => {
            let reason = words::refusal(error);
            put(out, id, &Event::Refused(Refused { reason })).await;
            return Ended::Client;
        }
    };
    // Its number inside is not told by the port; no client asks for it.
    put(out, id, &Event::Started(Started { pid: 0 })).await;
    let Process { events, control } = process;
    let input = feed(&*control, &mut todo.input, id, out);
    let others = act(&*control, &mut todo.other);
    let asked = async {
        tokio::join!(input, others);
        std::future::pending::<Ended>().await
    };
    tokio::select! {
        ended = forward(events, &mut todo.paused, id, out) => ended,
        never = asked => never,
    }
}

async fn forward(
    mut events: futures_core::stream::BoxStream<'static, ProcessEvent>,
    paused: &mut watch::Receiver<bool>,
    id: u32,
    out: &mpsc::Sender<Vec<u8>>,
) -> Ended {
    let mut offset = 0;
    loop {
        // A connection that has gone pauses nothing.
        let _ = paused.wait_for(|paused| !paused).await;
        let event = std::future::poll_fn(|context| events.as_mut().poll_next(context)).await;
        let event = match event {
            Some(ProcessEvent::Output(bytes)) => {
                let at = offset;
                offset += bytes.len() as u64;
                Event::Output(at, bytes)
            }
            Some(ProcessEvent::Dropped(bytes)) => {
                offset += bytes;
                Event::Dropped(Dropped { bytes })
            }
            Some(ProcessEvent::Limited(limited)) => Event::Limited(Limited {
                limit: words::limit(limited.limit),
                text: limited.text,
            }),
            Some(ProcessEvent::Exited(status)) => {
                let exit = match status {
                    ExitStatus::Code(code) => Exit::Code(code),
                    ExitStatus::Signal(signal) => Exit::Signal(signal),
                    ExitStatus::CellGone => return Ended::Cell,
                };
                put(out, id, &Event::Exited(exit)).await;
                return Ended::Client;
            }
            None => return Ended::Cell,
        };
        // Also when nobody listens any more: the end must still be heard.
        put(out, id, &event).await;
    }
}

async fn feed(
    control: &dyn ProcessControl,
    input: &mut mpsc::Receiver<Option<Bytes>>,
    id: u32,
    out: &mpsc::Sender<Vec<u8>>,
) {
    while let Some(bytes) = input.recv().await {
        let Some(bytes) = bytes else {
            // An empty write closes; a command that has ended needs no closing.
            let _ = control.write(Bytes::new()).await;
            continue;
        };
        let ok = bytes.is_empty() || control.write(bytes).await.is_ok();
        put(out, id, &Event::InputTaken(InputTaken { ok })).await;
    }
}

async fn act(control: &dyn ProcessControl, other: &mut mpsc::Receiver<Act>) {
    while let Some(act) = other.recv().await {
        // One that has ended needs neither.
        let _ = match act {
            Act::Resize(resize) => control.resize(words::size(resize)).await,
            Act::Signal(signal) => control.signal(signal).await,
        };
    }
}

fn command(spawn: Spawn) -> Command {
    Command {
        argv: spawn.argv,
        cwd: spawn.cwd,
        env: spawn.env,
        tty: spawn.tty.map(words::size),
        stdin: spawn.stdin,
        output: OutputCap {
            head: spawn.head,
            tail: spawn.tail,
        },
    }
}
