//! The messages that frames carry, and their codes. The number space 0x20–0x2f is kept for files.

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Error, Frame, Setup, put_frame};

/// Codes of what the harness sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RequestKind {
    Hello = 0x01,
    Setup = 0x02,
    Filter = 0x03,
    Spawn = 0x10,
    Input = 0x11,
    CloseInput = 0x12,
    Resize = 0x13,
    Signal = 0x14,
    KillAll = 0x15,
    Stats = 0x16,
}

/// Codes of what a cell sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum EventKind {
    Hello = 0x81,
    Launched = 0x82,
    SetupError = 0x83,
    Started = 0x90,
    SpawnError = 0x91,
    Output = 0x92,
    Dropped = 0x93,
    Exited = 0x94,
    InputTaken = 0x95,
    KilledAll = 0x96,
    Stats = 0x97,
    Reached = 0x98,
    Refused = 0x9e,
    Limited = 0x9f,
}

/// What the harness asks of a cell. The id is in the frame.
#[derive(Debug)]
pub(crate) enum Request {
    Hello(Hello),
    Setup(Box<Setup>),
    /// A compiled seccomp program, raw.
    Filter(Bytes),
    Spawn(Spawn),
    Input(Bytes),
    CloseInput,
    Resize(Resize),
    Signal(Signal),
    KillAll,
    Stats,
}

/// What a cell says. The id is in the frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Hello(Hello),
    Launched(Launched),
    SetupError(SetupError),
    Started(Started),
    SpawnError(SpawnError),
    /// The offset of the first byte in the command's whole output, and the bytes.
    Output(u64, Bytes),
    Dropped(Dropped),
    Exited(Exit),
    InputTaken(InputTaken),
    KilledAll(KilledAll),
    Stats(StatsReply),
    Reached(Reached),
    /// Only from a relay: why a command was not started, in words.
    Refused(Refused),
    /// Only from a relay: a limit that was reached, in words.
    Limited(Limited),
}

/// The version a side speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) version: u32,
}

/// The process id of the cell's PID 1 as the harness sees it; said by the launcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Launched {
    pub(crate) pid: i32,
}

/// A step of the set-up failed; the cell is not made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetupError {
    pub(crate) step: String,
    pub(crate) errno: i32,
}

/// A command to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spawn {
    pub(crate) argv: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cwd: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) env: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tty: Option<Resize>,
    #[serde(default)]
    pub(crate) stdin: bool,
    pub(crate) head: u64,
    pub(crate) tail: u64,
}

/// The process id inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) pid: i32,
}

/// Where starting a command failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SpawnStage {
    /// The request itself: no program, a NUL byte, an id in use.
    Request,
    /// Making pipes or a terminal.
    Io,
    /// Making the process.
    Fork,
    /// Entering the working directory.
    Cwd,
    /// Running the program.
    Exec,
}

/// A command could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SpawnError {
    pub(crate) stage: SpawnStage,
    pub(crate) errno: i32,
}

/// A command could not be started, told by a relay, which only knows the words for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) reason: String,
}

/// A limit was reached, told by a relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limited {
    pub(crate) limit: LimitName,
    pub(crate) text: String,
}

/// The limits of [`recto_protocol::ports::cell::Limit`], as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LimitName {
    Memory,
    Processes,
    Disk,
    Files,
    Output,
    Time,
}

/// This many bytes of output were dropped here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dropped {
    pub(crate) bytes: u64,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Exit {
    Code(i32),
    Signal(i32),
}

/// One [`Request::Input`] was written, or its reader is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InputTaken {
    pub(crate) ok: bool,
}

/// Everything in the cell is dead; the number of processes that were reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KilledAll {
    pub(crate) reaped: u32,
}

/// What PID 1 knows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatsReply {
    /// Commands not yet ended.
    pub(crate) commands: u32,
    /// Resident memory of PID 1, in bytes.
    pub(crate) resident: u64,
}

/// A limit was reached, and something was done about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reached {
    pub(crate) limit: LimitKind,
    /// The limit's size: bytes, a number, or milliseconds.
    pub(crate) size: u64,
    pub(crate) act: Act,
}

