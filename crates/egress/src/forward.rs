//! Passes one allowed request on, and its answer back. Both are written anew, so that each side
//! sees only what was understood here.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE,
};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use recto_protocol::egress::Host;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use crate::answer::{pass_back, switch};
use crate::body::{self, Feed};
use crate::conn::Conn;
use crate::dial::{Destination, dial, dial_plain};
use crate::head::{Framing, Head, HeadError};
use crate::judge::{Granted, host_rule};
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::trace::Trace;

/// A request that was allowed.
pub(crate) struct Request<'a> {
    pub(crate) head: &'a Head,
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// With the query.
    pub(crate) path: String,
    pub(crate) tls: bool,
    pub(crate) granted: Granted,
}

/// What comes after a request.
pub(crate) enum After {
    /// The next one.
    Next,
    /// The connection's end.
    Close,
    /// The client wants to be joined to this host and port.
    Join(Host, u16),
}

/// A connection to the outside that may serve further requests.
pub(crate) struct Link {
    to: Destination,
    sender: SendRequest<BoxBody<Bytes, io::Error>>,
    /// An upstream proxy is at the other end; its `Proxy-Authorization`.
    proxy: Option<Option<String>>,
    _driver: AbortOnDropHandle<()>,
}

/// A failure, and whether an answer has begun, so that the reason can't be told any more.
pub(crate) type Failure = (Refusal, bool);

/// Passes a request on and its answer back.
pub(crate) async fn forward<S: AsyncRead + AsyncWrite + Unpin + Send>(
    shared: &Arc<Shared>,
    conn: &mut Conn<S>,
    request: Request<'_>,
    link: &mut Option<Link>,
    trace: &mut Trace,
) -> Result<After, Failure> {
    let early = |refusal: Refusal| (refusal, false);
    let head = request.head;
    let framing = head.framing().map_err(|error| early(error.into()))?;
    let waits = expects(head).map_err(early)? && framing != Framing::None;
    let websocket = head.lists("upgrade", "websocket") && head.lists("connection", "upgrade");
    if websocket && request.granted.limited {
        return Err(early(Refusal::Upgrade(host_rule(
            &request.host,
            request.port,
        ))));
    }
    let mut held = reach(shared, &request, link.take()).await.map_err(early)?;
    let (feed, body) = match framing {
        Framing::None => (None, Empty::new().map_err(|never| match never {}).boxed()),
        Framing::Length(_) | Framing::Chunked => {
            let (feed, body) = body::channel();
            (Some(feed), body)
        }
    };
    let outgoing = outgoing(shared, &request, framing, websocket, &held, body).map_err(early)?;
    if waits {
        let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
        let said = conn.say(go_on, shared.limits.idle).await;
        said.map_err(|refusal| (refusal, true))?;
    }
    let answered = exchange(
        shared,
        conn,
        &request.host,
        &mut held,
        outgoing,
        framing,
        feed,
        trace,
    );
    let (answer, consumed) = answered.await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return switch(shared, conn, &request.host, websocket, answer, trace).await;
    }
    let whole = pass_back(shared, conn, head, &request.host, answer, trace).await?;
    let close = !head.modern || head.lists("connection", "close");
    if !whole || !consumed || close {
        return Ok(After::Close);
    }
    *link = Some(held);
    Ok(After::Next)
}

/// A link to the request's host: the one at hand if it still serves.
async fn reach(
    shared: &Shared,
    request: &Request<'_>,
    held: Option<Link>,
) -> Result<Link, Refusal> {
    let to = Destination {
        host: request.host.clone(),
        port: request.port,
        private: request.granted.private,
    };
    if let Some(mut link) = held
        && link.to == to
        && let Ok(Ok(())) = timeout(shared.limits.connect, link.sender.ready()).await
    {
        return Ok(link);
    }
    if request.tls {
        let conn = dial(shared, &to).await?;
        let config = shared.client(&to.host).await?;
        let tls = |why: String| Refusal::Tls {
            host: to.host.clone(),
            why,
        };
        let name = to.host.to_string();
        let name = ServerName::try_from(name.trim_matches(['[', ']']).to_owned());
        let name = name.map_err(|error| tls(error.to_string()))?;
        let connected = TlsConnector::from(config).connect(name, conn);
        let stream = timeout(shared.limits.connect, connected).await;
        let stream = stream.map_err(|_| tls("it did not answer in time".to_owned()))?;
        let stream = stream.map_err(|error| tls(error.to_string()))?;
        return speak(stream, to, None).await;
    }
    let (conn, hop) = dial_plain(shared, &to).await?;
    let proxy = hop.map(|hop| hop.authorization.clone());
    speak(conn, to, proxy).await
}

