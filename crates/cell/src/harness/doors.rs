//! The outside of a cell's doors: listeners that belong to the cell's network are accepted on here,
//! and their connections given to the gateway.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use recto_protocol::ports::cell::Gateway;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use tokio::task::JoinSet;

use crate::spec::Doors;

/// More than any cell has.
const MOST: usize = 253;
/// How long to leave the doors alone when no descriptor is left for a connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Doors that the new cell is about to open.
pub(super) struct Doorway {
    socket: UnixStream,
    count: usize,
    gateway: Arc<dyn Gateway>,
}

impl Doorway {
    /// A way for listeners out of the cell; the second value goes to `cell-init`.
    pub(super) fn new(doors: &Doors) -> io::Result<(Self, OwnedFd)> {
        let (socket, inside) = UnixStream::pair()?;
        let doorway = Self {
            socket,
            count: doors.list.len(),
            gateway: Arc::clone(&doors.gateway),
        };
        Ok((doorway, inside.into()))
    }

    /// Takes the listeners, which were sent before the greeting, and begins to accept. Dropping the
    /// result ends that.
    pub(super) fn open(self) -> io::Result<JoinSet<()>> {
        let listeners = receive(&self.socket)?;
        if listeners.len() != self.count {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut accepting = JoinSet::new();
        for (door, listener) in listeners.into_iter().enumerate() {
            let listener = TcpListener::from(listener);
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            accepting.spawn(accept(door, listener, Arc::clone(&self.gateway)));
        }
        Ok(accepting)
    }
}

fn receive(socket: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut byte)],
        &mut ancillary,
        flags,
    )?;
    let mut received = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            received.extend(descriptors);
        }
    }
    Ok(received)
}

async fn accept(door: usize, listener: tokio::net::TcpListener, gateway: Arc<dyn Gateway>) {
    loop {
        let connection = match listener.accept().await {
            Ok((connection, _)) => connection.into_std(),
            // No descriptor or no memory left: what waits can wait.
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if let Ok(connection) = connection
            && connection.set_nonblocking(false).is_ok()
        {
            gateway.connection(door, connection.into());
        }
    }
}
