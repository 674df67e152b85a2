//! Writes a server's answer towards the cell.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, UPGRADE};
use hyper_util::rt::TokioIo;
use recto_protocol::egress::Host;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::conn::Conn;
use crate::forward::{After, Failure, OWN};
use crate::head::Head;
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::splice::splice;
use crate::trace::Trace;

/// Passes the answer back; false when the connection can't be used any more.
pub(crate) async fn pass_back<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    conn: &mut Conn<S>,
    head: &Head,
    host: &Host,
    answer: hyper::Response<Incoming>,
    trace: &Trace,
) -> Result<bool, Failure> {
    let late = |refusal: Refusal| (refusal, true);
    let (parts, mut body) = answer.into_parts();
    let bare = head.method == "HEAD"
        || parts.status == StatusCode::NO_CONTENT
        || parts.status == StatusCode::NOT_MODIFIED;
    let length = body.size_hint().exact();
    let chunked = !bare && length.is_none() && head.modern;
    let mut text = status_line(parts.status);
    copy_headers(&mut text, &parts.headers);
    match length {
        Some(length) if !bare => text.extend(format!("content-length: {length}\r\n").bytes()),
        None if chunked => text.extend(b"transfer-encoding: chunked\r\n"),
        // What a body would have had, or nothing: then the connection's end is its end.
        _ => {
            if let (true, Some(length)) = (bare, parts.headers.get(CONTENT_LENGTH)) {
                add_header(&mut text, CONTENT_LENGTH.as_str(), length);
            }
        }
    }
    let closing = !head.modern || head.lists("connection", "close");
    text.extend_from_slice(if closing {
        b"connection: close\r\n\r\n"
    } else {
        b"\r\n"
    });
    let idle = shared.limits.idle;
    conn.say(&text, idle).await.map_err(late)?;
    if bare {
        return Ok(true);
    }
    loop {
        let frame = timeout(idle, body.frame()).await;
        let frame = frame.map_err(|_| late(Refusal::Idle))?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| late(Refusal::Answer(host.clone())))?;
        // Trailers are dropped.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.is_empty() {
            continue;
        }
        trace.down(data.len()).map_err(late)?;
        let said = match chunked {
            true => conn.say(&chunk(&data), idle).await,
            false => conn.say(&data, idle).await,
        };
        said.map_err(late)?;
    }
    if chunked {
        conn.say(b"0\r\n\r\n", idle).await.map_err(late)?;
    }
    Ok(chunked || length.is_some())
}

fn chunk(data: &Bytes) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// Joins both sides after the server agreed to speak something else.
pub(crate) async fn switch<S: AsyncRead + AsyncWrite + Unpin + Send>(
    shared: &Shared,
    conn: &mut Conn<S>,
    host: &Host,
    websocket: bool,
    mut answer: hyper::Response<Incoming>,
    trace: &mut Trace,
) -> Result<After, Failure> {
    let odd = || (Refusal::Answer(host.clone()), false);
    let upgrade = answer.headers().get(UPGRADE);
    if !websocket || !upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        return Err(odd());
    }
    let mut text = status_line(answer.status());
    copy_headers(&mut text, answer.headers());
    text.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n\r\n");
    let outside = hyper::upgrade::on(&mut answer).await.map_err(|_| odd())?;
    let idle = shared.limits.idle;
    let said = conn.say(&text, idle).await;
    said.map_err(|refusal| (refusal, true))?;
    let spliced = splice(conn, TokioIo::new(outside), trace, idle).await;
    spliced.map_err(|refusal| (refusal, true))?;
    Ok(After::Close)
}

/// The server's own reason phrase is not repeated.
fn status_line(status: StatusCode) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or("Answer");
    format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes()
}

fn copy_headers(text: &mut Vec<u8>, headers: &HeaderMap) {
    let listed = headers
        .get_all(CONNECTION)
        .iter()
        .map(HeaderValue::as_bytes);
    let listed: Vec<String> = listed
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
        .collect();
    for (name, value) in headers {
        let name = name.as_str();
        if !OWN.contains(&name) && !listed.iter().any(|held| held == name) {
            add_header(text, name, value);
        }
    }
}

/// A header value has no line ends: its type holds that.
fn add_header(text: &mut Vec<u8>, name: &str, value: &HeaderValue) {
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b": ");
    text.extend_from_slice(value.as_bytes());
    text.extend_from_slice(b"\r\n");
}
