//! Reads a request's body and feeds it to the connection outside.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use tokio::io::AsyncRead;
use tokio::time::timeout;

use crate::conn::Conn;
use crate::head::{Framing, HeadError, chunk_size};
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::trace::Trace;

/// The end of a body at which it is written. Dropped before [`Feed::finish`], it breaks the
/// request off: half a body must not look like a whole one.
pub(crate) struct Feed(Option<Sender<Bytes, io::Error>>);

/// A body and its feed.
pub(crate) fn channel() -> (Feed, BoxBody<Bytes, io::Error>) {
    let (sender, body) = Channel::new(1);
    (Feed(Some(sender)), body.boxed())
}

impl Feed {
    /// Writes; false when nobody reads any more, which the answer will explain.
    async fn write(&mut self, data: Bytes, patience: Duration) -> Result<bool, Refusal> {
        let Some(sender) = &mut self.0 else {
            return Ok(false);
        };
        let sent = timeout(patience, sender.send_data(data)).await;
        Ok(sent.map_err(|_| Refusal::Idle)?.is_ok())
    }

    fn finish(mut self) {
        self.0 = None;
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            sender.abort(io::ErrorKind::ConnectionAborted.into());
        }
    }
}

/// Reads a body from the client into its feed. False when the server wanted no more of it: it has
/// answered already, or is gone, and its side tells.
pub(crate) async fn pump<S: AsyncRead + Unpin>(
    shared: &Shared,
    conn: &mut Conn<S>,
    framing: Framing,
    mut feed: Feed,
    trace: &Trace,
) -> Result<bool, Refusal> {
    match framing {
        Framing::None => {}
        Framing::Length(length) => {
            if !pass(shared, conn, length, &mut feed, trace).await? {
                return Ok(false);
            }
        }
        Framing::Chunked => loop {
            let size = chunk_size(&line(shared, conn).await?)?;
            if size == 0 {
                let end = line(shared, conn).await?;
                if !end.is_empty() {
                    return Err(HeadError::Malformed("a body with trailers").into());
                }
                break;
            }
            if !pass(shared, conn, size, &mut feed, trace).await? {
                return Ok(false);
            }
            if !line(shared, conn).await?.is_empty() {
                return Err(HeadError::Malformed("a chunk is longer than its size").into());
            }
        },
    }
    feed.finish();
    Ok(true)
}

/// Passes exactly `count` bytes; false when nobody reads them any more.
async fn pass<S: AsyncRead + Unpin>(
    shared: &Shared,
    conn: &mut Conn<S>,
    mut count: u64,
    feed: &mut Feed,
    trace: &Trace,
) -> Result<bool, Refusal> {
    while count > 0 {
        if conn.ahead.is_empty() {
            more(shared, conn).await?;
        }
        let here = usize::try_from(count)
            .unwrap_or(usize::MAX)
            .min(conn.ahead.len());
        let data = conn.ahead.split_to(here).freeze();
        trace.up(here)?;
        count -= here as u64;
        if !feed.write(data, shared.limits.idle).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads a short line, without its line end.
async fn line<S: AsyncRead + Unpin>(shared: &Shared, conn: &mut Conn<S>) -> Result<Bytes, Refusal> {
    const MOST: usize = 32;
    loop {
        if let Some(end) = conn
            .ahead
            .windows(2)
            .take(MOST)
            .position(|two| two == b"\r\n")
        {
            let line = conn.ahead.split_to(end + 2).freeze();
            return Ok(line.slice(..end));
        }
        if conn.ahead.len() > MOST {
            return Err(HeadError::Malformed("a chunk's line is too long").into());
        }
        more(shared, conn).await?;
    }
}

async fn more<S: AsyncRead + Unpin>(shared: &Shared, conn: &mut Conn<S>) -> Result<(), Refusal> {
    let read = timeout(shared.limits.idle, conn.more()).await;
    match read.map_err(|_| Refusal::Idle)? {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(Refusal::Gone),
    }
}
