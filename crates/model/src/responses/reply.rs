//! A response's bytes made into a stream of events, under caps and an idle timeout.

use std::time::Duration;

use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use recto_protocol::ports::model::{ErrorKind, ModelError, ModelEvent};

use super::endpoint::Origin;
use super::event::{Events, Outcome};
use super::sse::{Decoder, EventTooLarge};

/// A body as it arrives; the error says in words how the connection broke.
pub(crate) type BodyStream = BoxStream<'static, Result<Bytes, String>>;

/// How much of a response is taken, and how long silence is borne.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) event_bytes: usize,
    pub(crate) total_bytes: usize,
    pub(crate) idle: Duration,
}

impl Limits {
    pub(crate) fn with_idle(idle: Duration) -> Self {
        Self {
            event_bytes: 32 << 20,
            total_bytes: 256 << 20,
            idle,
        }
    }
}

/// The decoder of one response: bytes in, events out, no IO.
#[derive(Debug)]
pub(crate) struct Reply {
    decoder: Decoder,
    events: Events,
    limits: Limits,
    total: usize,
}

impl Reply {
    pub(crate) fn new(limits: Limits) -> Self {
        let decoder = Decoder::new(limits.event_bytes);
        Self {
            decoder,
            events: Events::default(),
            limits,
            total: 0,
        }
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.total = self.total.saturating_add(bytes.len());
        if self.total > self.limits.total_bytes {
            return self.too_large("response", self.limits.total_bytes);
        }
        let Self {
            decoder, events, ..
        } = self;
        let result = decoder.push(bytes, |name, data| events.take(name, data));
        if result == Err(EventTooLarge) {
            self.too_large("event in the stream", self.limits.event_bytes);
        }
    }

    /// The body ended in good order. An event that lacks only its last line break counts.
    pub(crate) fn end(&mut self) {
        if let Some((name, data)) = self.decoder.unfinished()
            && serde_json::from_str::<serde::de::IgnoredAny>(&data).is_ok()
        {
            self.events.take(&name, &data);
        }
        self.broke("the stream ended before the response was complete");
    }

    /// The connection broke, ran into a timeout, or was ended early.
    pub(crate) fn broke(&mut self, message: &str) {
        if !self.events.ended {
            self.events
                .fail(ModelError::new(ErrorKind::Stream, message));
        }
    }

    /// The next event that is ready.
    pub(crate) fn pop(&mut self) -> Option<Outcome> {
        self.events.queue.pop_front()
    }

    /// Whether nothing comes any more.
    pub(crate) fn ended(&self) -> bool {
        self.events.ended
    }

    fn too_large(&mut self, what: &str, cap: usize) {
        if !self.events.ended {
            let message = format!("the {what} is larger than {} MiB", cap >> 20);
            self.events
                .fail(ModelError::new(ErrorKind::TooLarge, message));
        }
    }
}

/// A reply with the body that feeds it.
struct Live {
    reply: Reply,
    body: BodyStream,
    origin: Origin,
    /// Whether to read the body to its end, so that its connection can be used again.
    drain: bool,
}

/// The events of `body`. With `drain`, up to a few milliseconds are spent before the last event
/// on reading the body's end: HTTP/1.1 gives up a connection whose answer was not read whole,
/// and the next request would pay for a new one.
pub(crate) fn events(
    body: BodyStream,
    limits: Limits,
    origin: Origin,
    drain: bool,
) -> BoxStream<'static, Outcome> {
    let live = Box::new(Live {
        reply: Reply::new(limits),
        body,
        origin,
        drain,
    });
    stream::unfold(live, |mut live| async move {
        let next = live.next().await?;
        Some((next, live))
    })
    .boxed()
}

impl Live {
    async fn next(&mut self) -> Option<Outcome> {
        loop {
            match self.reply.pop() {
                Some(Ok(event)) => {
                    if self.drain && matches!(event, ModelEvent::Finished(_)) {
                        self.drain().await;
                    }
                    return Some(Ok(event));
                }
                Some(Err(error)) => {
                    let message = self.origin.scrub(&error.message);
                    return Some(Err(ModelError { message, ..error }));
                }
                None if self.reply.ended() => return None,
                None => self.fill().await,
            }
        }
    }

    async fn fill(&mut self) {
        let idle = self.reply.limits.idle;
        match tokio::time::timeout(idle, self.body.next()).await {
            Ok(Some(Ok(bytes))) => self.reply.push(&bytes),
            Ok(Some(Err(why))) => self.reply.broke(&format!(
                "the stream broke off before the response was complete: {why}"
            )),
            Ok(None) => self.reply.end(),
            Err(_) => {
                self.reply
                    .broke(&format!("nothing came for {} s", idle.as_secs_f64()));
            }
        }
    }

    async fn drain(&mut self) {
        const LONGEST: Duration = Duration::from_millis(5);
        let rest = async { while let Some(Ok(_)) = self.body.next().await {} };
        // A server that does not end its answer costs a new connection, nothing else.
        let _ = tokio::time::timeout(LONGEST, rest).await;
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
