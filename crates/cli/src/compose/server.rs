//! The service in one process: store, places, worker, reaper and API, put together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use recto_protocol::WorkerId;
use recto_protocol::ports::tasks::TaskStore;
use recto_protocol::token::{NewToken, Scope};
use recto_service::{Hints, Outside, Pace, Reaper, Service, Tokens, Worker, WorkerError};
use recto_store::{Lock, LockError, Tasks};
use recto_web::Api;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::home::{Home, make_private};
use super::service::Places;
use crate::args::Role;
use crate::exit::Failure;

/// The file by which clients on this machine find the server.
const FILE: &str = "server.json";
/// The name of the token that it holds.
const OWN: &str = "this machine";

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
    /// Whether it ends with the command that it is part of, so that another may take its place.
    pub is_passing: bool,
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
    lock: Option<Lock>,
}

impl Server {
    /// Starts everything.
    ///
    /// # Errors
    /// When another one runs here, the store can't be opened, or the address can't be had.
    pub async fn start(home: &Home, options: Options) -> Result<Self, Failure> {
        let data = home.file("service");
        home.make()
            .and_then(|()| make_private(&data))
            .with_context(|| format!("cannot make {}", data.display()))
            .map_err(Failure::unavailable)?;
        let lock = match options.store {
            // Others are told from each other by the database.
            Some(_) => None,
            None => Some(only_one(&data)?),
        };
        let store = open_store(&data, options.store.as_deref()).await?;
        let listener = match options.role {
            Role::Worker => None,
            Role::All | Role::Server => Some(listen(options.listen).await?),
        };
        let places = Arc::new(Places::open(home)?);
        let hints = Hints::default();
        let tasks: Arc<dyn TaskStore> = Arc::new(store.clone());
        let service = Service::new(tasks, places, hints, outside());
        let pace = pace(options.lease);
        let mut reaper = Reaper::new(service.clone(), pace);
        if lock.is_some() {
            // Whoever worked here before is dead: the lock was free.
            reaper.take_over().await.map_err(Failure::unavailable)?;
            // Only disk space is lost where this fails.
            if let Err(error) = service.sweep().await {
                tracing::warn!(%error, "cannot remove what removed tasks have left");
            }
        }
        let mut server = Self {
            url: None,
            token: String::new(),
            shutdown: CancellationToken::new(),
            parts: JoinSet::new(),
            announced: None,
            store,
            lock,
        };
        if let Some(listener) = listener {
            server
                .answer(home, &options, listener, service.clone())
                .await?;
        }
        let shutdown = server.shutdown.clone();
        server.parts.spawn(async move {
            reaper.run(shutdown).await;
            Ok(())
        });
        if options.role != Role::Server {
            server.work(service, options.capacity, pace);
        }
        Ok(server)
    }

    /// Runs attempts until the shutdown. A worker that was given up begins anew under another id.
    fn work(&mut self, service: Service, capacity: usize, pace: Pace) {
        let shutdown = self.shutdown.clone();
        self.parts.spawn(async move {
            loop {
                let id = WorkerId(uuid::Uuid::now_v7().to_string());
                let worker = Worker::new(service.clone(), id, capacity, pace);
                match worker.run(shutdown.clone()).await {
                    Ok(()) => return Ok(()),
                    Err(WorkerError::GivenUp) => tracing::warn!("the worker begins anew"),
                    Err(WorkerError::Join(error)) => {
                        tracing::warn!(%error, "the worker can't join");
                        tokio::select! {
                            () = shutdown.cancelled() => return Ok(()),
                            () = tokio::time::sleep(pace.beat) => {}
                        }
                    }
                }
            }
        });
    }

