//! The cell protocol, version 1: frames on one byte stream. `docs/cell.md` describes it.

pub(crate) mod files;
mod frame;
mod message;
mod orders;
mod setup;

pub(crate) use frame::{Decoder, Frame, HEADER, MAX_EVENT, MAX_REQUEST, payload_length, put_frame};
pub(crate) use message::{
    Act, Dropped, Event, EventKind, Exit, Hello, InputTaken, KilledAll, Launched, LimitKind,
    LimitName, Limited, Reached, Refused, Request, Resize, SetupError, Signal, Spawn, SpawnError,
    SpawnStage, Started, StatsReply,
};
pub(crate) use orders::SweepOrder;
pub(crate) use setup::{Cgroup, IdMap, Isolation, Limits, Mount, MountKind, Runtime, Setup, Upper};

/// The protocol's version, exchanged in the first frame of each side.
pub const VERSION: u32 = 1;

/// What a peer did that the protocol does not allow. It ends the cell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A frame announced more bytes than its receiver accepts.
    #[error("frame of {len} bytes, at most {max} are allowed")]
    TooLong {
        /// The announced length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A frame's type is not one that this side receives.
    #[error("unknown frame type {0:#04x}")]
    UnknownType(u8),
    /// A frame's payload does not have its type's shape.
    #[error("malformed payload in a frame of type {0:#04x}")]
    Malformed(u8),
}
