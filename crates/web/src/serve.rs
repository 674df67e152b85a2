//! The server: takes connections and gives their requests to the router.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use recto_service::{Service, Tokens};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::guard::Peer;
use crate::router::router;

/// How long a client may take to send a request's head.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long requests may take to end at shutdown. Streams end at once.
const GRACE: Duration = Duration::from_secs(10);
/// How long to wait when no connection can be taken, for example for want of descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// What is served, and how.
pub struct Api {
    /// The use cases.
    pub service: Service,
    /// Who is let in.
    pub tokens: Tokens,
    /// How.
    pub options: Options,
}

/// How the API is served.
#[derive(Clone, Debug)]
pub struct Options {
    /// The names that the server answers to besides those of loopback, without ports.
    pub hosts: Vec<String>,
    /// Requests that one token may send per second, and four times as many at once.
    pub requests_per_second: NonZeroU32,
    /// Connections at once, streams included; more wait.
    pub connections: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            requests_per_second: const { NonZeroU32::new(100).unwrap() },
            connections: 10_000,
        }
    }
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// What is configured as a name of the server is none.
    #[error("{0:?} is not a host name: write it without scheme, port and path")]
    Host(String),
}

/// Serves until `shutdown`, then ends all streams, lets requests end, and returns.
///
/// # Errors
/// When the options can't be used. A connection that fails ends alone.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    shutdown: CancellationToken,
) -> Result<(), WebError> {
    let room = Arc::new(Semaphore::new(api.options.connections));
    let router = router(api, shutdown.clone())?;
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let permit = Arc::clone(&room).acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accepted => accepted,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                let watcher = graceful.watcher();
                let connection = converse(stream, peer, router.clone(), watcher, permit);
                connections.spawn(connection);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests did not end in time");
    }
    connections.shutdown().await;
    Ok(())
}

/// Answers the requests of one connection.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    watcher: Watcher,
    _permit: Option<OwnedSemaphorePermit>,
) {
    // Only makes events late if it fails.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}
