//! The router, made of the table of routes.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::BASE;
use crate::guard::{self, Gate, Hosts, Limits};
use crate::metrics::Metrics;
use crate::problem::Failure;
use crate::routes;
use crate::serve::{Api, WebError};
use crate::state::{Shared, State};

/// Everything under [`BASE`], ready for a server. Streams end at `shutdown`.
///
/// # Errors
/// When the options can't be used.
pub fn router(api: Api, shutdown: CancellationToken) -> Result<Router, WebError> {
    let shared: Shared = Arc::new(State {
        service: api.service,
        tokens: api.tokens,
        hosts: Hosts::new(&api.options.hosts).map_err(WebError::Host)?,
        limits: Limits::new(api.options.requests_per_second),
        metrics: Metrics::new(),
        shutdown,
    });
    let mut router = Router::new();
    for route in routes::all() {
        let gate = Gate {
            shared: Arc::clone(&shared),
            needs: route.operation.needs,
        };
        let path = format!("{BASE}{}", route.operation.path);
        let handler = route
            .handler
            .route_layer(from_fn_with_state(gate, guard::admit));
        router = router.route(&path, handler);
    }
    let router = router
        .fallback(async || Failure::not_found("there is nothing here"))
        .method_not_allowed_fallback(async || {
            let detail = "this can't be done here; see the Allow header";
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail)
        })
        .with_state(Arc::clone(&shared))
        // From the inside to the outside.
        .layer(guard::same_origin())
        .layer(from_fn_with_state(Arc::clone(&shared), guard::check_host))
        .layer(CatchPanicLayer::custom(guard::panicked))
        .layer(from_fn_with_state(shared, guard::note));
    Ok(router)
}
