//! PID 1's end of the stream: never blocks, and holds a bounded amount of what is to be sent.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::OFlags;

use crate::wire::{Decoder, Event, EventKind, HEADER, Request};

/// With this much unsent, no more output is taken from commands: they wait, the loop doesn't.
const ROOM: usize = 256 << 10;
/// How much output one frame carries at most.
pub(super) const CHUNK: usize = 128 << 10;
/// What one read from the stream takes at most.
const RECEIVE: usize = 64 << 10;

/// More than this unsent means that the harness asks without listening: files are sent whatever
/// the room.
const FULL: usize = 16 << 20;

/// Both directions of the harness' stream: one socket twice, or two pipes.
pub(super) struct Ends {
    pub(super) input: File,
    pub(super) output: File,
}

pub(super) struct Link {
    ends: Ends,
    decoder: Decoder,
    out: Vec<u8>,
    sent: usize,
}

impl Link {
    pub(super) fn new(ends: Ends, decoder: Decoder) -> Self {
        for end in [&ends.input, &ends.output] {
            // If this failed, a full stream would only make the loop wait for the harness.
            let _ = rustix::fs::fcntl_getfl(end)
                .and_then(|flags| rustix::fs::fcntl_setfl(end, flags | OFlags::NONBLOCK));
        }
        Self {
            ends,
            decoder,
            out: Vec::new(),
            sent: 0,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.unsent() < ROOM
    }

    pub(super) fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Whether the harness asks for more than it takes.
    pub(super) fn is_full(&self) -> bool {
        self.unsent() > FULL
    }

    /// The end to watch for room, while something is to be sent.
    pub(super) fn waiting(&self) -> Option<BorrowedFd<'_>> {
        (self.unsent() > 0).then(|| self.ends.output.as_fd())
    }

    /// Queues an event. Control events are small and answer something, so they always fit.
    pub(super) fn event(&mut self, id: u32, event: &Event) {
        event.put(&mut self.out, id);
    }

    /// Moves up to [`CHUNK`] bytes from a descriptor into an output frame. Returns how many.
    pub(super) fn output_from(
        &mut self,
        fd: BorrowedFd<'_>,
        id: u32,
        offset: u64,
        limit: u64,
    ) -> rustix::io::Result<usize> {
        let most = usize::try_from(limit).map_or(CHUNK, |limit| limit.min(CHUNK));
        let start = self.out.len();
        let body = start + HEADER + size_of::<u64>();
        // Zeroed only where the buffer grows for the first time in this round.
        self.out.resize(body + most, 0);
        let read = rustix::io::read(fd, &mut self.out[body..]);
        let n = *read.as_ref().unwrap_or(&0);
        self.out.truncate(if n == 0 { start } else { body + n });
        if n > 0 {
            let len = (size_of::<u64>() + n) as u32;
            let frame = &mut self.out[start..body];
            frame[..4].copy_from_slice(&len.to_le_bytes());
            frame[4] = EventKind::Output as u8;
            frame[5..9].copy_from_slice(&id.to_le_bytes());
            frame[HEADER..].copy_from_slice(&offset.to_le_bytes());
        }
        read
    }

    /// Sends what the socket takes. An error means that the harness is gone.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.unsent() > 0 {
            // Rust ignores SIGPIPE, so that a stream without a reader is an error here.
            match self.ends.output.write(&self.out[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.unsent() == 0 {
            self.out.clear();
            self.sent = 0;
            self.out.shrink_to(ROOM + CHUNK);
        } else if self.sent > ROOM {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        Ok(())
    }

    /// Reads what has arrived. False at the end of the stream.
    pub(super) fn receive(&mut self) -> bool {
        let buffer = self.decoder.buffer();
        let start = buffer.len();
        buffer.resize(start + RECEIVE, 0);
        let read = self.ends.input.read(&mut buffer[start..]);
        buffer.truncate(start + read.as_ref().unwrap_or(&0));
        match read {
            Ok(n) => n > 0,
            Err(error) => {
                matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                )
            }
        }
    }

    /// The next request that has arrived whole.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Request)>, crate::wire::Error> {
        match self.decoder.next()? {
            Some(frame) => Ok(Some((frame.id, Request::read(&frame)?))),
            None => Ok(None),
        }
    }
}

/// The end that requests come from.
impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ends.input.as_fd()
    }
}
