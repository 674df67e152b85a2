//! PID 1's end of the stream: never blocks, and holds a bounded amount of what is to be sent.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use crate::wire::{Decoder, Event, EventKind, HEADER, Request};

/// With this much unsent, no more output is taken from commands: they wait, the loop doesn't.
const ROOM: usize = 256 << 10;
/// How much output one frame carries at most.
pub(super) const CHUNK: usize = 128 << 10;
/// What one read from the stream takes at most.
const RECEIVE: usize = 64 << 10;

pub(super) struct Link {
    stream: UnixStream,
    decoder: Decoder,
    out: Vec<u8>,
    sent: usize,
}

impl Link {
    pub(super) fn new(stream: UnixStream, decoder: Decoder) -> Self {
        // If this failed, a full socket would only make the loop wait for the harness.
        let _ = stream.set_nonblocking(true);
        Self {
            stream,
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
            let rest = &self.out[self.sent..];
            // SAFETY: the pointer and the length describe `rest`.
            let n = unsafe {
                libc::send(
                    self.stream.as_raw_fd(),
                    rest.as_ptr().cast(),
                    rest.len(),
                    libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
                )
            };
            if n >= 0 {
                self.sent += n as usize;
                continue;
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::WouldBlock => break,
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
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
        let read = (&self.stream).read(&mut buffer[start..]);
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

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
