//! The service in one process: store, places, worker, reaper and API, put together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use recto_protocol::WorkerId;
use recto_protocol::ports::tasks::TaskStore;
use recto_service::{Hints, Outside, Pace, Reaper, Service, Worker, WorkerError};
use recto_store::{Lock, LockError, Tasks};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::home::{Home, make_private};
use super::service::Places;
use crate::args::Role;
use crate::exit::Failure;

/// The file by which clients on this machine find the server.
const FILE: &str = "server.json";

/// What to serve, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Further names that clients may use.
    pub hosts: Vec<String>,
    /// Attempts that run at once.
    pub capacity: usize,
    /// A PostgreSQL database; none keeps everything below the program's own directory.
    pub store: Option<String>,
    /// What this process does.
    pub role: Role,
    /// After how long a silent worker is given up.
    pub lease: Duration,
    /// Whether clients on this machine may find it by its file.
    pub is_announced: bool,
}

/// A service that runs in this process.
pub struct Server {
    /// Where it answers; none for a worker.
    pub url: Option<String>,
    /// The token that may do everything.
    pub token: String,
    shutdown: CancellationToken,
    parts: JoinSet<Result<(), Failure>>,
    /// Removed at the end.
    announced: Option<PathBuf>,
    store: Tasks,
    _lock: Option<Lock>,
}
