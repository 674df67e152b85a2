//! Reads requests one after the other, and judges each.

use std::sync::Arc;

use recto_protocol::egress::Host;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Duration, timeout};

use crate::conn::Conn;
use crate::forward::{After, Link, Request, forward};
use crate::head::{Framing, Head, HeadError, read_head};
use crate::judge;
use crate::refusal::Refusal;
use crate::shared::{Judged, Shared};
use crate::target::{Target, TargetError, read_authority, read_target};
use crate::trace::Trace;

/// For a client to take a refusal before its connection is reset.
const LINGER: Duration = Duration::from_secs(2);

/// Most bytes that are read to that end.
const MOST_LINGERED: u64 = 1 << 20;

/// Serves requests until the connection ends, or asks to be joined to a host and port, which is
/// returned. `inside`: the host and port whose TLS was opened; none: plain requests to a proxy.
pub(crate) async fn requests<S: AsyncRead + AsyncWrite + Unpin + Send>(
    shared: &Arc<Shared>,
    conn: &mut Conn<S>,
    inside: Option<(&Host, u16)>,
) -> Option<(Host, u16)> {
    let mut link = None;
    let mut patience = shared.limits.greeting;
    loop {
        let head = match next_head(shared, conn, patience).await {
            Ok(head) => head?,
            Err(refusal) => {
                refuse(shared, conn, Trace::unread(shared, ""), &refusal, true).await;
                return None;
            }
        };
        patience = shared.limits.idle;
        match one(shared, conn, &head, inside, &mut link).await {
            After::Next => {}
            After::Close => return None,
            After::Join(host, port) => return Some((host, port)),
        }
    }
}

/// The next request's head; none when the connection ended before it. `patience` is for its first
/// byte.
async fn next_head<S: AsyncRead + Unpin>(
    shared: &Shared,
    conn: &mut Conn<S>,
    patience: Duration,
) -> Result<Option<Head>, Refusal> {
    if conn.ahead.is_empty() {
        match timeout(patience, conn.more()).await {
            // Idle connections are closed without a word.
            Err(_) | Ok(Ok(false) | Err(_)) => return Ok(None),
            Ok(Ok(true)) => {}
        }
    }
    let read = async {
        let mut searched = 0;
        loop {
            // Searching all of it again for each byte that trickles in would be work for nothing.
            let end = conn.ahead[searched..]
                .windows(4)
                .any(|four| four == b"\r\n\r\n");
            let worth = end || searched == 0 || conn.ahead.len() >= shared.limits.head.bytes;
            if worth && let Some((head, length)) = read_head(&conn.ahead, shared.limits.head)? {
                let _ = conn.ahead.split_to(length);
                return Ok(Some(head));
            }
            searched = conn.ahead.len().saturating_sub(3);
            if !conn.more().await.map_err(|_| Refusal::Gone)? {
                return Err(Refusal::Gone);
            }
        }
    };
    timeout(shared.limits.greeting, read)
        .await
        .map_err(|_| Refusal::Slow)?
}

async fn one<S: AsyncRead + AsyncWrite + Unpin + Send>(
    shared: &Arc<Shared>,
    conn: &mut Conn<S>,
    head: &Head,
    inside: Option<(&Host, u16)>,
    link: &mut Option<Link>,
) -> After {
    let body = head.method != "HEAD";
    let aim = match aim(shared, head, inside) {
        Ok(Aim::Join(host, port)) => return After::Join(host, port),
        Ok(Aim::Ask(aim)) => aim,
        Err(refusal) => {
            let trace = unaimed(shared, head, inside);
            refuse(shared, conn, trace, &refusal, body).await;
            return After::Close;
        }
    };
    let (host, port, path) = aim;
    let mut trace = Trace::new(shared, &host, port, &head.method, Some(&path));
    let granted = match judge::request(shared, &host, port, &head.method, &path) {
        Ok(granted) if granted.inject.is_some() && inside.is_none() => {
            refuse(shared, conn, trace, &Refusal::Plain(host), body).await;
            return After::Close;
        }
        Ok(granted) => granted,
        Err(refusal) => {
            refuse(shared, conn, trace, &refusal, body).await;
            return After::Close;
        }
    };
    trace.allowed(&granted);
    let request = Request {
        head,
        host,
        port,
        path,
        tls: inside.is_some(),
        granted,
    };
    match forward(shared, conn, request, link, &mut trace).await {
        Ok(after) => after,
        Err((refusal, false)) => {
            refuse(shared, conn, trace, &refusal, body).await;
            After::Close
        }
        Err((refusal, true)) => {
            trace.ended(&refusal);
            After::Close
        }
    }
}

