//! What handlers read from requests. Nothing of it is trusted, and what can't be used is a problem.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use recto_protocol::token::Token;
use serde::de::DeserializeOwned;

use crate::problem::Failure;
use crate::state::Shared;

/// Largest body, in bytes. A prompt of 1 MiB fits, also when each of its characters is escaped.
const LARGEST_BODY: usize = 8 << 20;
/// How long a client may take to send a body.
const BODY_TIME: Duration = Duration::from_secs(30);

/// A JSON body.
pub(crate) struct Sent<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Sent<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Shared) -> Result<Self, Failure> {
        check_type(request.headers())?;
        let body = to_bytes(request.into_body(), LARGEST_BODY);
        let bytes = match tokio::time::timeout(BODY_TIME, body).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => return Err(unread(&error)),
            Err(_) => {
                let detail = "the body did not come in time";
                return Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail));
            }
        };
        parse(&bytes).map(Self)
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Failure> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = "send the body as application/json";
    Err(Failure::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "media-type",
        detail,
    ))
}

fn unread(error: &axum::Error) -> Failure {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("length limit exceeded") {
            let detail = format!("the body is over {LARGEST_BODY} bytes long");
            return Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail);
        }
        cause = error.source();
    }
    Failure::new(StatusCode::BAD_REQUEST, "malformed", "the body was cut off")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() {
            let detail = format!("the body can't be used: {error}");
            return Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
        }
        let detail = format!("the body is not JSON: {error}");
        Failure::new(StatusCode::BAD_REQUEST, "malformed", detail)
    })
}

/// The query of a URL.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Shared> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Failure> {
        // No store can look for it, and none holds it.
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(Failure::invalid("query", "holds a NUL character"));
        }
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|error| Failure::invalid("query", format!("can't be used: {error}")))
    }
}

/// The names in a path: `{id}` or `{name}`, and what follows it.
pub(crate) struct Named {
    /// The first one.
    pub(crate) name: String,
    /// The second one, in paths that have two; else empty.
    pub(crate) second: String,
}

impl FromRequestParts<Shared> for Named {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Failure> {
        let malformed = || {
            Failure::new(
                StatusCode::BAD_REQUEST,
                "malformed",
                "the path is not UTF-8",
            )
        };
        let names = RawPathParams::from_request_parts(parts, shared).await;
        let names = names.map_err(|_| malformed())?;
        let mut names = names.iter().map(|(_, name)| name.to_owned());
        let name = names.next().unwrap_or_default();
        let second = names.next().unwrap_or_default();
        if name.contains('\0') || second.contains('\0') {
            return Err(Failure::not_found("there is nothing by this name"));
        }
        Ok(Self { name, second })
    }
}

/// Who asks.
pub(crate) struct Caller(pub(crate) Token);

impl FromRequestParts<Shared> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Failure> {
        let token = parts.extensions.get::<Token>().cloned();
        // Only a route without a token in front comes here without one.
        token.map(Self).ok_or_else(crate::guard::no_token)
    }
}
