//! What an attempt brought forth: its difference, and the outputs of its commands.

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use recto_protocol::ChunkId;
use schemars::JsonSchema;
use serde::Deserialize;

use super::attempt;
use crate::extract::{Named, Query};
use crate::problem::Failure;
use crate::route::Route;
use crate::state::Shared;

/// Most bytes of a difference.
const LARGEST_DIFF: u64 = 16 << 20;
/// Bytes of an output in one answer, unless asked for less.
const PIECE: u64 = 1 << 20;
/// Most bytes of an output in one answer.
const LARGEST_PIECE: u64 = 8 << 20;
/// Tells that a difference was cut.
const CUT: HeaderName = HeaderName::from_static("recto-cut");

/// How to write the difference.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct How {
    /// Whether binary files are written whole, so that the patch can be applied anywhere.
    #[serde(default)]
    binary: bool,
}

/// Which part to give.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Part {
    /// Its first byte; none means 0.
    offset: Option<u64>,
    /// Most bytes to give; none means 1 MiB, more than 8 MiB means 8 MiB.
    limit: Option<u64>,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/attempts/{id}/diff", difference)
            .is(
                "showDiff",
                "Gives the difference that an attempt's work makes",
            )
            .query::<How>()
            .other(
                "text/x-diff",
                "The difference as git writes it, in any encoding; empty where there is none. \
                 `Recto-Cut: true` tells that it is over 16 MiB long and was cut.",
            )
            .problem(409),
        Route::get("/attempts/{id}/chunks/{chunk}", chunk)
            .is("showChunk", "Gives a part of the output of a command")
            .query::<Part>()
            .other(
                "application/octet-stream",
                "The bytes; fewer than asked for at the end of the output, and none after it.",
            )
            .problem(409),
    ]
}

async fn difference(
    State(shared): State<Shared>,
    named: Named,
    Query(how): Query<How>,
) -> Result<Response, Failure> {
    let id = attempt(&shared, &named.name).await?.id;
    let found = shared.service.difference(&id, how.binary, LARGEST_DIFF);
    let found = found.await?;
    let kind = HeaderValue::from_static("text/x-diff");
    let mut response = ([(header::CONTENT_TYPE, kind)], found.patch).into_response();
    if found.is_cut {
        let cut = HeaderValue::from_static("true");
        response.headers_mut().insert(CUT, cut);
    }
    Ok(response)
}

async fn chunk(
    State(shared): State<Shared>,
    named: Named,
    Query(part): Query<Part>,
) -> Result<Response, Failure> {
    let id = attempt(&shared, &named.name).await?.id;
    // Nothing else ever becomes a path.
    let is_id = (1..=16).contains(&named.second.len())
        && named.second.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_id {
        return Err(Failure::not_found("there is no output by this id"));
    }
    let offset = part.offset.unwrap_or(0);
    if i64::try_from(offset).is_err() {
        return Err(Failure::invalid("offset", "is too large"));
    }
    let limit = part.limit.unwrap_or(PIECE).min(LARGEST_PIECE);
    let chunk = ChunkId::from(named.second);
    let bytes = shared.service.chunk(&id, &chunk, offset, limit).await?;
    let kind = HeaderValue::from_static("application/octet-stream");
    Ok(([(header::CONTENT_TYPE, kind)], bytes).into_response())
}
