//! What all handlers share.

use std::sync::Arc;

use recto_service::{Service, Tokens};
use tokio_util::sync::CancellationToken;

use crate::guard::{Hosts, Limits};
use crate::metrics::Metrics;

/// What all handlers share. Cheap to clone.
pub(crate) type Shared = Arc<State>;

/// What all handlers share.
pub(crate) struct State {
    pub(crate) service: Service,
    pub(crate) tokens: Tokens,
    pub(crate) hosts: Hosts,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    /// Ends the streams.
    pub(crate) shutdown: CancellationToken,
}
