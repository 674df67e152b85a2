//! Connects to the outside: resolve, check, and connect to the very address that was checked.

use std::net::{IpAddr, SocketAddr};

use recto_protocol::egress::Host;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};

use crate::address::{Reach, reach};
use crate::conn::Conn;
use crate::refusal::Refusal;
use crate::shared::{Judged, Shared};
use crate::upstream::Hop;

/// For one of several addresses to answer, so that a dead one does not use up all the time.
const EACH: Duration = Duration::from_secs(5);

/// Most bytes of an upstream proxy's answer to `CONNECT`.
const MOST_ANSWER: usize = 16 * 1024;

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// Whether it may have a private address.
    pub(crate) private: bool,
}

/// A connection to the destination, through the upstream proxy where there is one.
pub(crate) async fn dial(shared: &Shared, to: &Destination) -> Result<Conn<TcpStream>, Refusal> {
    let connected = async {
        match shared.upstream.hop(&to.host, false) {
            Some(hop) => through(shared, hop, to).await,
            None => straight(shared, to).await.map(Conn::new),
        }
    };
    in_time(shared, to, connected).await
}

/// A connection for a plain request, and the upstream proxy at its other end, if there is one.
pub(crate) async fn dial_plain<'a>(
    shared: &'a Shared,
    to: &Destination,
) -> Result<(Conn<TcpStream>, Option<&'a Hop>), Refusal> {
    let hop = shared.upstream.hop(&to.host, true);
    let connected = async {
        match hop {
            Some(hop) => {
                check_unseen(to)?;
                reach_hop(shared, hop, to).await.map(Conn::new)
            }
            None => straight(shared, to).await.map(Conn::new),
        }
    };
    Ok((in_time(shared, to, connected).await?, hop))
}

async fn in_time<T>(
    shared: &Shared,
    to: &Destination,
    connected: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let late = |_| failed(to, "it did not answer in time");
    timeout(shared.limits.connect, connected)
        .await
        .map_err(late)?
}

async fn straight(shared: &Shared, to: &Destination) -> Result<TcpStream, Refusal> {
    let addresses = match &to.host {
        // A rule names this very address, or learning is on.
        Host::Address(address) => vec![*address],
        Host::Name(name) => {
            let found = shared.resolver.resolve(name).await;
            let found = found.map_err(|_| Refusal::Resolve(to.host.clone()))?;
            // One forbidden address spoils the name: an honest one has none.
            found.iter().try_for_each(|address| check(to, *address))?;
            found
        }
    };
    if addresses.is_empty() {
        return Err(Refusal::Resolve(to.host.clone()));
    }
    let stream = connect(to, to.port, &addresses).await?;
    refuse_itself(shared, to, &stream)?;
    Ok(stream)
}

/// Refuses a connection to this machine by one of its public addresses: services that a firewall
/// keeps from others would take it for a friend.
fn refuse_itself(shared: &Shared, to: &Destination, stream: &TcpStream) -> Result<(), Refusal> {
    let is_named =
        matches!(to.host, Host::Address(_)) && !matches!(shared.permission, Judged::Everything);
    let (Ok(own), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else {
        return Err(failed(to, "it went away"));
    };
    if own.ip() != peer.ip() || to.private || is_named {
        return Ok(());
    }
    Err(Refusal::Private {
        host: to.host.clone(),
        port: to.port,
        address: peer.ip(),
    })
}

/// Whether a name may have this address.
fn check(to: &Destination, address: IpAddr) -> Result<(), Refusal> {
    match reach(address) {
        Reach::Public => Ok(()),
        Reach::Private if to.private => Ok(()),
        Reach::Private => Err(Refusal::Private {
            host: to.host.clone(),
            port: to.port,
            address,
        }),
        Reach::Special => Err(Refusal::Special {
            host: to.host.clone(),
            address,
        }),
    }
}

async fn connect(to: &Destination, port: u16, addresses: &[IpAddr]) -> Result<TcpStream, Refusal> {
    let mut why = "it has no address".to_owned();
    for address in addresses {
        match timeout(EACH, TcpStream::connect(SocketAddr::new(*address, port))).await {
            Ok(Ok(stream)) => {
                // Small requests must not wait for one another's acknowledgements.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => why = error.kind().to_string(),
            Err(_) => why = "it did not answer in time".to_owned(),
        }
    }
    Err(failed(to, &why))
}

fn failed(to: &Destination, why: &str) -> Refusal {
    Refusal::Connect {
        host: to.host.clone(),
        port: to.port,
        why: why.to_owned(),
    }
}

/// What can be checked of a host that somebody else resolves.
fn check_unseen(to: &Destination) -> Result<(), Refusal> {
    match &to.host {
        Host::Name(name) if name.is_private() && !to.private => {
            Err(Refusal::PrivateName(to.host.clone()))
        }
        Host::Name(_) | Host::Address(_) => Ok(()),
    }
}

/// Connects to an upstream proxy. Its address is the operator's word and not checked.
async fn reach_hop(shared: &Shared, hop: &Hop, to: &Destination) -> Result<TcpStream, Refusal> {
    let addresses = match &hop.host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => {
            let found = shared.resolver.resolve(name).await;
            found.map_err(|_| failed(to, "the upstream proxy could not be resolved"))?
        }
    };
    connect(to, hop.port, &addresses)
        .await
        .map_err(|_| failed(to, "the upstream proxy could not be reached"))
}

/// Connects through an upstream proxy, by name.
async fn through(shared: &Shared, hop: &Hop, to: &Destination) -> Result<Conn<TcpStream>, Refusal> {
    check_unseen(to)?;
    let mut conn = Conn::new(reach_hop(shared, hop, to).await?);
    let authority = format!("{}:{}", to.host, to.port);
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(value) = &hop.authorization {
        request.push_str(&format!("Proxy-Authorization: {value}\r\n"));
    }
    request.push_str("\r\n");
    let broke = |_| failed(to, "the upstream proxy broke the connection");
    conn.write_all(request.as_bytes()).await.map_err(broke)?;
    loop {
        if let Some(end) = conn.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
            let answer = conn.ahead.split_to(end + 4);
            let ok = answer.starts_with(b"HTTP/1.1 2") || answer.starts_with(b"HTTP/1.0 2");
            let code = answer
                .get(9..12)
                .map(String::from_utf8_lossy)
                .unwrap_or_default();
            let why = format!("the upstream proxy answered {code}");
            return if ok { Ok(conn) } else { Err(failed(to, &why)) };
        }
        if conn.ahead.len() > MOST_ANSWER || !conn.more().await.map_err(broke)? {
            return Err(failed(to, "the upstream proxy gave no answer"));
        }
    }
}
