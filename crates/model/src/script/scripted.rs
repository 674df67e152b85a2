//! The scripted model in process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use recto_protocol::ports::model::{Model, ModelError, ModelEvent, Request};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::Script;
use super::expect::Asked;
use super::file::{HttpError, OpenError};
use super::position::Memory;
use super::reply::{Answer, Outcome};
use super::wire::{self, Dress, Part};
use crate::responses::{self, BodyStream, Limits, Origin};

/// A model that answers from a script. Cheap to clone; clones share their memory.
#[derive(Clone, Debug)]
pub struct Scripted(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    script: Script,
    memory: Memory,
}

impl Scripted {
    /// A model that answers from `script`.
    pub fn new(script: Script) -> Self {
        Self(Arc::new(Inner {
            script,
            memory: Memory::default(),
        }))
    }

    /// A model that answers from the script in a file.
    ///
    /// # Errors
    /// [`OpenError`] when the file cannot be read or is no script.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Script::open(path).map(Self::new)
    }
}

impl Model for Scripted {
    fn respond(&self, request: Request) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
        let body = responses::assemble(&request);
        let asked = Asked::new(&body, &request.input, request.cache_key.as_str().into());
        match self.0.script.reply(&asked, &self.0.memory) {
            Err(error) => failing(error),
            Ok(reply) => match &reply.outcome {
                Outcome::Answer(answer) => answering(answer),
                Outcome::Http(error) => failing(http_error(error, &request.model)),
                Outcome::Recorded(error) => failing(error.clone()),
            },
        }
    }
}

fn failing(error: ModelError) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
    stream::once(async { Err(error) }).boxed()
}

/// Sends the wire's bytes through the client's decoder, so that both forms of a script agree.
fn answering(answer: &Answer) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
    let mut parts = wire::parts(answer, &Dress::default());
    let recorded = match parts.last() {
        Some(Part::Fail(error)) => Some(error.clone()),
        _ => None,
    };
    if recorded.is_some() {
        parts.pop();
    }
    let limits = Limits::with_idle(Duration::MAX);
    let events = responses::events(body(parts), limits, origin(), false);
    events
        .map(move |event| event.map_err(|error| recorded.clone().unwrap_or(error)))
        .boxed()
}

fn body(parts: Vec<Part>) -> BodyStream {
    stream::iter(parts)
        .filter_map(|part| async move {
            match part {
                Part::Bytes(bytes) => Some(Ok(bytes)),
                Part::Delay(pause) => {
                    tokio::time::sleep(pause).await;
                    None
                }
                Part::Break => Some(Err("the script cuts here".to_owned())),
                Part::Fail(_) => None,
            }
        })
        .boxed()
}

fn http_error(error: &HttpError, model: &str) -> ModelError {
    let mut headers = HeaderMap::new();
    for (name, value) in &error.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    // The status was checked when the script was read.
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let now = Timestamp::now();
    responses::from_http(
        &origin(),
        model,
        (status, &headers),
        error.text().as_bytes(),
        now,
    )
}

fn origin() -> Origin {
    Origin {
        provider: "the script".into(),
        url: "script".into(),
        key_variable: None,
        secrets: Vec::new(),
    }
}
