//! One command as the harness sees it: what arrives for it, and how it is acted on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// Output bytes of one command that wait to be read before it is paused. More than the usual cap, so
/// that a command nobody reads from runs to its end; with a cap without an end, a reader that is
/// slower than the command slows the command.
const HIGH: usize = 16 << 20;
/// It goes on when so few are left.
const LOW: usize = 8 << 20;
/// With so many, the cell has not paused it: what is under way when it is asked to is a hundredth.
const MOST: usize = 64 << 20;

/// Output that waits to be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Arc<Mutex<Level>>);

#[derive(Debug, Default)]
struct Level {
    unread: usize,
    paused: bool,
    /// Nobody reads any more: what comes is thrown away.
    abandoned: bool,
}

impl Room {
    /// Notes output that has come; `pause` is called when that is enough. False when far too much
    /// has.
    pub(super) fn take(&self, bytes: usize, pause: impl FnOnce()) -> bool {
        let mut level = self.level();
        if level.abandoned {
            return true;
        }
        level.unread = level.unread.saturating_add(bytes);
        if level.unread >= HIGH && !level.paused {
            level.paused = true;
            // With the lock, so that pausing and going on are told in their order.
            pause();
        }
        level.unread <= MOST
    }

    fn give_back(&self, bytes: usize, resume: impl FnOnce()) {
        let mut level = self.level();
        level.unread = level.unread.saturating_sub(bytes);
        if level.unread <= LOW && level.paused {
            level.paused = false;
            resume();
        }
    }

    fn abandon(&self, resume: impl FnOnce()) {
        self.level().abandoned = true;
        self.give_back(usize::MAX, resume);
    }

    fn level(&self) -> MutexGuard<'_, Level> {
        // Numbers only: a panic elsewhere leaves them usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    shared: Arc<Shared>,
    id: u32,
) -> BoxStream<'static, ProcessEvent> {
    Box::pin(Events {
        receiver,
        room,
        shared,
        id,
    })
}

struct Events {
    receiver: mpsc::UnboundedReceiver<ProcessEvent>,
    room: Room,
    shared: Arc<Shared>,
    id: u32,
}

impl Stream for Events {
    type Item = ProcessEvent;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<ProcessEvent>> {
        let event = self.receiver.poll_recv(context);
        if let Poll::Ready(Some(ProcessEvent::Output(bytes))) = &event {
            let (shared, id) = (&self.shared, self.id);
            self.room.give_back(bytes.len(), || shared.resume(id));
        }
        event
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.room.abandon(|| self.shared.resume(self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_room_pauses_once_and_an_emptied_one_resumes() {
        let room = Room::default();
        let mut told = Vec::new();
        assert!(room.take(HIGH - 1, || told.push("pause")));
        assert!(told.is_empty());
        for _ in 0..3 {
            assert!(room.take(1, || told.push("pause")));
        }
        assert_eq!(told, ["pause"]);
        room.give_back(1, || told.push("resume"));
        assert_eq!(told, ["pause"], "it is still over the low mark");
        for _ in 0..2 {
            room.give_back(HIGH - LOW + 1, || told.push("resume"));
        }
        assert_eq!(told, ["pause", "resume"]);
    }

    #[test]
    fn a_cell_that_does_not_pause_is_found_out() {
        let room = Room::default();
        assert!(room.take(MOST, || ()));
        assert!(!room.take(1, || ()));
    }

    #[test]
    fn without_a_reader_nothing_is_too_much() {
        let room = Room::default();
        assert!(room.take(MOST, || ()));
        let mut resumed = false;
        room.abandon(|| resumed = true);
        assert!(resumed && room.take(MOST + 1, || ()));
    }
}
