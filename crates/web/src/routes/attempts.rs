//! `/attempts/{id}`: the log and the inbox.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use recto_protocol::Record;
use recto_protocol::task::{Message, NewMessage, Said};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::attempt;
use crate::extract::{Caller, Named, Query, Sent};
use crate::problem::Failure;
use crate::route::Route;
use crate::state::Shared;

/// Records of one answer, unless asked for less.
const RECORDS: u32 = 100;
/// Most records of one answer.
const MOST_RECORDS: u32 = 500;

/// Which records to give.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Part {
    /// The number of the first one; none means 0.
    from: Option<u64>,
    /// Most to give; none means 100, more than 500 means 500.
    most: Option<u32>,
}

/// Records of a log.
#[derive(Serialize, JsonSchema)]
struct Records {
    /// The records, as docs/schema/records.json says.
    #[schemars(with = "Vec<RecordLine>")]
    records: Vec<Box<RawValue>>,
    /// The number of the record after these, whether it is there yet or not.
    next: u64,
}

/// A record.
#[derive(JsonSchema)]
#[schemars(rename = "Record")]
#[allow(dead_code, reason = "describes what `Record::to_line` writes")]
struct RecordLine {
    /// The format's version.
    v: u32,
    /// Its number in the log.
    seq: u64,
    /// When it was written, in milliseconds since 1970-01-01 UTC.
    at: i64,
    /// What kind it is of.
    kind: String,
    /// What it says.
    body: serde_json::Map<String, serde_json::Value>,
}

/// Which messages to give.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct After {
    /// The number of the message before the first one; none means 0.
    after: Option<u64>,
}

/// A message that was taken in.
#[derive(Serialize, JsonSchema)]
struct Taken {
    /// Its number in the inbox.
    number: u64,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/attempts/{id}/records", records)
            .is("listRecords", "Gives a part of an attempt's log")
            .query::<Part>()
            .json::<Records>(200, "The records.")
            .problem(409),
        Route::post("/attempts/{id}/messages", send)
            .is("sendMessage", "Says something to an attempt")
            .body::<NewMessage>()
            .json::<Taken>(202, "The message is in the inbox.")
            .problem(409),
        Route::get("/attempts/{id}/messages", inbox)
            .is("listMessages", "Gives what was said to an attempt")
            .query::<After>()
            .json::<Vec<Message>>(200, "The messages, in order.")
            .problem(409),
    ]
}

async fn records(
    State(shared): State<Shared>,
    named: Named,
    Query(part): Query<Part>,
) -> Result<Json<Records>, Failure> {
    let id = attempt(&shared, &named.name).await?.id;
    let from = part.from.unwrap_or(0);
    if i64::try_from(from).is_err() {
        return Err(Failure::invalid("from", "is too large"));
    }
    let most = part.most.unwrap_or(RECORDS).clamp(1, MOST_RECORDS);
    let records = shared.service.records(&id, from, most).await?;
    let next = records.last().map_or(from, |last| last.seq + 1);
    let records = records.iter().map(raw).collect();
    Ok(Json(Records { records, next }))
}

fn raw(record: &Record) -> Box<RawValue> {
    RawValue::from_string(record.to_line())
        .unwrap_or_else(|_| unreachable!("a record is written as JSON"))
}

async fn send(
    State(shared): State<Shared>,
    caller: Caller,
    named: Named,
    Sent(mut message): Sent<NewMessage>,
) -> Result<(StatusCode, Json<Taken>), Failure> {
    let id = attempt(&shared, &named.name).await?.id;
    if let Said::Stop { by } = &mut message.said {
        // Who asks is known, and not said by them.
        *by = caller.0.name;
    }
    let number = shared.service.send(&id, &message).await?;
    Ok((StatusCode::ACCEPTED, Json(Taken { number })))
}

async fn inbox(
    State(shared): State<Shared>,
    named: Named,
    Query(query): Query<After>,
) -> Result<Json<Vec<Message>>, Failure> {
    let id = attempt(&shared, &named.name).await?.id;
    let after = query.after.unwrap_or(0);
    if i64::try_from(after).is_err() {
        return Err(Failure::invalid("after", "is too large"));
    }
    Ok(Json(shared.service.inbox(&id, after).await?))
}
