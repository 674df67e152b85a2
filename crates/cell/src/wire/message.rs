//! The messages that frames carry, and their codes.
//!
//! Free for what is to come: 0x19–0x1f towards the cell, 0x98–0x9f from it. Messages about files
//! are 0x20–0x2f and 0xa0–0xaf; they live in [`super::files`].

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::files::{
    FileRefused, List, ListReply, MakeDirectory, Read, Remove, Rename, Stat, StatReply, Write,
    mixed, put_mixed,
};
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
    Pause = 0x17,
    Resume = 0x18,
    Stat = 0x20,
    Read = 0x21,
    Write = 0x22,
    List = 0x23,
    MakeDirectory = 0x24,
    Remove = 0x25,
    Rename = 0x26,
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
    Stat = 0xa0,
    Data = 0xa1,
    List = 0xa2,
    Done = 0xa3,
    FileRefused = 0xa4,
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
    /// Nothing more is read of a command's output until [`Request::Resume`]: it waits for its reader.
    Pause,
    Resume,
    Stat(Stat),
    Read(Read),
    /// How, and the bytes.
    Write(Write, Bytes),
    List(List),
    MakeDirectory(MakeDirectory),
    Remove(Remove),
    Rename(Rename),
}

/// What a cell says. The id is in the frame.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    Stat(StatReply),
    /// The file's size, and the bytes that were asked for.
    Data(u64, Bytes),
    List(ListReply),
    /// A change to a file was made.
    Done,
    FileRefused(FileRefused),
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
    Network,
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

/// What PID 1 knows of the cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatsReply {
    /// Commands not yet ended.
    pub(crate) commands: u32,
    /// Processes besides PID 1.
    pub(crate) processes: u32,
    /// Resident bytes of them and of PID 1.
    pub(crate) memory: u64,
    /// Resident bytes of PID 1.
    pub(crate) resident: u64,
    /// Processor time of all that runs or ran, in milliseconds.
    pub(crate) cpu_ms: u64,
    /// Bytes written to storage by all that runs or ran.
    pub(crate) written: u64,
    /// Milliseconds since the greeting.
    pub(crate) uptime_ms: u64,
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
            Self::Pause => put_frame(out, K::Pause as u8, id, &[]),
            Self::Resume => put_frame(out, K::Resume as u8, id, &[]),
            Self::Stat(m) => put_json(out, K::Stat as u8, id, m),
            Self::Read(m) => put_json(out, K::Read as u8, id, m),
            Self::Write(m, bytes) => {
                put_frame(out, K::Write as u8, id, &put_mixed(m, bytes));
            }
            Self::List(m) => put_json(out, K::List as u8, id, m),
            Self::MakeDirectory(m) => put_json(out, K::MakeDirectory as u8, id, m),
            Self::Remove(m) => put_json(out, K::Remove as u8, id, m),
            Self::Rename(m) => put_json(out, K::Rename as u8, id, m),
        }
    }

    /// Reads a request.
    pub(crate) fn read(frame: &Frame) -> Result<Self, Error> {
        const KINDS: [RequestKind; 19] = [
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
            RequestKind::Pause,
            RequestKind::Resume,
            RequestKind::Stat,
            RequestKind::Read,
            RequestKind::Write,
            RequestKind::List,
            RequestKind::MakeDirectory,
            RequestKind::Remove,
            RequestKind::Rename,
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
            RequestKind::Pause => Self::Pause,
            RequestKind::Resume => Self::Resume,
            RequestKind::Stat => Self::Stat(json(frame)?),
            RequestKind::Read => Self::Read(json(frame)?),
            RequestKind::Write => {
                let (message, bytes) = mixed(frame)?;
                Self::Write(message, bytes)
            }
            RequestKind::List => Self::List(json(frame)?),
            RequestKind::MakeDirectory => Self::MakeDirectory(json(frame)?),
            RequestKind::Remove => Self::Remove(json(frame)?),
            RequestKind::Rename => Self::Rename(json(frame)?),
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
            Self::Output(offset, bytes) => put_numbered(out, K::Output as u8, id, *offset, bytes),
            Self::Dropped(m) => put_json(out, K::Dropped as u8, id, m),
            Self::Exited(m) => put_json(out, K::Exited as u8, id, m),
            Self::InputTaken(m) => put_json(out, K::InputTaken as u8, id, m),
            Self::KilledAll(m) => put_json(out, K::KilledAll as u8, id, m),
            Self::Stats(m) => put_json(out, K::Stats as u8, id, m),
            Self::Reached(m) => put_json(out, K::Reached as u8, id, m),
            Self::Refused(m) => put_json(out, K::Refused as u8, id, m),
            Self::Limited(m) => put_json(out, K::Limited as u8, id, m),
            Self::Stat(m) => put_json(out, K::Stat as u8, id, m),
            Self::Data(size, bytes) => put_numbered(out, K::Data as u8, id, *size, bytes),
            Self::List(m) => put_json(out, K::List as u8, id, m),
            Self::Done => put_frame(out, K::Done as u8, id, &[]),
            Self::FileRefused(m) => put_json(out, K::FileRefused as u8, id, m),
        }
    }

    /// Reads an event.
    pub(crate) fn read(frame: &Frame) -> Result<Self, Error> {
        const KINDS: [EventKind; 19] = [
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
            EventKind::Stat,
            EventKind::Data,
            EventKind::List,
            EventKind::Done,
            EventKind::FileRefused,
        ];
        let kind = KINDS.into_iter().find(|kind| *kind as u8 == frame.kind);
        Ok(match kind.ok_or(Error::UnknownType(frame.kind))? {
            EventKind::Hello => Self::Hello(json(frame)?),
            EventKind::Launched => Self::Launched(json(frame)?),
            EventKind::SetupError => Self::SetupError(json(frame)?),
            EventKind::Started => Self::Started(json(frame)?),
            EventKind::SpawnError => Self::SpawnError(json(frame)?),
            EventKind::Output => {
                let (offset, bytes) = numbered(frame)?;
                Self::Output(offset, bytes)
            }
            EventKind::Dropped => Self::Dropped(json(frame)?),
            EventKind::Exited => Self::Exited(json(frame)?),
            EventKind::InputTaken => Self::InputTaken(json(frame)?),
            EventKind::KilledAll => Self::KilledAll(json(frame)?),
            EventKind::Stats => Self::Stats(json(frame)?),
            EventKind::Reached => Self::Reached(json(frame)?),
            EventKind::Refused => Self::Refused(json(frame)?),
            EventKind::Limited => Self::Limited(json(frame)?),
            EventKind::Stat => Self::Stat(json(frame)?),
            EventKind::Data => {
                let (size, bytes) = numbered(frame)?;
                Self::Data(size, bytes)
            }
            EventKind::List => Self::List(json(frame)?),
            EventKind::Done => Self::Done,
            EventKind::FileRefused => Self::FileRefused(json(frame)?),
        })
    }
}