async fn speak<T>(
    stream: T,
    to: Destination,
    proxy: Option<Option<String>>,
) -> Result<Link, Refusal>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let spoken = Builder::new().handshake(TokioIo::new(stream)).await;
    let (sender, driver) = spoken.map_err(|_| Refusal::Answer(to.host.clone()))?;
    let driver = tokio::spawn(async move {
        // What went wrong is told to whoever waits for the answer.
        let _ = driver.with_upgrades().await;
    });
    Ok(Link {
        to,
        sender,
        proxy,
        _driver: AbortOnDropHandle::new(driver),
    })
}

/// Whether the client waits to be told to go on before it sends its body.
fn expects(head: &Head) -> Result<bool, Refusal> {
    match head.only("expect")? {
        None => Ok(false),
        Some(what) if what.eq_ignore_ascii_case("100-continue") => Ok(true),
        Some(_) => Err(HeadError::Malformed("it expects what is not known").into()),
    }
}

/// Headers that are about one connection only, and those written anew.
pub(crate) const OWN: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn outgoing(
    shared: &Shared,
    request: &Request<'_>,
    framing: Framing,
    websocket: bool,
    link: &Link,
    body: BoxBody<Bytes, io::Error>,
) -> Result<hyper::Request<BoxBody<Bytes, io::Error>>, Refusal> {
    let bad = |_| Refusal::Head(HeadError::Malformed("it can't be passed on"));
    let default = if request.tls { 443 } else { 80 };
    let authority = match request.port {
        port if port == default => request.host.to_string(),
        port => format!("{}:{port}", request.host),
    };
    let method = Method::from_bytes(request.head.method.as_bytes());
    let uri = match &link.proxy {
        Some(_) => format!("http://{authority}{}", request.path),
        None => request.path.clone(),
    };
    let mut outgoing = hyper::Request::builder()
        .method(method.map_err(|error| bad(error.into()))?)
        .uri(uri)
        .body(body)
        .map_err(bad)?;
    let header = |value: &str| HeaderValue::from_str(value).map_err(|error| bad(error.into()));
    let headers = outgoing.headers_mut();
    headers.insert(HOST, header(&authority)?);
    let listed = request.head.tokens("connection");
    for (name, value) in &request.head.headers {
        if OWN.contains(&name.as_str()) || listed.contains(name) {
            continue;
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| bad(error.into()))?;
        let value = HeaderValue::from_bytes(value).map_err(|error| bad(error.into()))?;
        headers.append(name, value);
    }
    if let Framing::Length(length) = framing {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if websocket {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    if let Some(Some(value)) = &link.proxy {
        headers.insert(hyper::header::PROXY_AUTHORIZATION, header(value)?);
    }
    inject(shared, request, headers)?;
    Ok(outgoing)
}

/// Puts the rule's credential in the place of whatever the client sent under that name.
fn inject(shared: &Shared, request: &Request<'_>, headers: &mut HeaderMap) -> Result<(), Refusal> {
    let name = request.granted.inject.as_ref();
    let Some(credential) = name.and_then(|name| shared.credentials.get(name)) else {
        return Ok(());
    };
    let bad = |_| Refusal::Head(HeadError::Malformed("its credential is no header"));
    let name = HeaderName::from_bytes(credential.header.as_bytes()).map_err(|_| bad(()))?;
    let mut value = HeaderValue::from_str(&credential.value).map_err(|_| bad(()))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// Sends the request and its body until the answer's head is there. Also says whether the whole
/// body was taken.
#[allow(
    clippy::too_many_arguments,
    reason = "the parts of one exchange, used here only"
)]
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    conn: &mut Conn<S>,
    host: &Host,
    link: &mut Link,
    outgoing: hyper::Request<BoxBody<Bytes, io::Error>>,
    framing: Framing,
    feed: Option<Feed>,
    trace: &Trace,
) -> Result<(hyper::Response<Incoming>, bool), Failure> {
    let mut pumping = feed.is_some();
    let mut whole = !pumping;
    let pumped = async {
        match feed {
            Some(feed) => body::pump(shared, conn, framing, feed, trace).await,
            None => Ok(true),
        }
    };
    let mut pumped = std::pin::pin!(pumped);
    let mut sent = std::pin::pin!(link.sender.send_request(outgoing));
    loop {
        tokio::select! {
            done = &mut pumped, if pumping => {
                whole = done.map_err(|refusal| (refusal, false))?;
                pumping = false;
            }
            answer = &mut sent => {
                let answer = answer.map_err(|_| (Refusal::Answer(host.clone()), false))?;
                return Ok((answer, whole));
            }
            // While the body goes out, its own timeouts hold: an upload may take its time.
            () = sleep(shared.limits.idle), if !pumping => return Err((Refusal::Idle, false)),
        }
    }
}