/// What can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LimitKind {
    Memory,
    Processes,
    Disk,
    /// The room that must stay free on disk.
    DiskFree,
    Files,
    Output,
    CommandTime,
    CellTime,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Act {
    /// One process was killed; the name is what it calls itself.
    Killed { pid: i32, name: String },
    /// So many processes of one command were killed.
    KilledAll { processes: u32 },
    /// More was refused.
    Refused,
}

/// A terminal's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Resize {
    pub(crate) rows: u16,
    pub(crate) cols: u16,
}

/// A signal for a command's process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signal {
    pub(crate) signal: i32,
}

impl Request {
    /// Appends the request as a frame.
    pub(crate) fn put(&self, out: &mut Vec<u8>, id: u32) {
        use RequestKind as K;
        match self {
            Self::Hello(m) => put_json(out, K::Hello as u8, id, m),
            Self::Setup(m) => put_json(out, K::Setup as u8, id, m),
            Self::Filter(bytes) => put_frame(out, K::Filter as u8, id, bytes),
            Self::Spawn(m) => put_json(out, K::Spawn as u8, id, m),
            Self::Input(bytes) => put_frame(out, K::Input as u8, id, bytes),
            Self::CloseInput => put_frame(out, K::CloseInput as u8, id, &[]),
            Self::Resize(m) => put_json(out, K::Resize as u8, id, m),
            Self::Signal(m) => put_json(out, K::Signal as u8, id, m),
            Self::KillAll => put_frame(out, K::KillAll as u8, id, &[]),
            Self::Stats => put_frame(out, K::Stats as u8, id, &[]),
        }
    }

    /// Reads a request.
    pub(crate) fn read(frame: &Frame) -> Result<Self, Error> {
        const KINDS: [RequestKind; 10] = [
            RequestKind::Hello,
            RequestKind::Setup,
            RequestKind::Filter,
            RequestKind::Spawn,
            RequestKind::Input,
            RequestKind::CloseInput,
            RequestKind::Resize,
            RequestKind::Signal,
            RequestKind::KillAll,
            RequestKind::Stats,
        ];
        let kind = KINDS.into_iter().find(|kind| *kind as u8 == frame.kind);
        Ok(match kind.ok_or(Error::UnknownType(frame.kind))? {
            RequestKind::Hello => Self::Hello(json(frame)?),
            RequestKind::Setup => Self::Setup(json(frame)?),
            RequestKind::Filter => Self::Filter(frame.payload.clone()),
            RequestKind::Spawn => Self::Spawn(json(frame)?),
            RequestKind::Input => Self::Input(frame.payload.clone()),
            RequestKind::CloseInput => Self::CloseInput,
            RequestKind::Resize => Self::Resize(json(frame)?),
            RequestKind::Signal => Self::Signal(json(frame)?),
            RequestKind::KillAll => Self::KillAll,
            RequestKind::Stats => Self::Stats,
        })
    }
}

impl Event {
    /// Appends the event as a frame.
    pub(crate) fn put(&self, out: &mut Vec<u8>, id: u32) {
        use EventKind as K;
        match self {
            Self::Hello(m) => put_json(out, K::Hello as u8, id, m),
            Self::Launched(m) => put_json(out, K::Launched as u8, id, m),
            Self::SetupError(m) => put_json(out, K::SetupError as u8, id, m),
            Self::Started(m) => put_json(out, K::Started as u8, id, m),
            Self::SpawnError(m) => put_json(out, K::SpawnError as u8, id, m),
            Self::Output(offset, bytes) => {
                let payload = [&offset.to_le_bytes()[..], bytes].concat();
                put_frame(out, K::Output as u8, id, &payload);
            }
            Self::Dropped(m) => put_json(out, K::Dropped as u8, id, m),
            Self::Exited(m) => put_json(out, K::Exited as u8, id, m),
            Self::InputTaken(m) => put_json(out, K::InputTaken as u8, id, m),
            Self::KilledAll(m) => put_json(out, K::KilledAll as u8, id, m),
            Self::Stats(m) => put_json(out, K::Stats as u8, id, m),
            Self::Reached(m) => put_json(out, K::Reached as u8, id, m),
            Self::Refused(m) => put_json(out, K::Refused as u8, id, m),
            Self::Limited(m) => put_json(out, K::Limited as u8, id, m),
        }
    }

