//! Writes what passes between a program and its model as a script.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_core::stream::BoxStream;
use futures_util::{StreamExt, future};
use recto_protocol::ports::model::{ErrorKind, Finish, Model, ModelError, ModelEvent, Request};
use serde_json::Value;

use super::file::{EventLine, ReplyLine};
use super::reply;

/// A model that passes everything on and writes each reply as one line of JSON.
///
/// Items are kept byte for byte; deltas are not kept. A request that is dropped before its end
/// leaves no line.
pub struct Recorder<M> {
    model: M,
    file: Arc<Mutex<File>>,
}

impl<M: Model> Recorder<M> {
    /// Records what `model` answers; a file that is there already is added to.
    ///
    /// # Errors
    /// When the file cannot be opened for writing.
    pub fn create(model: M, path: &Path) -> std::io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self {
            model,
            file: Arc::new(Mutex::new(file)),
        })
    }
}

impl<M: Model> Model for Recorder<M> {
    fn respond(&self, request: Request) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
        let file = Arc::clone(&self.file);
        let mut line = ReplyLine::default();
        self.model
            .respond(request)
            .map(move |event| {
                let done = note(&mut line, &event);
                match done.then(|| write(&file, &std::mem::take(&mut line))) {
                    Some(Err(error)) => Err(not_written(&error)),
                    Some(Ok(())) | None => event,
                }
            })
            // A recording that fails ends the stream with its error in the place of the event.
            .scan(false, |failed, event| {
                let go_on = !std::mem::replace(failed, event.is_err());
                future::ready(go_on.then_some(event))
            })
            .boxed()
    }
}

/// Adds `event` to `line`, and says whether the line is whole.
fn note(line: &mut ReplyLine, event: &Result<ModelEvent, ModelError>) -> bool {
    match event {
        Ok(ModelEvent::Item(item)) => {
            let item = Some(Value::String(item.raw().to_owned()));
            line.events.push(EventLine {
                item,
                ..EventLine::default()
            });
            false
        }
        Ok(ModelEvent::Finished(finish)) => {
            note_finish(line, finish);
            true
        }
        Ok(ModelEvent::Started | ModelEvent::Delta(_) | ModelEvent::Unknown(_)) => false,
        Err(error) => {
            line.recorded_error = Some(error.clone());
            true
        }
    }
}

fn note_finish(line: &mut ReplyLine, finish: &Finish) {
    line.finish = reply::word(&finish.reason);
    line.response_id = Some(finish.response_id.clone());
    line.usage = finish.usage;
    line.end_turn = finish.end_turn;
}

fn write(file: &Mutex<File>, line: &ReplyLine) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    file.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .write_all(&text)
}

fn not_written(error: &std::io::Error) -> ModelError {
    ModelError::new(
        ErrorKind::Script,
        format!("cannot write the recording: {error}"),
    )
}
