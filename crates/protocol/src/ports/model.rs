//! The model: one request in, one stream of events out.

pub mod retry;

use std::sync::Arc;
use std::time::Duration;

use futures_core::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::item::Item;
use crate::usage::Usage;

/// A model endpoint.
pub trait Model: Send + Sync {
    /// Sends one request, once. Retrying is the caller's, which knows what was already done.
    ///
    /// The stream ends after [`ModelEvent::Finished`] or an error. Dropping it cancels the request.
    fn respond(&self, request: Request) -> BoxStream<'static, Result<ModelEvent, ModelError>>;
}

impl<M: Model + ?Sized> Model for Arc<M> {
    fn respond(&self, request: Request) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
        (**self).respond(request)
    }
}

/// A whole request. Everything that must stay byte-identical is held as finished JSON text.
#[derive(Clone, Debug)]
pub struct Request {
    /// The provider's name of the model.
    pub model: String,
    /// The system prompt, as text.
    pub instructions: Arc<str>,
    /// The tools, as a JSON array.
    pub tools: Arc<str>,
    /// The conversation: item JSON texts joined by commas, without the brackets.
    pub input: Arc<str>,
    /// Effort and summary settings, as a JSON object; none leaves the field out.
    pub reasoning: Option<Arc<str>>,
    /// Output format (`text` field), as a JSON object; none leaves the field out.
    pub text: Option<Arc<str>>,
    /// Most tokens to produce; none leaves the field out.
    pub max_output_tokens: Option<u64>,
    /// The same for all requests of a session, so that the provider routes them to one cache.
    pub cache_key: String,
}

/// What a response says while it streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelEvent {
    /// The provider accepted the request.
    Started,
    /// A piece of text, for showing only; the finished item holds it whole.
    Delta(Delta),
    /// A finished item.
    Item(Item),
    /// The response is complete. Always last.
    Finished(Finish),
    /// An event of a kind this version does not know, verbatim.
    Unknown(String),
}

/// A piece of a text that is still being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// What kind of text.
    pub kind: DeltaKind,
    /// The piece.
    pub text: String,
}

/// What kind of text a delta belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaKind {
    /// The answer.
    Text,
    /// A summary of reasoning.
    Reasoning,
    /// The input of a tool call.
    ToolInput,
}

/// How a response ended, with what it used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// Why it ended.
    pub reason: FinishReason,
    /// The provider's id of the response.
    pub response_id: String,
    /// Tokens, where told.
    pub usage: Option<Usage>,
    /// False when the provider says that the turn goes on although no tool was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_turn: Option<bool>,
}

/// Why a response ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model was done.
    #[default]
    Complete,
    /// The output limit was reached.
    OutputLimit,
    /// The provider's filter stopped it.
    ContentFilter,
    /// Another reason, in the provider's word.
    Other(String),
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct ModelError {
    /// What kind of failure, which decides whether to try again.
    pub kind: ErrorKind,
    /// For people: what happened, with the provider's own words.
    pub message: String,
    /// The HTTP status, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The provider's error code, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// How long the provider asked to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
}

impl ModelError {
    /// An error of which nothing but this is known.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            status: None,
            code: None,
            retry_after: None,
        }
    }
}

/// What kind of failure a request met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// No connection, or it broke before an answer.
    Connection,
    /// 429.
    RateLimit,
    /// 408, 409, 5xx or the provider's word for being overloaded.
    Server,
    /// The stream was cut, idle, or not well-formed.
    Stream,
    /// The input is longer than the model's window.
    ContextLength,
    /// 401 or 403.
    Auth,
    /// 404: no such endpoint or model.
    NotFound,
    /// The provider refused the request as it is (400 and other 4xx, no quota left).
    Refused,
    /// More came than this client takes.
    TooLarge,
    /// The scripted model's expectation was not met, or its script is used up.
    Script,
}

impl ErrorKind {
    /// Whether the same request can succeed later.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Connection | Self::RateLimit | Self::Server | Self::Stream => true,
            Self::ContextLength
            | Self::Auth
            | Self::NotFound
            | Self::Refused
            | Self::TooLarge
            | Self::Script => false,
        }
    }
}
