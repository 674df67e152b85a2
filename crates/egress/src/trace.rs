//! Follows one request and tells the observer how it went, whatever ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use recto_protocol::egress::{Host, RequestEvent, Verdict, clip};

use crate::judge::Granted;
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::target::without_query;

/// One request. When it is dropped, its event is told.
pub(crate) struct Trace {
    shared: Arc<Shared>,
    event: RequestEvent,
    up: AtomicU64,
    down: AtomicU64,
}

impl Trace {
    /// A request that was read. `path` may have a query.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        host: &Host,
        port: u16,
        method: &str,
        path: Option<&str>,
    ) -> Self {
        Self::of(shared, host.to_string(), port, method, path)
    }

    /// A request whose host could not be read.
    pub(crate) fn unread(shared: &Arc<Shared>, method: &str) -> Self {
        Self::of(shared, String::new(), 0, method, None)
    }

    fn of(shared: &Arc<Shared>, host: String, port: u16, method: &str, path: Option<&str>) -> Self {
        Self {
            shared: shared.clone(),
            event: RequestEvent {
                host,
                port,
                method: clip(method),
                path: path.map(|path| clip(without_query(path))),
                bytes_up: 0,
                bytes_down: 0,
                verdict: Verdict::Refused {
                    reason: "the cell ended".to_owned(),
                },
                rule: None,
                failure: None,
            },
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
        }
    }

    /// Notes that it was allowed.
    pub(crate) fn allowed(&mut self, granted: &Granted) {
        self.event.verdict = Verdict::Allowed;
        self.event.rule.clone_from(&granted.rule);
    }

    /// Notes that it was refused, or that it failed.
    pub(crate) fn ended(&mut self, refusal: &Refusal) {
        let reason = clip(&refusal.to_string());
        if refusal.is_failure() && self.event.verdict == Verdict::Allowed {
            self.event.failure = Some(reason);
        } else {
            self.event.verdict = Verdict::Refused { reason };
        }
    }

    /// Counts bytes before they leave the cell.
    pub(crate) fn up(&self, count: usize) -> Result<(), Refusal> {
        let limit = self.shared.limits.up;
        counted(&self.up, &self.shared.up, count, limit).ok_or(Refusal::Up)
    }

    /// Counts bytes before they enter the cell.
    pub(crate) fn down(&self, count: usize) -> Result<(), Refusal> {
        let limit = self.shared.limits.down;
        counted(&self.down, &self.shared.down, count, limit).ok_or(Refusal::Down)
    }
}

/// Adds to both counts; none, and nothing added, when that passes the limit of all.
fn counted(own: &AtomicU64, all: &AtomicU64, count: usize, limit: Option<u64>) -> Option<()> {
    let count = count as u64;
    let within = |held: u64| {
        let sum = held.saturating_add(count);
        limit.is_none_or(|limit| sum <= limit).then_some(sum)
    };
    all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within)
        .ok()?;
    own.fetch_add(count, Ordering::Relaxed);
    Some(())
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.event.bytes_up = self.up.load(Ordering::Relaxed);
        self.event.bytes_down = self.down.load(Ordering::Relaxed);
        if !self.shared.observer.request(self.event.clone()) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
