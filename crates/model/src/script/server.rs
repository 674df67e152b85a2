//! The scripted model as a loopback server that speaks the Responses wire.
//!
//! For tests and benchmarks of whole programs. Any number of sessions may use it at once: each is
//! told by its `prompt_cache_key`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Script;
use super::expect::Asked;
use super::position::Memory;
use super::reply::{self, Outcome};
use super::wire::Dress;

mod answer;
mod log;

use answer::Body;
pub use log::Recorded;

/// How a server answers and what it keeps.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How the bytes of streams look.
    pub dress: Dress,
    /// Forget requests once they are answered, for long benchmarks.
    pub forget_requests: bool,
    /// A file to which every request is added as one line of JSON, keys masked.
    pub requests_file: Option<PathBuf>,
}

/// A server that answers from a script until its handle stops it.
pub struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
    handle: Handle,
}

/// Looks at a server and stops it. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Arc<watch::Sender<bool>>,
}

struct Shared {
    script: Script,
    memory: Memory,
    options: Options,
    log: log::Log,
    connections: AtomicUsize,
}

impl Server {
    /// A server on `listener`. It answers once [`Server::run`] runs.
    ///
    /// # Errors
    /// When the listener has no address or the requests file cannot be opened.
    pub fn new(listener: TcpListener, script: Script, options: Options) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let log = log::Log::open(options.requests_file.as_deref(), !options.forget_requests)?;
        let shared = Arc::new(Shared {
            script,
            memory: Memory::default(),
            options,
            log,
            connections: AtomicUsize::new(0),
        });
        let (sender, stop) = watch::channel(false);
        let handle = Handle {
            address,
            shared: Arc::clone(&shared),
            stop: Arc::new(sender),
        };
        Ok(Self {
            listener,
            shared,
            stop,
            handle,
        })
    }

    /// The handle of this server.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Answers until the handle says stop; open connections are then closed.
    ///
    /// # Errors
    /// When no connection can be accepted any more.
    pub async fn run(mut self) -> io::Result<()> {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                _ = self.stop.wait_for(|stop| *stop) => return Ok(()),
                accepted = self.listener.accept() => {
                    let (stream, _) = accepted?;
                    // Only makes small pieces leave at once; it works without.
                    let _ = stream.set_nodelay(true);
                    self.shared.connections.fetch_add(1, Ordering::Relaxed);
                    connections.spawn(connection(stream, Arc::clone(&self.shared)));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

impl Handle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The `base_url` to give to a client.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// All requests so far, in the order in which they came; none when they are forgotten.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.log.all()
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Makes [`Server::run`] return.
    pub fn stop(&self) {
        // Nobody listens any more when it has already returned.
        let _ = self.stop.send(true);
    }
}

async fn connection(stream: tokio::net::TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request| serve(request, &shared));
    // A client that goes away, or is cut off on purpose, is no error here.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn serve(
    request: hyper::Request<Incoming>,
    shared: &Shared,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    if head.method != Method::POST || !path.trim_end_matches('/').ends_with("/responses") {
        let what = format!("{} {path} is not served: POST …/responses is", head.method);
        return Ok(answer::error(StatusCode::NOT_FOUND, "not_found", &what));
    }
    let Ok(body) = body.collect().await else {
        let what = "the request's body broke off";
        return Ok(answer::error(StatusCode::BAD_REQUEST, "bad_body", what));
    };
    let recorded = Recorded::new(&head, &body.to_bytes());
    let response = respond(&recorded, shared);
    if let Err(error) = shared.log.add(recorded) {
        let what = format!("cannot write the requests file: {error}");
        return Ok(answer::error(
            StatusCode::BAD_REQUEST,
            super::MISMATCH,
            &what,
        ));
    }
    Ok(response)
}

fn respond(recorded: &Recorded, shared: &Shared) -> Response<Body> {
    let asked = match Asked::read(&recorded.body) {
        Ok(asked) => asked,
        Err(error) => {
            let what = format!("the request's body is not as the API has it: {error}");
            return answer::error(StatusCode::BAD_REQUEST, "bad_body", &what);
        }
    };
    match shared.script.reply(&asked, &shared.memory) {
        Ok(reply::Reply {
            outcome: Outcome::Answer(it),
            ..
        }) => answer::stream(&it, &shared.options.dress),
        Ok(reply::Reply {
            outcome: Outcome::Http(error),
            ..
        }) => answer::http(&error),
        Ok(reply::Reply {
            outcome: Outcome::Recorded(error),
            ..
        }) => answer::recorded(&error),
        Err(error) => answer::error(StatusCode::BAD_REQUEST, super::MISMATCH, &error.message),
    }
}
