//! One command as the harness sees it: what arrives for it, and how it is acted on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use futures_core::stream::BoxStream;
use recto_protocol::ports::cell::{CellError, ProcessControl, ProcessEvent, TtySize};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::remote::Shared;
use crate::wire::{self, Request, Resize, Signal};

/// Bytes of input per request; one is under way at a time.
const PIECE: usize = 64 << 10;

/// Output bytes of one command that wait to be read before the cell is not listened to any more.
/// More than the usual cap, so that a command nobody reads from holds nobody up; with a cap without
/// an end, a reader that is slower than the command slows the command, and nothing piles up.
const BACKLOG: usize = 16 << 20;

/// How often a command is told of limits; a cell that tells more is broken.
const MAX_LIMITED: u32 = 64;

/// Room for output that waits to be read.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Semaphore>);

impl Room {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(BACKLOG)))
    }

    /// Waits until there is room, or nobody reads any more.
    pub(super) async fn take(&self, bytes: usize) {
        if let Ok(permit) = self.0.acquire_many(permits(bytes)).await {
            // Given back when the output is read.
            permit.forget();
        }
    }

    fn give_back(&self, bytes: usize) {
        self.0.add_permits(permits(bytes) as usize);
    }
}

/// A single piece that is larger than the whole room takes all of it.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes.min(BACKLOG)).unwrap_or(u32::MAX)
}

/// What arrives for a command. The output cap is held here too: the cell's side is not trusted.
pub(super) struct Incoming {
    events: mpsc::UnboundedSender<ProcessEvent>,
    started: Option<oneshot::Sender<Result<(), String>>>,
    taken: VecDeque<oneshot::Sender<bool>>,
    /// Output bytes that may still come: they wait in memory until they are read.
    left: u64,
    /// Where the next output must begin.
    offset: u64,
    /// How often it was told of a limit.
    limited: u32,
    room: Room,
}

impl Incoming {
    pub(super) fn new(
        events: mpsc::UnboundedSender<ProcessEvent>,
        started: oneshot::Sender<Result<(), String>>,
        limit: u64,
        room: Room,
    ) -> Self {
        Self {
            room,
            events,
            started: Some(started),
            taken: VecDeque::new(),
            left: limit,
            offset: 0,
            limited: 0,
        }
    }

    /// Where output waits for its reader.
    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    /// Answers the spawn. False when nobody waits for it any more.
    pub(super) fn started(&mut self, result: Result<(), String>) -> Result<bool, String> {
        let started = self.started.take().ok_or("a second start")?;
        Ok(started.send(result).is_ok())
    }

    pub(super) fn output(&mut self, offset: u64, bytes: Bytes) -> Result<(), String> {
        let len = bytes.len() as u64;
        if self.started.is_some() || offset != self.offset || len > self.left || len == 0 {
            return Err("output out of order or beyond its cap".into());
        }
        self.offset += len;
        self.left -= len;
        self.tell(ProcessEvent::Output(bytes));
        Ok(())
    }

    pub(super) fn dropped(&mut self, bytes: u64) -> Result<(), String> {
        self.offset = self
            .offset
            .checked_add(bytes)
            .ok_or("an impossible offset")?;
        self.tell(ProcessEvent::Dropped(bytes));
        Ok(())
    }

    /// Passes on that a limit was reached; what is said of it is the harness' own words.
    pub(super) fn reached(&mut self, reached: &wire::Reached) -> Result<(), String> {
        self.limited += 1;
        if self.limited > MAX_LIMITED {
            return Err("too many limits reached".into());
        }
        self.tell(ProcessEvent::Limited(super::limited::told(reached)));
        Ok(())
    }

    pub(super) fn acknowledge(&mut self, taken: oneshot::Sender<bool>) {
        self.taken.push_back(taken);
    }

    pub(super) fn taken(&mut self, ok: bool) -> Result<(), String> {
        let waiting = self.taken.pop_front().ok_or("an answer to no input")?;
        // The writer may have given up waiting.
        let _ = waiting.send(ok);
        Ok(())
    }

    /// Passes an event on; a reader that has gone away misses nothing it wants.
    pub(super) fn tell(&self, event: ProcessEvent) {
        let _ = self.events.send(event);
    }
}

/// Acts on a command.
pub(super) struct Control {
    pub(super) shared: Arc<Shared>,
    pub(super) id: u32,
}

impl Control {
    fn act(&self, request: &Request) -> Result<(), CellError> {
        if !self.shared.is_live(self.id) {
            return Err(CellError::Gone);
        }
        self.shared.send(self.id, request)
    }
}

#[async_trait]
impl ProcessControl for Control {
    async fn write(&self, mut bytes: Bytes) -> Result<(), CellError> {
        if bytes.is_empty() {
            return self.act(&Request::CloseInput);
        }
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE));
            let taken = self.shared.input(self.id, piece)?;
            if !taken.await.unwrap_or(false) {
                return Err(CellError::Gone);
            }
        }
        Ok(())
    }

    async fn resize(&self, size: TtySize) -> Result<(), CellError> {
        self.act(&Request::Resize(Resize {
            rows: size.rows,
            cols: size.cols,
        }))
    }

    async fn signal(&self, signal: i32) -> Result<(), CellError> {
        self.act(&Request::Signal(Signal { signal }))
    }
}

/// The receiving end as a stream.
pub(super) fn events(
    receiver: mpsc::UnboundedReceiver<ProcessEvent>,
    room: Room,
) -> BoxStream<'static, ProcessEvent> {
    Box::pin(Events { receiver, room })
}

struct Events {
    receiver: mpsc::UnboundedReceiver<ProcessEvent>,
    room: Room,
}

impl Stream for Events {
    type Item = ProcessEvent;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<ProcessEvent>> {
        let event = self.receiver.poll_recv(context);
        if let Poll::Ready(Some(ProcessEvent::Output(bytes))) = &event {
            self.room.give_back(bytes.len());
        }
        event
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // Nobody reads any more: output is thrown away, and the cell is listened to as before.
        self.room.0.close();
    }
}
