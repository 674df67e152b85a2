//! Every request gets an id, a line in the log without content, and its problem rendered.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;
use tracing::field::Empty;
use uuid::Uuid;

use crate::problem;
use crate::state::Shared;

/// The header that tells a request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every answer says besides: nothing here is a page, and nothing is for a shared cache.
const ALWAYS: [(HeaderName, HeaderValue); 4] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
];

/// Names a request, notes its answer, and renders its problem.
pub(crate) async fn note(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let id = Uuid::now_v7().simple().to_string();
    let method = request.method().as_str().to_owned();
    let method = if method.len() > 10 { "OTHER" } else { &method };
    // The pattern and never the path, which holds what users wrote.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        id,
        method,
        route,
        token = Empty,
        task = Empty,
        attempt = Empty
    );
    let began = Instant::now();
    async {
        let mut response = problem::render(next.run(request).await, &id);
        let headers = response.headers_mut();
        for (name, value) in ALWAYS {
            headers.entry(name).or_insert(value);
        }
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert(REQUEST_ID, id);
        }
        let (status, took) = (response.status().as_u16(), began.elapsed());
        shared.metrics.answered(method, route, status, took);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        tracing::info!(status, took_us, "answered");
        response
    }
    .instrument(span)
    .await
}
