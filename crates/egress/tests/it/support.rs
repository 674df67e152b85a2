//! A world on loopback: servers outside that note what arrives, a resolver, and a proxy.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{LOCATION, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use recto_egress::{Limits, Options, Permission, Proxy, Resolve, Roots};
use recto_protocol::egress::{Name, RequestEvent, Rules, Verdict};
use recto_protocol::ports::cell::Gateway;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// What a server outside got.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(held, _)| held == name);
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// Servers on loopback, whom the proxy's resolver leads all names to.
pub(crate) struct World {
    pub(crate) plain: u16,
    pub(crate) tls: u16,
    /// Accepts connections, echoes what comes.
    pub(crate) raw: u16,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) resolver: Arc<Names>,
    pub(crate) trusted: CertificateDer<'static>,
    pub(crate) events: Events,
}

impl World {
    pub(crate) async fn new() -> Self {
        let authority = authority();
        let trusted = authority.der().clone();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let server = Server {
            seen: seen.clone(),
            connections: connections.clone(),
        };
        Self {
            plain: server.clone().serve(None).await,
            tls: server.clone().serve(Some(acceptor(&authority))).await,
            raw: server.echo().await,
            seen,
            connections,
            resolver: Arc::default(),
            trusted,
            events: Events::default(),
        }
    }

    /// A text with the servers' ports filled in.
    pub(crate) fn fill(&self, text: &str) -> String {
        text.replace("{P}", &self.plain.to_string())
            .replace("{T}", &self.tls.to_string())
            .replace("{R}", &self.raw.to_string())
    }

    pub(crate) fn rules<T: AsRef<str>>(&self, rules: &[T]) -> Permission {
        let rules = rules.iter().map(|rule| self.fill(rule.as_ref()));
        Permission::Rules(Rules::parse(rules).unwrap())
    }

    pub(crate) fn options(&self, permission: Permission) -> Options {
        Options {
            resolver: self.resolver.clone(),
            roots: Roots::Only(vec![self.trusted.clone()]),
            limits: Limits {
                connect: Duration::from_secs(5),
                ..Limits::default()
            },
            ..Options::new(permission, Arc::new(self.events.clone()))
        }
    }

    pub(crate) fn proxy<T: AsRef<str>>(&self, rules: &[T]) -> Proxy {
        Proxy::start(self.options(self.rules(rules))).unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    pub(crate) fn hits(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A connection through a door: the client's end.
pub(crate) async fn door(proxy: &Proxy, number: usize) -> TcpStream {
    let (client, server) = pair().await;
    proxy.connection(number, server);
    client
}

/// Two ends of a loopback connection.
pub(crate) async fn pair() -> (TcpStream, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = tokio::join!(client, listener.accept());
    let server = accepted.unwrap().0.into_std().unwrap();
    server.set_nonblocking(false).unwrap();
    (client.unwrap(), OwnedFd::from(server))
}

/// Sends bytes to the proxy and reads to the end. The sending side stays open.
pub(crate) async fn ask(proxy: &Proxy, bytes: &[u8]) -> String {
    let mut client = door(proxy, 0).await;
    // A refusal may come before all is sent.
    let _ = client.write_all(bytes).await;
    read_all(&mut client).await
}

pub(crate) async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    // A connection that is cut has said what it said.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads one head.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Asks to be joined to a host; the stream and the head of the answer.
pub(crate) async fn connect(proxy: &Proxy, target: &str) -> (TcpStream, String) {
    let mut client = door(proxy, 0).await;
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let head = read_head(&mut client).await;
    (client, head)
}

/// Events, as they come.
#[derive(Clone, Default)]
pub(crate) struct Events {
    told: Arc<Mutex<Vec<RequestEvent>>>,
    more: Arc<Notify>,
}

impl recto_egress::Observer for Events {
    fn request(&self, event: RequestEvent) -> bool {
        self.told.lock().unwrap().push(event);
        self.more.notify_one();
        true
    }
}

impl Events {
    /// The next `count` events.
    pub(crate) async fn next(&self, count: usize) -> Vec<RequestEvent> {
        loop {
            let more = self.more.notified();
            {
                let mut told = self.told.lock().unwrap();
                if told.len() >= count {
                    return told.drain(..count).collect();
                }
            }
            more.await;
        }
    }

    pub(crate) async fn one(&self) -> RequestEvent {
        self.next(1).await.remove(0)
    }
}

/// Why an event says that its request was refused.
pub(crate) fn reason(event: &RequestEvent) -> &str {
    match &event.verdict {
        Verdict::Refused { reason } => reason,
        Verdict::Allowed => "allowed",
    }
}

/// Names and what they lead to; by default loopback. Several answers are given one after another.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Names {
    pub(crate) fn set(&self, name: &str, answers: &[&[&str]]) {
        let answer = |addresses: &&[&str]| addresses.iter().map(|a| a.parse().unwrap()).collect();
        let answers = answers.iter().map(answer).collect();
        self.answers
            .lock()
            .unwrap()
            .insert(name.to_owned(), answers);
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, name: &Name) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_string());
        let mut answers = self.answers.lock().unwrap();
        match answers.get_mut(name.as_str()) {
            Some(left) if left.len() > 1 => Ok(left.remove(0)),
            Some(left) if left[0].is_empty() => Err(io::ErrorKind::NotFound.into()),
            Some(left) => Ok(left[0].clone()),
            None => Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]),
        }
    }
}

