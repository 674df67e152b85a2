//! The HTTP API: what the service can do, as REST and server-sent events under `/api/v1`.
//!
//! Everything hangs off one table of routes ([`routes`]): the router, who may call what, and the
//! OpenAPI document are made of it. A handler is a few lines: it reads the request
//! ([`extract`]), calls a use case of `recto-service`, and says what came of it. Errors are
//! [`problem`]s, rendered in one place; what stands before every handler is in [`guard`].

mod etag;
mod extract;
mod guard;
mod metrics;
mod openapi;
mod problem;
mod route;
mod router;
mod routes;
mod serve;
mod state;

pub use openapi::document as openapi;
pub use problem::Problem;
pub use route::{Method, Operation, operations};
pub use router::router;
pub use serve::{Api, Options, WebError, serve};

/// Below which path all routes are.
pub const BASE: &str = "/api/v1";
