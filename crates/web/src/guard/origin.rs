//! Requests that a browser sends for another site's page are refused; panics become problems.

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::problem::Failure;

/// Refuses what another site's page asks for.
pub(crate) fn layer() -> CsrfLayer<fn(ProtectionError) -> Response<Body>> {
    CsrfLayer::new().with_rejection_response(refused as fn(ProtectionError) -> Response<Body>)
}

fn refused(_: ProtectionError) -> Response<Body> {
    let detail = "pages of other sites may not ask for this";
    Failure::new(StatusCode::FORBIDDEN, "origin", detail).into_response()
}

/// The answer when a handler panicked. The panic itself is in the log.
pub(crate) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response<Body> {
    let detail = "something went wrong in the server";
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).into_response()
}
