//! Streams of events: one attempt live, and which attempts change.
//!
//! A stream is pulled: what a client does not read is not made. A record is never missed, because the
//! service reads for a slow watcher from the store; pieces of text may be.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::{Stream, unfold};
use recto_protocol::ports::model::DeltaKind;
use recto_service::Event as Happened;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::attempt;
use crate::extract::{Named, Query};
use crate::problem::Failure;
use crate::route::Route;
use crate::state::Shared;

/// How often a silent stream says that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// Tells proxies not to hold events back.
const NO_BUFFER: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-accel-buffering"),
    HeaderValue::from_static("no"),
);

/// Where to begin.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Begin {
    /// The number of the first record; none means 0.
    from: Option<u64>,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/attempts/{id}/events", watch)
            .is("watchAttempt", "Follows an attempt live, from a record on")
            .query::<Begin>()
            .header(
                "Last-Event-ID",
                "The number of the last record that was seen; goes before `from`.",
            )
            .other(
                "text/event-stream",
                "Events: `record`, with its number as the id (each once, in order, none missed); \
                 `delta`, a piece of what the model says, as `{kind, text}`; `output`, a piece of \
                 what a running command says, as `{call, offset, base64}`. The last two may be missed.",
            )
            .problem(409),
        Route::get("/events", changes)
            .is("watchTasks", "Follows which attempts change")
            .other(
                "text/event-stream",
                "Events: `changed`, as `{task, attempt}`; `missed`, when any may have changed. \
                 Look at the tasks after connecting, and now and then.",
            ),
    ]
}

async fn watch(
    State(shared): State<Shared>,
    headers: HeaderMap,
    named: Named,
    Query(begin): Query<Begin>,
) -> Result<Response, Failure> {
    let from = match headers.get("last-event-id") {
        Some(last) => after(last)?,
        None => begin.from.unwrap_or(0),
    };
    if i64::try_from(from).is_err() {
        return Err(Failure::invalid("from", "is too large"));
    }
    let id = attempt(&shared, &named.name).await?.id;
    let live = shared.service.watch(&id, from);
    let stream = unfold(live, |mut live| async {
        let happened = live.next().await;
        Some((Ok(event(&happened)), live))
    });
    Ok(answer(&shared, stream))
}

/// The number of the record after the one that the client saw last.
fn after(last: &HeaderValue) -> Result<u64, Failure> {
    let number = last.to_str().ok().and_then(|last| last.trim().parse().ok());
    let number: u64 = number.ok_or_else(|| Failure::invalid("Last-Event-ID", "is no number"))?;
    Ok(number.saturating_add(1))
}

fn event(happened: &Happened) -> Event {
    match happened {
        Happened::Record(record) => {
            let mut line = record.to_line();
            if line.contains('\r') {
                // Can only stand between tokens, and is not allowed in an event.
                line = line.replace('\r', " ");
            }
            let event = Event::default().event("record");
            event.id(record.seq.to_string()).data(line)
        }
        Happened::Delta(delta) => {
            let kind = match delta.kind {
                DeltaKind::Text => "text",
                DeltaKind::Reasoning => "reasoning",
                DeltaKind::ToolInput => "tool_input",
            };
            let data = json!({ "kind": kind, "text": delta.text });
            Event::default().event("delta").data(data.to_string())
        }
        Happened::Output {
            call,
            offset,
            bytes,
        } => {
            let base64 = STANDARD.encode(bytes);
            let data = json!({ "call": call, "offset": offset, "base64": base64 });
            Event::default().event("output").data(data.to_string())
        }
    }
}

async fn changes(State(shared): State<Shared>) -> Response {
    let stream = unfold(shared.service.changes(), |mut listener| async {
        let event = match listener.next().await {
            Some(attempt) => {
                let task = attempt.parts().map(|(task, _)| task);
                let data = json!({ "task": task, "attempt": attempt });
                Event::default().event("changed").data(data.to_string())
            }
            None => Event::default().event("missed").data("{}"),
        };
        Some((Ok(event), listener))
    });
    answer(&shared, stream)
}

/// A stream as an answer that ends with the server.
fn answer<S>(shared: &Shared, stream: S) -> Response
where
    S: Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    use futures_util::StreamExt as _;

    let watching = shared.metrics.watcher();
    let shutdown = shared.shutdown.clone().cancelled_owned();
    let stream = stream.take_until(shutdown).map(move |event| {
        // Counted as long as the stream lives.
        let _ = &watching;
        event
    });
    let alive = KeepAlive::new().interval(SIGN_OF_LIFE).text("alive");
    ([NO_BUFFER], Sse::new(stream).keep_alive(alive)).into_response()
}
