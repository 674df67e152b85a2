//! Listeners on the cell's loopback that are answered outside: opened here, in the cell's network
//! namespace, and handed to the harness, which accepts on them. A socket belongs to the namespace it
//! was made in, so nothing has to carry bytes across.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use super::{Failed, Step};
use crate::spec::MOST_DOORS;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// Opens the doors and hands them out through descriptor 2, which becomes the null device again.
pub(super) fn open(doors: &[SocketAddrV4]) -> Result<(), Failed> {
    if doors.is_empty() {
        return Ok(());
    }
    if doors.len() > MOST_DOORS {
        return Err(rustix::io::Errno::TOOBIG).step("open so many doors");
    }
    let listeners = doors
        .iter()
        .map(|door| listen(door).step(&format!("open a door at {door}")))
        .collect::<Result<Vec<_>, _>>()?;
    hand_out(&listeners).step("hand out the doors")
}

fn listen(at: &SocketAddrV4) -> rustix::io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::bind(&socket, at)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn hand_out(listeners: &[OwnedFd]) -> rustix::io::Result<()> {
    let borrowed: Vec<BorrowedFd<'_>> = listeners.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DOORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(rustix::io::Errno::TOOBIG);
    }
    // SAFETY: descriptor 2 is the socket that the harness passed for the doors, and stays open until
    // it is replaced below.
    let harness = unsafe { BorrowedFd::borrow_raw(2) };
    rustix::net::sendmsg(
        harness,
        &[IoSlice::new(&[0])],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    // SAFETY: both descriptors are open; dup2 replaces descriptor 2, which nobody owns.
    match unsafe { libc::dup2(0, 2) } {
        2 => Ok(()),
        _ => Err(rustix::io::Errno::IO),
    }
}
