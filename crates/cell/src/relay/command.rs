//! One command of a client: its events go out, what the client asks of it comes in.

use bytes::Bytes;
use recto_protocol::ports::cell::{
    Cell, CellError, Command, ExitStatus, OutputCap, Process, ProcessControl, ProcessEvent,
};
use tokio::sync::{mpsc, oneshot, watch};

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

/// What has become of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Waits,
    /// Too much waits already.
    Full,
    /// The command has ended.
    Ended,
}

/// Where a client's requests for a command go. Input has a way of its own: a command that does not
/// read must still hear signals.
pub(super) struct Acts {
    input: mpsc::Sender<Option<Bytes>>,
    other: mpsc::Sender<Act>,
    paused: watch::Sender<bool>,
}

impl Acts {
    /// Input; None closes it.
    pub(super) fn input(&self, bytes: Option<Bytes>) -> Put {
        match self.input.try_send(bytes) {
            Ok(()) => Put::Waits,
            Err(mpsc::error::TrySendError::Full(_)) => Put::Full,
            Err(mpsc::error::TrySendError::Closed(_)) => Put::Ended,
        }
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
    todo: Todo,
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
    let Todo {
        mut input,
        mut other,
        mut paused,
    } = todo;
    let (over, ended) = oneshot::channel();
    let told = async {
        let exit = forward(events, &mut paused, id, out).await;
        drop(over);
        exit
    };
    let asked = perform(&*control, &mut input, &mut other, ended, id, out);
    let (exit, ()) = tokio::join!(told, asked);
    let Some(exit) = exit else {
        return Ended::Cell;
    };
    // After the answers to all input, as in the cell: what came in time is not told as lost.
    put(out, id, &Event::Exited(exit)).await;
    Ended::Client
}

/// Tells what the command says. Returns its end, or None for the cell's.
async fn forward(
    mut events: futures_core::stream::BoxStream<'static, ProcessEvent>,
    paused: &mut watch::Receiver<bool>,
    id: u32,
    out: &mpsc::Sender<Vec<u8>>,
) -> Option<Exit> {
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
                return match status {
                    ExitStatus::Code(code) => Some(Exit::Code(code)),
                    ExitStatus::Signal(signal) => Some(Exit::Signal(signal)),
                    ExitStatus::CellGone => None,
                };
            }
            None => return None,
        };
        // Also when nobody listens any more: the end must still be heard.
        put(out, id, &event).await;
    }
}

/// Does what is asked, until the command has ended: what was asked before a piece of input is done
/// before it, what is asked while it is being written does not wait for it.
async fn perform(
    control: &dyn ProcessControl,
    input: &mut mpsc::Receiver<Option<Bytes>>,
    other: &mut mpsc::Receiver<Act>,
    mut ended: oneshot::Receiver<()>,
    id: u32,
    out: &mpsc::Sender<Vec<u8>>,
) {
    loop {
        let bytes = tokio::select! {
            biased;
            Some(asked) = other.recv() => {
                act(control, asked).await;
                continue;
            }
            Some(bytes) = input.recv() => bytes,
            _ = &mut ended => break,
        };
        // These may have come while the other queue was looked at.
        while let Ok(asked) = other.try_recv() {
            act(control, asked).await;
        }
        let mut feeding = std::pin::pin!(feed(control, bytes, id, out));
        loop {
            tokio::select! {
                biased;
                () = &mut feeding => break,
                Some(asked) = other.recv() => act(control, asked).await,
            }
        }
    }
    // What comes from here on is answered by the connection.
    input.close();
    while let Ok(bytes) = input.try_recv() {
        if bytes.is_some() {
            put(out, id, &Event::InputTaken(InputTaken { ok: false })).await;
        }
    }
}

/// Writes one piece and says so. It ends with the command at the latest.
async fn feed(
    control: &dyn ProcessControl,
    bytes: Option<Bytes>,
    id: u32,
    out: &mpsc::Sender<Vec<u8>>,
) {
    let Some(bytes) = bytes else {
        // An empty write closes; a command that has ended needs no closing.
        let _ = control.write(Bytes::new()).await;
        return;
    };
    let ok = bytes.is_empty() || control.write(bytes).await.is_ok();
    put(out, id, &Event::InputTaken(InputTaken { ok })).await;
}

async fn act(control: &dyn ProcessControl, act: Act) {
    // A command that has ended needs neither.
    let _ = match act {
        Act::Resize(resize) => control.resize(words::size(resize)).await,
        Act::Signal(signal) => control.signal(signal).await,
    };
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
