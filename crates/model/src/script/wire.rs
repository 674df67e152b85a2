//! An answer as the bytes of an event stream.

use std::time::Duration;

use bytes::Bytes;
use recto_protocol::ports::model::{ErrorKind, ModelError};

use super::file::{CutAt, Failed};
use super::reply::{Answer, Ending};
use super::writer::Writer;

/// How the bytes of a stream look. All looks say the same.
#[derive(Clone, Debug, Default)]
pub struct Dress {
    /// Lines end in CR LF.
    pub crlf: bool,
    /// The stream starts with a byte order mark.
    pub bom: bool,
    /// A comment stands before every event.
    pub comments: bool,
    /// Events have no `event:` line.
    pub only_data: bool,
    /// Most bytes that are sent at once.
    pub chunk_bytes: Option<usize>,
}

/// A piece of an answer's body.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Bytes(Bytes),
    Delay(Duration),
    /// The connection breaks.
    Break,
    /// A recorded error ends the stream.
    Fail(ModelError),
}

/// The body of `answer`.
pub(super) fn parts(answer: &Answer, dress: &Dress) -> Vec<Part> {
    let mut writer = Writer::new(dress, &answer.response_id);
    writer.start();
    let cut = match &answer.ending {
        Ending::Cut(cut) => Some(cut),
        Ending::Finished(_) | Ending::Failed(_) | Ending::Recorded(_) => None,
    };
    let count = cut.and_then(|cut| cut.events).unwrap_or(usize::MAX);
    for event in answer.events.iter().take(count) {
        writer.event(event);
    }
    match &answer.ending {
        Ending::Finished(finish) => writer.finish(finish),
        Ending::Failed(failed) => writer.failed(failed),
        Ending::Cut(_) => {}
        Ending::Recorded(error) => {
            writer.flush();
            writer.parts.push(Part::Fail(error.clone()));
        }
    }
    let parts = writer.into_parts(dress.chunk_bytes);
    match cut {
        Some(cut) => cut_parts(parts, cut),
        None => parts,
    }
}

/// The events that stand for a recorded error on a real wire; none when it broke the connection.
pub(super) fn failure(error: &ModelError, dress: &Dress) -> Option<Bytes> {
    if matches!(error.kind, ErrorKind::Stream | ErrorKind::Connection) {
        return None;
    }
    let mut writer = Writer::new(dress, "resp_failed");
    writer.failed(&Failed {
        code: error.code.clone().unwrap_or_else(|| "server_error".into()),
        message: error.message.clone(),
    });
    Some(writer.text.into())
}

fn cut_parts(parts: Vec<Part>, cut: &CutAt) -> Vec<Part> {
    let mut room = cut.bytes.unwrap_or(usize::MAX);
    let mut kept = Vec::new();
    for part in parts {
        match part {
            Part::Bytes(bytes) if bytes.len() >= room => {
                kept.push(Part::Bytes(bytes.slice(..room)));
                break;
            }
            Part::Bytes(bytes) => {
                room -= bytes.len();
                kept.push(Part::Bytes(bytes));
            }
            other => kept.push(other),
        }
    }
    if !cut.clean {
        kept.push(Part::Break);
    }
    kept
}
