//! The server itself: whether it works, its figures, and its description.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::problem::Failure;
use crate::route::Route;
use crate::state::Shared;

/// Whether the server works.
#[derive(Serialize, JsonSchema)]
struct Health {
    /// `ok`.
    status: &'static str,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/health", health)
            .is("health", "Tells whether the server can use its store")
            .open_to_all()
            .json::<Health>(200, "It can."),
        Route::get("/metrics", metrics)
            .is("metrics", "Gives figures for Prometheus")
            .other("application/openmetrics-text", "The figures."),
        Route::get("/openapi.json", openapi)
            .is("openapi", "Gives this document")
            .json::<Value>(200, "This document."),
    ]
}

async fn health(State(shared): State<Shared>) -> Result<Json<Health>, Failure> {
    shared.service.repositories().await?;
    Ok(Json(Health { status: "ok" }))
}

async fn metrics(State(shared): State<Shared>) -> Result<Response, Failure> {
    let queued = shared.service.queue_length().await?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let kind = HeaderValue::from_static(kind);
    Ok(([(header::CONTENT_TYPE, kind)], shared.metrics.text(queued)).into_response())
}

async fn openapi() -> Json<Value> {
    Json(crate::openapi())
}