    /// Reads an event.
    pub(crate) fn read(frame: &Frame) -> Result<Self, Error> {
        const KINDS: [EventKind; 14] = [
            EventKind::Hello,
            EventKind::Launched,
            EventKind::SetupError,
            EventKind::Started,
            EventKind::SpawnError,
            EventKind::Output,
            EventKind::Dropped,
            EventKind::Exited,
            EventKind::InputTaken,
            EventKind::KilledAll,
            EventKind::Stats,
            EventKind::Reached,
            EventKind::Refused,
            EventKind::Limited,
        ];
        let kind = KINDS.into_iter().find(|kind| *kind as u8 == frame.kind);
        Ok(match kind.ok_or(Error::UnknownType(frame.kind))? {
            EventKind::Hello => Self::Hello(json(frame)?),
            EventKind::Launched => Self::Launched(json(frame)?),
            EventKind::SetupError => Self::SetupError(json(frame)?),
            EventKind::Started => Self::Started(json(frame)?),
            EventKind::SpawnError => Self::SpawnError(json(frame)?),
            EventKind::Output => {
                let Some((offset, _)) = frame.payload.split_first_chunk::<8>() else {
                    return Err(Error::Malformed(frame.kind));
                };
                Self::Output(u64::from_le_bytes(*offset), frame.payload.slice(8..))
            }
            EventKind::Dropped => Self::Dropped(json(frame)?),
            EventKind::Exited => Self::Exited(json(frame)?),
            EventKind::InputTaken => Self::InputTaken(json(frame)?),
            EventKind::KilledAll => Self::KilledAll(json(frame)?),
            EventKind::Stats => Self::Stats(json(frame)?),
            EventKind::Reached => Self::Reached(json(frame)?),
            EventKind::Refused => Self::Refused(json(frame)?),
            EventKind::Limited => Self::Limited(json(frame)?),
        })
    }
}

fn put_json<T: Serialize>(out: &mut Vec<u8>, kind: u8, id: u32, message: &T) {
    // Plain structs with string keys always serialise; an empty payload would be refused.
    let payload = serde_json::to_vec(message).unwrap_or_default();
    put_frame(out, kind, id, &payload);
}

fn json<T: DeserializeOwned>(frame: &Frame) -> Result<T, Error> {
    serde_json::from_slice(&frame.payload).map_err(|_| Error::Malformed(frame.kind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{Decoder, MAX_EVENT};

    proptest! {
        #[test]
        fn hostile_frames_are_refused_or_read(kind in any::<u8>(), id in any::<u32>(), payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let frame = Frame { kind, id, payload: payload.into() };
            let _ = Event::read(&frame);
            let _ = Request::read(&frame);
        }
    }

    #[test]
    fn events_read_back() {
        let events = [
            Event::Hello(Hello { version: 1 }),
            Event::Launched(Launched { pid: 7 }),
            Event::SetupError(SetupError {
                step: "unshare".into(),
                errno: 1,
            }),
            Event::Started(Started { pid: 2 }),
            Event::SpawnError(SpawnError {
                stage: SpawnStage::Exec,
                errno: 2,
            }),
            Event::Output(5, Bytes::from_static(b"abc")),
            Event::Dropped(Dropped { bytes: 9 }),
            Event::Exited(Exit::Signal(9)),
            Event::InputTaken(InputTaken { ok: true }),
            Event::KilledAll(KilledAll { reaped: 3 }),
            Event::Stats(StatsReply {
                commands: 1,
                resident: 4096,
            }),
            Event::Refused(Refused {
                reason: "program not found".into(),
            }),
            Event::Limited(Limited {
                limit: LimitName::Memory,
                text: "too much".into(),
            }),
        ];
        for event in events {
            let mut decoder = Decoder::new(MAX_EVENT);
            let mut bytes = Vec::new();
            event.put(&mut bytes, 3);
            decoder.buffer().extend_from_slice(&bytes);
            let frame = decoder.next().unwrap().unwrap();
            assert_eq!((Event::read(&frame).unwrap(), frame.id), (event, 3));
        }
    }
}
