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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::remote::Shared;
use crate::wire::{Request, Resize, Signal};

/// Bytes of input per request; one is under way at a time.
const PIECE: usize = 64 << 10;

/// Output bytes of one command that wait to be read before the cell is not listened to any more.
/// More than the usual cap, so that a command nobody reads from holds nobody up; with a cap without
/// an end, a reader that is slower than the command slows the command, and nothing piles up.
const BACKLOG: usize = 16 << 20;

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

/// Where what arrives for a command goes. Its order and its size are the conversation's concern.
pub(super) struct Incoming {
    events: mpsc::UnboundedSender<ProcessEvent>,
    started: Option<oneshot::Sender<Result<(), String>>>,
    taken: VecDeque<(oneshot::Sender<bool>, OwnedSemaphorePermit)>,
    room: Room,
}

impl Incoming {
    pub(super) fn new(
        events: mpsc::UnboundedSender<ProcessEvent>,
        started: oneshot::Sender<Result<(), String>>,
        room: Room,
    ) -> Self {
        Self {
            room,
            events,
            started: Some(started),
            taken: VecDeque::new(),
        }
    }

    /// Where output waits for its reader.
    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    /// Answers the spawn. False when nobody waits for it any more.
    pub(super) fn started(&mut self, result: Result<(), String>) -> bool {
        let started = self.started.take();
        started.is_some_and(|started| started.send(result).is_ok())
    }

    pub(super) fn acknowledge(&mut self, taken: oneshot::Sender<bool>, turn: OwnedSemaphorePermit) {
        self.taken.push_back((taken, turn));
    }

    pub(super) fn taken(&mut self, ok: bool) {
        if let Some((waiting, _turn)) = self.taken.pop_front() {
            // The writer may have given up waiting; the next one's turn comes all the same.
            let _ = waiting.send(ok);
        }
    }

    /// Passes an event on; a reader that has gone away misses nothing it wants.
    pub(super) fn tell(&self, event: ProcessEvent) {
        let _ = self.events.send(event);
    }
}

/// Acts on a command.
pub(super) struct Control {
    shared: Arc<Shared>,
    id: u32,
    /// One piece of input is under way at a time, also when its writer has given up: the command's
    /// pace is the writer's, and the cell holds one piece.
    turn: Arc<Semaphore>,
}

impl Control {
    pub(super) fn new(shared: Arc<Shared>, id: u32) -> Self {
        let turn = Arc::new(Semaphore::new(1));
        Self { shared, id, turn }
    }

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
            let turn = Arc::clone(&self.turn).acquire_owned().await;
            let turn = turn.map_err(|_| CellError::Gone)?;
            let taken = self.shared.input(self.id, piece, turn)?;
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