#[derive(Clone)]
struct Server {
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn serve(self, tls: Option<TlsAcceptor>) -> u16 {
        let (listener, port) = listen().await;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                self.connections.fetch_add(1, Ordering::SeqCst);
                let (server, tls) = (self.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => server.http(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                server.http(stream).await;
                            }
                        }
                    }
                });
            }
        });
        port
    }

    async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let service = service_fn(move |request| answer(self.seen.clone(), request));
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
    }

    async fn echo(self) -> u16 {
        let (listener, port) = listen().await;
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                self.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        port
    }
}

async fn answer(
    seen: Arc<Mutex<Vec<Seen>>>,
    mut request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let text =
        |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = request.headers().iter();
    let mut noted = Seen {
        method: request.method().to_string(),
        target: request.uri().to_string(),
        headers: headers
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        body: Vec::new(),
    };
    let mut response = Response::new(Full::from(format!("hello from {}\n", noted.target)));
    if noted.target.ends_with("/redirect") {
        *response.status_mut() = StatusCode::FOUND;
        let evil = "http://evil.example/".parse().unwrap();
        response.headers_mut().insert(LOCATION, evil);
    }
    if noted.target.ends_with("/ws") && request.headers().contains_key(UPGRADE) {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response
            .headers_mut()
            .insert(UPGRADE, "websocket".parse().unwrap());
        let connection = "upgrade".parse().unwrap();
        response
            .headers_mut()
            .insert(hyper::header::CONNECTION, connection);
        *response.body_mut() = Full::default();
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.unwrap());
            let mut four = [0; 4];
            stream.read_exact(&mut four).await.unwrap();
            stream.write_all(&four).await.unwrap();
        });
        seen.lock().unwrap().push(noted);
        return Ok(response);
    }
    if let Ok(body) = request.into_body().collect().await {
        noted.body = body.to_bytes().to_vec();
        seen.lock().unwrap().push(noted);
    }
    Ok(response)
}

pub(crate) async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// The hosts that the server outside has a certificate for.
const NAMES: &[&str] = &[
    "allowed.example",
    "limited.example",
    "inject.example",
    "plain-inject.example",
    "*.wild.example",
];

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn acceptor(authority: &CertifiedIssuer<'static, KeyPair>) -> TlsAcceptor {
    let names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, authority)
        .unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(ring())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A client that trusts one authority.
pub(crate) fn client(trusted: CertificateDer<'static>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    ClientConfig::builder_with_provider(ring())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// The authority of a proxy, as the cell is given it.
pub(crate) fn trusted(proxy: &Proxy) -> CertificateDer<'static> {
    use rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_slice(proxy.authority_pem().unwrap().as_bytes()).unwrap()
}

fn ring() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
