//! Answers that clients may keep: JSON with a weak tag, and nothing when it did not change.

use std::hash::{DefaultHasher, Hasher as _};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A value as JSON, or "not modified" when the client has it already.
pub(crate) fn tagged<T: Serialize>(headers: &HeaderMap, value: &T) -> Response {
    let Ok(json) = serde_json::to_vec(value) else {
        unreachable!("answers are plain JSON");
    };
    let tag = tag(&json);
    let Ok(header_value) = HeaderValue::from_str(&tag) else {
        unreachable!("a tag is hexadecimal digits");
    };
    let mut response = if has(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let kind = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, kind)], json).into_response()
    };
    response.headers_mut().insert(header::ETAG, header_value);
    response
}

/// Two versions of this program may give different tags; that costs a client one answer.
fn tag(json: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(json);
    format!("W/\"{:016x}\"", hasher.finish())
}

fn has(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|given| given.trim() == "*" || opaque(given) == opaque(tag))
}