enum Aim {
    Join(Host, u16),
    Ask((Host, u16, String)),
}

/// What a request is aimed at, when it says so in one way only.
fn aim(shared: &Shared, head: &Head, inside: Option<(&Host, u16)>) -> Result<Aim, Refusal> {
    if head.method == "TRACE" {
        // Its answer holds the request, and thus what was added to it.
        return Err(Refusal::Method("TRACE"));
    }
    if head.method == "CONNECT" && inside.is_some() {
        return Err(Refusal::Method("CONNECT"));
    }
    let silent = matches!(shared.permission, Judged::Nothing);
    let target = read_target(&head.method, &head.target).map_err(|error| {
        // Without a network the reason is that, however strange the request.
        if silent {
            Refusal::NoNetwork
        } else {
            error.into()
        }
    })?;
    let framing = head.framing()?;
    match (target, inside) {
        (Target::Connect(host, port), _) => {
            if framing != Framing::None {
                return Err(HeadError::Malformed("CONNECT with a body").into());
            }
            // Old clients send none, and some leave the port out.
            check_host(head, &host, port, port, false)?;
            Ok(Aim::Join(host, port))
        }
        (Target::Absolute(host, port, path), None) => {
            check_host(head, &host, port, 80, head.modern)?;
            Ok(Aim::Ask((host, port, path)))
        }
        (Target::Origin(path), Some((host, port))) => {
            check_host(head, host, port, 443, true)?;
            Ok(Aim::Ask((host.clone(), port, path)))
        }
        (Target::Origin(_), None) if silent => Err(Refusal::NoNetwork),
        (Target::Origin(_), None) | (Target::Absolute(..), Some(_)) => {
            Err(TargetError::Scheme.into())
        }
    }
}

fn check_host(
    head: &Head,
    host: &Host,
    port: u16,
    default: u16,
    needed: bool,
) -> Result<(), Refusal> {
    let Some(named) = head.only("host")? else {
        return if needed {
            Err(Refusal::HostHeader)
        } else {
            Ok(())
        };
    };
    let (other, other_port) = read_authority(named).map_err(|_| Refusal::HostHeader)?;
    if other == *host && other_port.unwrap_or(default) == port {
        Ok(())
    } else {
        Err(Refusal::HostHeader)
    }
}

/// The trace of a request that is refused for its form.
fn unaimed(shared: &Arc<Shared>, head: &Head, inside: Option<(&Host, u16)>) -> Trace {
    let target = read_target(&head.method, &head.target).ok();
    match (target, inside) {
        (Some(Target::Connect(host, port)), _) => {
            Trace::new(shared, &host, port, &head.method, None)
        }
        (Some(Target::Absolute(host, port, path)), _) => {
            Trace::new(shared, &host, port, &head.method, Some(&path))
        }
        (Some(Target::Origin(path)), Some((host, port))) => {
            Trace::new(shared, host, port, &head.method, Some(&path))
        }
        _ => Trace::unread(shared, &head.method),
    }
}

/// Answers with a refusal, tells of it, and closes. `body`: whether the answer may have one.
pub(crate) async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    conn: &mut Conn<S>,
    mut trace: Trace,
    refusal: &Refusal,
    body: bool,
) {
    trace.ended(refusal);
    drop(trace);
    let said = conn.say(&refusal.answer(body), shared.limits.idle).await;
    if said.is_ok() {
        linger(conn).await;
    }
}

/// Ends a connection so that what was written arrives: closing with unread bytes would reset it.
pub(crate) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(conn: &mut Conn<S>) {
    let taken = async {
        conn.shutdown().await?;
        let mut rest = (&mut conn.stream).take(MOST_LINGERED);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    let _ = timeout(LINGER, taken).await;
}
