//! Figures for Prometheus.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the durations, in seconds.
const BOUNDS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

/// What is counted.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    seconds: Family<RouteLabel, Histogram>,
    watchers: Gauge,
    queued: Gauge<u64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let requests = Family::default();
        let seconds =
            Family::new_with_constructor((|| Histogram::new(BOUNDS)) as fn() -> Histogram);
        let watchers = Gauge::default();
        let queued = Gauge::default();
        let mut registry = Registry::with_prefix("recto");
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register(
            "http_request_seconds",
            "Time until an answer began",
            seconds.clone(),
        );
        registry.register("watchers", "Event streams open", watchers.clone());
        registry.register(
            "tasks_queued",
            "Tasks with an attempt that waits for a worker, at most 200",
            queued.clone(),
        );
        Self {
            registry,
            requests,
            seconds,
            watchers,
            queued,
        }
    }

    /// Notes one answer. The route is a pattern, so there are few.
    pub(crate) fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let labels = Labels {
            method: method.to_owned(),
            route: route.to_owned(),
            status,
        };
        self.requests.get_or_create(&labels).inc();
        let route = RouteLabel {
            route: route.to_owned(),
        };
        let seconds = self.seconds.get_or_create(&route);
        seconds.observe(took.as_secs_f64());
    }

    /// Counts a watcher until the value is dropped.
    pub(crate) fn watcher(&self) -> Watching {
        self.watchers.inc();
        Watching(self.watchers.clone())
    }

    /// All figures as text.
    pub(crate) fn text(&self, queued: usize) -> String {
        self.queued.set(u64::try_from(queued).unwrap_or(u64::MAX));
        let mut text = String::new();
        // Writing to a text can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// An open stream.
pub(crate) struct Watching(Gauge);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.dec();
    }
}