    /// Answers requests until the shutdown.
    async fn answer(
        &mut self,
        home: &Home,
        options: &Options,
        listener: TcpListener,
        service: Service,
    ) -> Result<(), Failure> {
        let tokens = Tokens::new(Arc::new(self.store.clone()), outside());
        if self.lock.is_some() {
            // Those of servers that were killed: whoever sits at their old address was shown one.
            for old in tokens.list().await.map_err(Failure::unavailable)? {
                if old.name == OWN && old.revoked_at.is_none() {
                    let revoked = tokens.revoke(&old.id).await;
                    revoked.map_err(Failure::unavailable)?;
                }
            }
        }
        let made = tokens.create(NewToken {
            name: OWN.to_owned(),
            scopes: vec![Scope::Admin],
            expires_at: None,
        });
        let made = made.await.map_err(Failure::unavailable)?;
        let url = format!("http://{}", listener.local_addr()?);
        if options.is_announced {
            let file = home.file(FILE);
            announce(&file, &url, &made.secret, options.is_passing)
                .with_context(|| format!("cannot write {}", file.display()))
                .map_err(Failure::unavailable)?;
            self.announced = Some(file);
        }
        self.token = made.secret;
        self.url = Some(url);
        let api = Api {
            service,
            tokens: tokens.clone(),
            options: recto_web::Options {
                hosts: options.hosts.clone(),
                ..recto_web::Options::default()
            },
        };
        let shutdown = self.shutdown.clone();
        self.parts.spawn(async move {
            let served = recto_web::serve(listener, api, shutdown).await;
            // It was this process' own.
            let _ = tokens.revoke(&made.token.id).await;
            served.map_err(Failure::usage)
        });
        Ok(())
    }

    /// By which everything is asked to end: what runs is finished or given back to the queue.
    pub fn stopper(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Waits until everything has ended, which it does only when asked to, or by a failure.
    ///
    /// # Errors
    /// The first failure.
    pub async fn wait(mut self) -> Result<(), Failure> {
        let mut ended = Ok(());
        while let Some(part) = self.parts.join_next().await {
            let part = part.unwrap_or_else(|error| Err(Failure::unavailable(error)));
            if part.is_err() {
                self.shutdown.cancel();
            }
            ended = ended.and(part);
        }
        if let Some(file) = &self.announced {
            let _ = std::fs::remove_file(file);
        }
        self.store.close().await;
        ended
    }
}

/// Holds the program's directory, so that this is the only server on it.
fn only_one(data: &std::path::Path) -> Result<Lock, Failure> {
    Lock::take(&data.join("lock")).map_err(|error| match error {
        LockError::Held { pid } => Failure::unavailable(anyhow!(
            "another server{} uses {}",
            pid.map_or(String::new(), |pid| format!(" (process {pid})")),
            data.display()
        ))
        .hint("use that one, stop it, or set RECTO_HOME to another directory"),
        error => Failure::unavailable(error),
    })
}

async fn open_store(data: &std::path::Path, url: Option<&str>) -> Result<Tasks, Failure> {
    let opened = match url {
        Some(url) => Tasks::postgres(url).await,
        None => Tasks::sqlite(&data.join("tasks.db")).await,
    };
    opened.map_err(Failure::unavailable)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let taken = error.kind() == std::io::ErrorKind::AddrInUse;
        let failure =
            Failure::unavailable(anyhow!(error).context(format!("cannot listen on {address}")));
        match taken {
            true => failure.hint("another program listens there: name another port with --listen"),
            false => failure,
        }
    })
}

fn pace(lease: Duration) -> Pace {
    let beat = lease / 3;
    Pace {
        beat,
        patience: lease,
        poll: Pace::default().poll.min(beat),
        ..Pace::default()
    }
}

fn outside() -> Outside {
    Outside {
        clock: Arc::new(|| jiff::Timestamp::now().as_millisecond()),
        random: Arc::new(|| {
            // Bytes of two random UUIDs, but for those that are not random.
            let (one, two) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
            let mut bytes = [0; 12];
            bytes[..6].copy_from_slice(&one.as_bytes()[..6]);
            bytes[6..].copy_from_slice(&two.as_bytes()[..6]);
            bytes
        }),
    }
}

/// Writes down where the server is and by which token it lets in, for the user alone.
fn announce(file: &std::path::Path, url: &str, token: &str, passing: bool) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let draft = file.with_extension("json.new");
    let _ = std::fs::remove_file(&draft);
    let text = serde_json::json!({"url": url, "token": token, "passing": passing}).to_string();
    std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut out| out.write_all(text.as_bytes()))?;
    std::fs::rename(&draft, file)
}
