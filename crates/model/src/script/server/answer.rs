//! The server's HTTP answers.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use recto_protocol::ports::model::{ErrorKind, ModelError};
use serde_json::json;

use crate::script::file::HttpError;
use crate::script::reply::Answer;
use crate::script::wire::{self, Dress, Part};

pub(super) type Body = BoxBody<Bytes, io::Error>;

/// An event stream.
pub(super) fn stream(answer: &Answer, dress: &Dress) -> Response<Body> {
    let parts = wire::parts(answer, dress);
    let dress = dress.clone();
    let frames = stream::iter(parts).filter_map(move |part| {
        let part = frame(part, &dress);
        async move {
            match part {
                Ok(bytes) => Some(Ok(Frame::data(bytes))),
                Err(Some(pause)) => {
                    tokio::time::sleep(pause).await;
                    None
                }
                Err(None) => {
                    // What was sent before must leave this process before the connection does.
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    Some(Err(io::Error::other("cut by the script")))
                }
            }
        }
    });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames)));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// A scripted HTTP error.
pub(super) fn http(error: &HttpError) -> Response<Body> {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = full(status, error.text());
    for (name, value) in &error.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A recorded error, as near as HTTP comes to it.
pub(super) fn recorded(error: &ModelError) -> Response<Body> {
    let by_kind = match error.kind {
        ErrorKind::RateLimit => 429,
        ErrorKind::Connection | ErrorKind::Server | ErrorKind::Stream => 503,
        ErrorKind::Auth => 401,
        ErrorKind::NotFound => 404,
        ErrorKind::ContextLength => 413,
        ErrorKind::Refused | ErrorKind::TooLarge | ErrorKind::Script => 400,
    };
    let status = error
        .status
        .filter(|status| *status >= 300)
        .unwrap_or(by_kind);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = json!({"error": {"code": error.code, "message": error.message}});
    let mut response = full(status, body.to_string());
    if let Some(wait) = error.retry_after {
        let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        response
            .headers_mut()
            .insert("retry-after-ms", HeaderValue::from(ms));
    }
    response
}

/// An error of the server or its script.
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let body = json!({"error": {"type": code, "code": code, "message": message}});
    full(status, body.to_string())
}

fn full(status: StatusCode, body: String) -> Response<Body> {
    let json = body.starts_with(['{', '[']);
    let content_type = if json {
        "application/json"
    } else {
        "text/plain; charset=utf-8"
    };
    let mut response = Response::new(Full::from(body).map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The bytes to send, or the pause to make, or the break.
fn frame(part: Part, dress: &Dress) -> Result<Bytes, Option<std::time::Duration>> {
    match part {
        Part::Bytes(bytes) => Ok(bytes),
        Part::Delay(pause) => Err(Some(pause)),
        Part::Break => Err(None),
        Part::Fail(error) => wire::failure(&error, dress).ok_or(None),
    }
}
