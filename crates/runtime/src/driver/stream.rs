//! One response in flight.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use recto_protocol::ports::model::retry::{self, GiveUp};
use recto_protocol::ports::model::{
    Delta, DeltaKind, ErrorKind, FinishReason, ModelError, ModelEvent, Request,
};
use recto_protocol::record::{Body, StepFailed, StepFinished, StepItem, StepStarted};
use recto_protocol::usage::{Micros, Usage};
use recto_protocol::{Item, View};

use super::{Driver, DriverError, milliseconds};
use crate::live::LiveEvent;

/// A response in flight.
pub(super) struct Stream {
    events: BoxStream<'static, Result<ModelEvent, ModelError>>,
    sent: Instant,
    first_event_ms: Option<u64>,
    /// The text of a message that is not finished, in case the output limit cuts it.
    partial: String,
}

impl Stream {
    /// The next event of the stream in `slot`; waits for ever when there is none.
    pub(super) async fn next(slot: &mut Option<Self>) -> Result<ModelEvent, ModelError> {
        let Some(stream) = slot else {
            return std::future::pending().await;
        };
        let event = stream.events.next().await.unwrap_or_else(|| {
            Err(ModelError {
                kind: ErrorKind::Stream,
                message: "the response ended without its final event".into(),
                status: None,
                code: None,
                retry_after: None,
            })
        });
        stream
            .first_event_ms
            .get_or_insert_with(|| milliseconds(stream.sent.elapsed()));
        event
    }
}

impl Driver {
    /// Records the step and sends its request.
    pub(super) async fn call_model(&mut self, request: Request) -> Result<(), DriverError> {
        let step = self.session.step_number();
        self.record_durable(vec![StepStarted { step }.into()])
            .await?;
        self.stream = Some(Stream {
            events: self.model.respond(request),
            sent: Instant::now(),
            first_event_ms: None,
            partial: String::new(),
        });
        Ok(())
    }

    pub(super) async fn model_event(
        &mut self,
        event: Result<ModelEvent, ModelError>,
    ) -> Result<(), DriverError> {
        match event {
            Ok(ModelEvent::Started | ModelEvent::Unknown(_)) => Ok(()),
            Ok(ModelEvent::Delta(delta)) => {
                self.delta(&delta);
                Ok(())
            }
            Ok(ModelEvent::Item(item)) => self.item(item).await,
            Ok(ModelEvent::Finished(finish)) => self.finished(finish).await,
            Err(error) => self.failed(error).await,
        }
    }

    fn delta(&mut self, delta: &Delta) {
        if let (DeltaKind::Text, Some(stream)) = (delta.kind, &mut self.stream) {
            stream.partial.push_str(&delta.text);
        }
        self.live.emit(LiveEvent::Delta(delta));
    }

    async fn item(&mut self, item: Item) -> Result<(), DriverError> {
        let view = item.view();
        if let (View::Message { .. }, Some(stream)) = (&view, &mut self.stream) {
            stream.partial.clear();
        }
        let body = vec![StepItem { item }.into()];
        if matches!(view, View::Call(_)) {
            // No tool runs before the record of its call is durable.
            self.record_durable(body).await
        } else {
            self.record(body).await
        }
    }

    async fn finished(
        &mut self,
        finish: recto_protocol::ports::model::Finish,
    ) -> Result<(), DriverError> {
        let Some(stream) = self.stream.take() else {
            return Ok(());
        };
        let mut bodies: Vec<Body> = Vec::new();
        if finish.reason == FinishReason::OutputLimit && !stream.partial.is_empty() {
            // The cut message never became an item; what was said of it is kept all the same.
            bodies.push(
                StepItem {
                    item: Item::message("assistant", &stream.partial),
                }
                .into(),
            );
        }
        let cost = self.cost(finish.usage.as_ref());
        bodies.push(
            StepFinished {
                finish,
                cost,
                duration_ms: milliseconds(stream.sent.elapsed()),
                first_event_ms: stream.first_event_ms.unwrap_or_default(),
            }
            .into(),
        );
        self.record(bodies).await
    }

    async fn failed(&mut self, mut error: ModelError) -> Result<(), DriverError> {
        self.stream = None;
        let retry_in = self.retry_in(&mut error, self.session.failures());
        self.record(vec![StepFailed { error, retry_in }.into()])
            .await?;
        self.pause = retry_in.map(|wait| Instant::now() + wait);
        Ok(())
    }

    /// How long to wait before asking again; with none, the error says why it is given up.
    pub(super) fn retry_in(&self, error: &mut ModelError, attempt: u32) -> Option<Duration> {
        match retry::decide(error, attempt, self.max_retries, (self.jitter)()) {
            Ok(wait) => Some(wait),
            // The kind of failure says it already.
            Err(GiveUp::Permanent) => None,
            Err(why) => {
                error.message = format!("{} ({why})", error.message);
                None
            }
        }
    }

    /// What a response cost; none when the prices or the tokens are not known.
    pub(super) fn cost(&self, usage: Option<&Usage>) -> Option<Micros> {
        let prices = self.session.settings().profile.prices.as_ref()?;
        Some(prices.cost(usage?))
    }
}
