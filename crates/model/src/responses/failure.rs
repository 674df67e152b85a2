//! What went wrong, in kinds that the caller acts on and in words for people.

use jiff::Timestamp;
use recto_protocol::ports::model::{ErrorKind, ModelError};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION};
use serde_json::Value;

use super::endpoint::Origin;
use super::wait;

/// Characters of a provider's own text that a message shows.
const SHOWN: usize = 600;

/// What a provider says of an error, wherever it puts it.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) code: Option<String>,
    /// The coarser `type` beside the code.
    pub(super) class: Option<String>,
    pub(super) message: Option<String>,
}

impl Told {
    /// Reads `{"error": {…}}`, `{"error": "text"}`, `{"detail": …}`, a bare error object, and a
    /// list of one of these.
    pub(super) fn read(value: &Value) -> Self {
        let value = if value.is_array() { &value[0] } else { value };
        let inner = match &value["error"] {
            Value::Null => value,
            Value::String(text) => {
                return Self {
                    message: Some(text.clone()),
                    ..Self::default()
                };
            }
            error => error,
        };
        let text = |name: &str| match &inner[name] {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let detail = || match &inner["detail"] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        Self {
            code: text("code"),
            class: text("type"),
            message: text("message").or_else(detail),
        }
    }

    /// The most telling word: the code, or else the type.
    fn word(&self) -> Option<&str> {
        self.code.as_deref().or(self.class.as_deref())
    }

    fn says(&self, words: &[&str]) -> bool {
        [&self.code, &self.class]
            .into_iter()
            .flatten()
            .any(|word| words.contains(&word.as_str()))
    }

    fn is_out_of_quota(&self) -> bool {
        self.says(&[
            "insufficient_quota",
            "usage_limit_reached",
            "usage_not_included",
            "quota_exceeded",
            "billing_hard_limit_reached",
        ])
    }

    fn is_too_long(&self) -> bool {
        const WORDS: [&str; 7] = [
            "maximum context length",
            "context window",
            "exceeds the context",
            "context size",
            "context length",
            "prompt is too long",
            "input is too long",
        ];
        let message = self
            .message
            .as_deref()
            .unwrap_or_default()
            .to_ascii_lowercase();
        self.says(&["context_length_exceeded", "exceed_context_size_error"])
            || WORDS.iter().any(|words| message.contains(words))
    }
}

/// The error of an answer whose status is not a success.
pub(crate) fn from_http(
    origin: &Origin,
    model: &str,
    (status, headers): (StatusCode, &HeaderMap),
    body: &[u8],
    now: Timestamp,
) -> ModelError {
    let told = match serde_json::from_slice::<Value>(body) {
        Ok(value) => Told::read(&value),
        Err(_) => Told::default(),
    };
    let kind = kind_of_status(status, &told);
    let own = told.message.clone().unwrap_or_else(|| start_of(body));
    let mut message = format!("{} answered {}", origin.provider, spelled(status));
    if !own.is_empty() {
        message.push_str(": ");
        message.push_str(&shortened(&own));
    }
    if let Some(hint) = hint(kind, origin, model, (status, headers)) {
        message.push('\n');
        message.push_str(&hint);
    }
    let retry_after = matches!(kind, ErrorKind::RateLimit | ErrorKind::Server)
        .then(|| wait::from_headers(headers, now).or_else(|| wait::from_message(&own)))
        .flatten();
    ModelError {
        kind,
        message: origin.scrub(&message),
        status: Some(status.as_u16()),
        code: told.word().map(str::to_owned),
        retry_after,
    }
}

/// The error of a `response.failed` or `error` event.
pub(super) fn from_event(told: &Told) -> ModelError {
    let kind = kind_of_code(told);
    let own = told.message.as_deref().unwrap_or("no reason given");
    let mut message = format!("the response failed: {}", shortened(own));
    if let Some(word) = told.word() {
        message.push_str(&format!(" ({word})"));
    }
    let retry_after = matches!(kind, ErrorKind::RateLimit | ErrorKind::Server)
        .then(|| wait::from_message(own))
        .flatten();
    let code = told.word().map(str::to_owned);
    ModelError {
        kind,
        message,
        status: None,
        code,
        retry_after,
    }
}

/// The error of a successful status with a body that is no response.
pub(super) fn not_a_response(status: StatusCode, content_type: &str, body: &[u8]) -> ModelError {
    let message = format!(
        "expected an event stream, but got {} with content type {content_type:?}: {}\n\
         check that base_url leads to a Responses API",
        spelled(status),
        shortened(&start_of(body)),
    );
    ModelError {
        status: Some(status.as_u16()),
        ..ModelError::new(ErrorKind::Refused, message)
    }
}

fn kind_of_status(status: StatusCode, told: &Told) -> ErrorKind {
    if is_script(told) {
        return ErrorKind::Script;
    }
    match status.as_u16() {
        429 if told.is_out_of_quota() => ErrorKind::Refused,
        429 => ErrorKind::RateLimit,
        408 | 409 | 500.. => ErrorKind::Server,
        401 | 403 => ErrorKind::Auth,
        404 => ErrorKind::NotFound,
        // A body too large for a gateway shrinks by compaction as well.
        413 => ErrorKind::ContextLength,
        400 | 422 if told.is_too_long() => ErrorKind::ContextLength,
        _ => ErrorKind::Refused,
    }
}

fn kind_of_code(told: &Told) -> ErrorKind {
    if is_script(told) {
        return ErrorKind::Script;
    }
    if told.is_out_of_quota() {
        return ErrorKind::Refused;
    }
    if told.is_too_long() {
        return ErrorKind::ContextLength;
    }
    match told.word().unwrap_or_default() {
        "rate_limit_exceeded" | "rate_limit_error" | "too_many_requests" | "429" => {
            ErrorKind::RateLimit
        }
        "invalid_api_key" | "authentication_error" | "permission_error" => ErrorKind::Auth,
        "model_not_found" | "not_found_error" => ErrorKind::NotFound,
        "invalid_prompt"
        | "invalid_request_error"
        | "content_policy_violation"
        | "cyber_policy"
        | "bio_policy" => ErrorKind::Refused,
        // server_error, server_is_overloaded, slow_down, and whatever is not known.
        _ => ErrorKind::Server,
    }
}

fn is_script(told: &Told) -> bool {
    told.says(&[crate::script::MISMATCH])
}

fn hint(
    kind: ErrorKind,
    origin: &Origin,
    model: &str,
    (status, headers): (StatusCode, &HeaderMap),
) -> Option<String> {
    if status.is_redirection() {
        let to = headers.get(LOCATION).map_or("nowhere".into(), |to| {
            String::from_utf8_lossy(to.as_bytes())
        });
        return Some(format!("redirects are not followed; it points to {to}"));
    }
    match kind {
        ErrorKind::Auth => Some(match &origin.key_variable {
            Some(variable) => format!("the key was taken from {variable}"),
            None => "no key was sent: the provider has no env_key".to_owned(),
        }),
        ErrorKind::NotFound => Some(format!("asked for model {model:?} at {}", origin.url)),
        ErrorKind::Refused if status.as_u16() == 429 => {
            Some("trying again does not help: check the plan and its billing".to_owned())
        }
        ErrorKind::Connection
        | ErrorKind::RateLimit
        | ErrorKind::Server
        | ErrorKind::Stream
        | ErrorKind::ContextLength
        | ErrorKind::Refused
        | ErrorKind::TooLarge
        | ErrorKind::Script => None,
    }
}

fn spelled(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn start_of(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN)]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most [`SHOWN`] characters.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