fn put_json<T: Serialize>(out: &mut Vec<u8>, kind: u8, id: u32, message: &T) {
    // Plain structs with string keys always serialise; an empty payload would be refused.
    let payload = serde_json::to_vec(message).unwrap_or_default();
    put_frame(out, kind, id, &payload);
}

/// A payload that is a number and raw bytes.
fn put_numbered(out: &mut Vec<u8>, kind: u8, id: u32, number: u64, bytes: &[u8]) {
    put_frame(out, kind, id, &[&number.to_le_bytes()[..], bytes].concat());
}

fn numbered(frame: &Frame) -> Result<(u64, Bytes), Error> {
    let number = frame.payload.first_chunk();
    let number = number.ok_or(Error::Malformed(frame.kind))?;
    let bytes = frame.payload.slice(number.len()..);
    Ok((u64::from_le_bytes(*number), bytes))
}

fn json<T: DeserializeOwned>(frame: &Frame) -> Result<T, Error> {
    serde_json::from_slice(&frame.payload).map_err(|_| Error::Malformed(frame.kind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::files::{How, Kind, Name, Why};
    use crate::wire::{Decoder, MAX_EVENT, MAX_REQUEST};

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
                ..StatsReply::default()
            }),
            Event::Stat(StatReply {
                kind: Kind::Link,
                size: 3,
                mode: 0o777,
                modified: (-1, 5),
                target: Some(Name::Bytes(vec![0xff])),
            }),
            Event::Data(9, Bytes::from_static(b"abc")),
            Event::List(ListReply {
                entries: vec![(Name::Text("a".into()), Kind::File)],
                next: Some(7),
            }),
            Event::Done,
            Event::FileRefused(FileRefused {
                why: Why::System,
                errno: 2,
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

    #[test]
    fn a_write_reads_back() {
        let message = Write {
            path: Name::Text("a/b".into()),
            how: How::At { offset: 7 },
        };
        let request = Request::Write(message.clone(), Bytes::from_static(b"\0raw"));
        let mut bytes = Vec::new();
        request.put(&mut bytes, 3);
        let mut decoder = Decoder::new(MAX_REQUEST);
        decoder.buffer().extend_from_slice(&bytes);
        let frame = decoder.next().unwrap().unwrap();
        let Ok(Request::Write(read, raw)) = Request::read(&frame) else {
            panic!("{frame:?}");
        };
        assert_eq!((read, &raw[..]), (message, &b"\0raw"[..]));
    }
}
