//! Sending a request and telling apart what comes back.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use recto_protocol::ports::model::{ErrorKind, Model, ModelError, ModelEvent, Request};
use recto_protocol::profile::Provider;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, Version, redirect};

use super::endpoint::{Endpoint, SetupError};
use super::event::Events;
use super::failure;
use super::reply::{self, BodyStream, Limits};

/// Longest time to open a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// Bytes of an error's body that are read.
const ERROR_BYTES: usize = 64 << 10;

type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A client of one provider. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    /// Built at the first use: loading the system's certificates costs milliseconds, which are
    /// better spent beside other work ([`Client::prepare`]) or, on loopback, not at all.
    http: OnceLock<Result<reqwest::Client, String>>,
    clock: Clock,
    limits: Limits,
}

impl Client {
    /// Resolves `provider`; `env` looks up environment variables. Opens nothing.
    ///
    /// # Errors
    /// [`SetupError`] when the provider lacks its key or is not configured as HTTP needs it.
    pub fn new(
        provider: &Provider,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SetupError> {
        let endpoint = Endpoint::resolve(provider, env)?;
        let limits = Limits::with_idle(endpoint.idle);
        let clock: Clock = Arc::new(Timestamp::now);
        Ok(Self(Arc::new(Inner {
            endpoint,
            http: OnceLock::new(),
            clock,
            limits,
        })))
    }

    /// The client with another clock, for reading dates in `Retry-After`, and other caps on one
    /// event and on a whole response.
    #[cfg(test)]
    pub(crate) fn with_limits(self, now: Timestamp, event: usize, total: usize) -> Self {
        let inner = Arc::into_inner(self.0).expect("not cloned yet");
        let limits = Limits {
            event_bytes: event,
            total_bytes: total,
            ..inner.limits
        };
        Self(Arc::new(Inner {
            clock: Arc::new(move || now),
            limits,
            ..inner
        }))
    }

    /// Builds the HTTP client now. Blocks for some milliseconds where TLS is needed; worth calling
    /// on another thread while a session is set up.
    pub fn prepare(&self) {
        let _ = self.0.http();
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.0.endpoint).finish()
    }
}

impl Model for Client {
    fn respond(&self, request: Request) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
        let inner = Arc::clone(&self.0);
        stream::once(async move { inner.send(&request).await })
            .flat_map(|sent| match sent {
                Ok(events) => events,
                Err(error) => stream::once(async { Err(error) }).boxed(),
            })
            .boxed()
    }
}

impl Inner {
    async fn send(
        &self,
        request: &Request,
    ) -> Result<BoxStream<'static, Result<ModelEvent, ModelError>>, ModelError> {
        let http = self
            .http()
            .map_err(|why| ModelError::new(ErrorKind::Connection, why))?;
        let sending = http
            .post(self.endpoint.url.clone())
            .headers(self.endpoint.headers.clone())
            .body(super::assemble(request))
            .send();
        let answer = match tokio::time::timeout(self.limits.idle, sending).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.not_connected(&error)),
            Err(_) => return Err(self.no_answer()),
        };
        if !answer.status().is_success() {
            return Err(self.refused(request, answer).await);
        }
        let content_type = content_type(&answer);
        if is_stream(&content_type) {
            let drain = answer.version() < Version::HTTP_2;
            let body = body_of(answer);
            return Ok(reply::events(
                body,
                self.limits,
                self.endpoint.origin.clone(),
                drain,
            ));
        }
        self.whole(answer, &content_type).await
    }

    fn http(&self) -> Result<&reqwest::Client, String> {
        self.http
            .get_or_init(|| build(&self.endpoint))
            .as_ref()
            .map_err(Clone::clone)
    }

    async fn refused(&self, request: &Request, answer: Response) -> ModelError {
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = self.read(answer, ERROR_BYTES).await;
        let now = (self.clock)();
        let origin = &self.endpoint.origin;
        failure::from_http(origin, &request.model, (status, &headers), &body.bytes, now)
    }

    /// Takes the answer of a server that does not stream.
    async fn whole(
        &self,
        answer: Response,
        content_type: &str,
    ) -> Result<BoxStream<'static, Result<ModelEvent, ModelError>>, ModelError> {
        let status = answer.status();
        let is_json = content_type.contains("json");
        let cap = if is_json {
            self.limits.event_bytes
        } else {
            ERROR_BYTES
        };
        let body = self.read(answer, cap).await;
        if is_json && body.cut {
            return Err(ModelError::new(
                ErrorKind::TooLarge,
                "the response is too large",
            ));
        }
        let mut events = Events::default();
        let text = String::from_utf8_lossy(&body.bytes);
        if !is_json || !text.contains("\"output\"") || events.take_whole(&text).is_err() {
            let error = failure::not_a_response(status, content_type, &body.bytes);
            let message = self.endpoint.origin.scrub(&error.message);
            return Err(ModelError { message, ..error });
        }
        Ok(stream::iter(events.queue).boxed())
    }

    /// Reads a body up to `cap` bytes; what cannot be read counts as missing.
    async fn read(&self, answer: Response, cap: usize) -> Body {
        let mut body = Body::default();
        let mut stream = body_of(answer);
        while let Ok(Some(Ok(piece))) = tokio::time::timeout(self.limits.idle, stream.next()).await
        {
            let room = cap - body.bytes.len();
            body.bytes
                .extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() > room {
                body.cut = true;
                break;
            }
        }
        body
    }

    fn not_connected(&self, error: &reqwest::Error) -> ModelError {
        let origin = &self.endpoint.origin;
        let what = if error.is_connect() {
            "cannot connect to"
        } else {
            "lost the connection to"
        };
        let mut message = format!("{what} {}: {}", origin.url, root(error));
        if error.is_connect() && self.endpoint.is_loopback() {
            message.push_str("\nis the local server running?");
        }
        ModelError::new(ErrorKind::Connection, origin.scrub(&message))
    }

    fn no_answer(&self) -> ModelError {
        let secs = self.limits.idle.as_secs_f64();
        let message = format!(
            "no answer from {} within {secs} s",
            self.endpoint.origin.url
        );
        ModelError::new(ErrorKind::Connection, message)
    }
}

#[derive(Default)]
struct Body {
    bytes: Vec<u8>,
    cut: bool,
}

fn build(endpoint: &Endpoint) -> Result<reqwest::Client, String> {
    crate::tls::install();
    let mut builder = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT)
        .tcp_keepalive(Duration::from_secs(30))
        // Compressed event streams arrive in lumps.
        .no_gzip();
    if endpoint.is_loopback() {
        builder = builder.no_proxy();
        if endpoint.url.scheme() == "http" {
            // Measured: 0.04 ms without the system's certificates, 2 to 20 ms with them.
            builder = builder.tls_certs_only([]);
        }
    }
    builder
        .build()
        .map_err(|error| format!("cannot set up HTTP: {}", root(&error)))
}

fn body_of(answer: Response) -> BodyStream {
    answer
        .bytes_stream()
        .map(|piece: Result<Bytes, _>| piece.map_err(|e| root(&e)))
        .boxed()
}

fn content_type(answer: &Response) -> String {
    let value = answer
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_ascii_lowercase()
}

/// Servers that forget the type, or call it plain text, do stream.
fn is_stream(content_type: &str) -> bool {
    content_type.contains("event-stream")
        || content_type.is_empty()
        || content_type.starts_with("text/plain")
        || content_type.starts_with("application/octet-stream")
}

/// The innermost cause, which is the part that says something and never holds the URL.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    if std::ptr::addr_eq(cause, error) {
        "unknown failure".to_owned()
    } else {
        cause.to_string()
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
