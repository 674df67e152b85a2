//! What the harness tells its sweeper, over a socket that keeps messages apart.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::MemfdFlags;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};

use crate::aftermath::Aftermath;

/// A longer order comes in a file: a message is held by the kernel whole, or refused.
const INLINE: usize = 32 << 10;

/// What the harness tells its sweeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SweepOrder {
    /// These stubs are a cell's; the descriptor that comes along tells when it is gone.
    Watch {
        id: u64,
        paths: Vec<PathBuf>,
        aftermath: Vec<Aftermath>,
        cgroups: Vec<PathBuf>,
    },
    /// They are gone.
    Forget { id: u64 },
}

impl SweepOrder {
    /// Sends an order, with a descriptor if it needs one. Waits as long as the socket does.
    ///
    /// # Errors
    /// The system's reason; then nothing was sent.
    pub(crate) fn send(&self, socket: &OwnedFd, fd: Option<&OwnedFd>) -> io::Result<()> {
        let mut message = serde_json::to_vec(&Some(self))?;
        let mut file = None;
        if message.len() > INLINE {
            file = Some(in_file(&message)?);
            message = serde_json::to_vec(&None::<Self>)?;
        }
        let fds: Vec<BorrowedFd<'_>> = fd
            .into_iter()
            .map(AsFd::as_fd)
            .chain(file.as_ref().map(AsFd::as_fd))
            .collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        }
        let message = [IoSlice::new(&message)];
        rustix::net::sendmsg(socket, &message, &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next order and its descriptor; None at the end of the stream.
    pub(crate) fn receive(socket: BorrowedFd<'_>) -> Option<(Self, Option<OwnedFd>)> {
        let mut bytes = vec![0; 2 * INLINE];
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let received = rustix::net::recvmsg(
                socket,
                &mut [IoSliceMut::new(&mut bytes)],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            );
            let message = match received {
                Ok(message) if message.bytes > 0 => message,
                Err(rustix::io::Errno::INTR) => continue,
                _ => return None,
            };
            let mut fds: Vec<OwnedFd> = ancillary
                .drain()
                .filter_map(|message| match message {
                    RecvAncillaryMessage::ScmRights(fds) => Some(fds),
                    _ => None,
                })
                .flatten()
                .collect();
            let order = match serde_json::from_slice(&bytes[..message.bytes]) {
                Ok(Some(order)) => Some(order),
                Ok(None) => fds.pop().and_then(|file| from_file(file).ok()),
                Err(_) => None,
            };
            if let Some(order) = order {
                return Some((order, fds.pop()));
            }
        }
    }
}

fn in_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create("recto-order", MemfdFlags::CLOEXEC)?;
    let mut file = File::from(file);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

fn from_file(file: OwnedFd) -> io::Result<SweepOrder> {
    let mut bytes = Vec::new();
    File::from(file).read_to_end(&mut bytes)?;
    let order: Option<SweepOrder> = serde_json::from_slice(&bytes)?;
    order.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::net::sockopt::{Timeout, set_socket_timeout};
    use rustix::net::{AddressFamily, SocketFlags, SocketType};

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap()
    }

    /// About so many bytes.
    fn order(size: usize) -> SweepOrder {
        SweepOrder::Watch {
            id: 1,
            paths: vec!["/tree/.recto".into(); size / 14],
            aftermath: vec![Aftermath::default()],
            cgroups: Vec::new(),
        }
    }

    #[test]
    fn orders_of_any_size_arrive_with_their_descriptor() {
        for size in [100, INLINE - 200, INLINE + 200, 8 << 20] {
            let (ours, theirs) = pair();
            let (alive, living) = io::pipe().unwrap();
            let living = OwnedFd::from(living);
            order(size).send(&ours, Some(&living)).unwrap();
            SweepOrder::Forget { id: 1 }.send(&ours, None).unwrap();
            drop((living, ours));
            let (got, fd) = SweepOrder::receive(theirs.as_fd()).unwrap();
            assert!(got == order(size), "{size}");
            // It is the pipe's: the reader has an end once it is gone.
            File::from(fd.unwrap()).write_all(b"x").unwrap();
            assert_eq!(io::read_to_string(alive).unwrap(), "x");
            let next = SweepOrder::receive(theirs.as_fd()).unwrap();
            assert!(matches!(next, (SweepOrder::Forget { id: 1 }, None)));
            assert!(SweepOrder::receive(theirs.as_fd()).is_none());
        }
    }

    #[test]
    fn a_sweeper_that_does_not_listen_is_an_error() {
        let (ours, _theirs) = pair();
        set_socket_timeout(&ours, Timeout::Send, Some(Duration::from_millis(10))).unwrap();
        let failed = (0..1000).find_map(|_| order(INLINE / 2).send(&ours, None).err());
        assert_eq!(failed.unwrap().kind(), io::ErrorKind::WouldBlock);
    }
}
