//! The proxy of one cell.

use std::io::Write;
use std::net::TcpStream as StdStream;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use recto_protocol::egress::Host;
use recto_protocol::ports::cell::Gateway;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinSet;

use crate::authority::Authority;
use crate::conn::Conn;
use crate::forward::OWN;
use crate::intercept::intercept;
use crate::judge::{self, Granted, Passage};
use crate::options::{Options, Permission};
use crate::requests::{refuse, requests};
use crate::shared::{Judged, Shared, Stats};
use crate::trace::Trace;
use crate::tunnel::{forward, tunnel};

/// The proxy of one cell. Clones are one proxy; with the last, all its connections end.
#[derive(Clone)]
pub struct Proxy(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    runtime: Handle,
    permits: Arc<Semaphore>,
    /// One task per connection; None once the proxy is closed, so that no connection that was
    /// under way begins after it. Dropping the set ends them.
    tasks: Mutex<Option<JoinSet<()>>>,
}

/// Why a proxy can't be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A rule adds a credential that is not there.
    #[error("a rule injects the credential {0:?}, which is not known")]
    Credential(String),
    /// A credential is none.
    #[error("the credential {0:?} is no valid header")]
    Header(String),
    /// The authority's key could not be made.
    #[error("the cell's certificate authority could not be made")]
    Authority(#[source] rcgen::Error),
    /// There is no runtime to serve connections.
    #[error("a proxy is started within a tokio runtime")]
    Runtime,
}

/// What a client beyond the limit is told.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Recto: too many connections from this cell\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

impl Proxy {
    /// Starts a proxy; its connections are served by the runtime that this is called in.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(options: Options) -> Result<Self, StartError> {
        let runtime = Handle::try_current().map_err(|_| StartError::Runtime)?;
        let permits = Arc::new(Semaphore::new(options.limits.connections));
        let shared = Arc::new(shared(options)?);
        Ok(Self(Arc::new(Inner {
            shared,
            runtime,
            permits,
            tasks: Mutex::new(Some(JoinSet::new())),
        })))
    }

    /// The certificate that programs in the cell must trust, when any rule needs TLS opened.
    pub fn authority_pem(&self) -> Option<&str> {
        self.0.shared.authority.as_ref().map(Authority::pem)
    }

    /// What went through so far.
    pub fn stats(&self) -> Stats {
        self.0.shared.stats()
    }

    /// Ends all connections, and takes no more; their events are told before this returns.
    pub async fn close(&self) {
        self.0.permits.close();
        let tasks = self.tasks().take();
        if let Some(mut tasks) = tasks {
            tasks.shutdown().await;
        }
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, Option<JoinSet<()>>> {
        self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gateway for Proxy {
    fn connection(&self, door: usize, connection: OwnedFd) {
        let mut stream = StdStream::from(connection);
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let Ok(permit) = self.0.permits.clone().try_acquire_owned() else {
            self.0.shared.turned_away.fetch_add(1, Ordering::Relaxed);
            let _ = stream.write(BUSY);
            return;
        };
        let shared = self.0.shared.clone();
        let mut tasks = self.tasks();
        let Some(tasks) = tasks.as_mut() else {
            return;
        };
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(
            async move {
                if let Ok(stream) = TcpStream::from_std(stream) {
                    let _ = stream.set_nodelay(true);
                    serve(&shared, door, stream).await;
                }
                drop(permit);
            },
            &self.0.runtime,
        );
    }
}

fn shared(options: Options) -> Result<Shared, StartError> {
    let (permission, forwards, opens) = match options.permission {
        Permission::Nothing => (Judged::Nothing, Vec::new(), false),
        Permission::Everything => (Judged::Everything, Vec::new(), false),
        Permission::Rules(rules) => {
            let named = rules.named();
            let forwards = named.iter().filter(|(_, rule)| rule.forward().is_some());
            let forwards = forwards.cloned().collect();
            (Judged::Rules(named), forwards, rules.opens_tls())
        }
    };
    if let Judged::Rules(rules) = &permission {
        for name in rules.iter().filter_map(|(_, rule)| rule.inject()) {
            if !options.credentials.contains_key(name) {
                return Err(StartError::Credential(name.to_owned()));
            }
        }
    }
    for (name, credential) in &options.credentials {
        let header = hyper::header::HeaderName::from_bytes(credential.header.as_bytes());
        let value = hyper::header::HeaderValue::from_str(&credential.value);
        // A header that says where a message goes or ends would be a second meaning of it.
        let fits = header.is_ok_and(|header| !OWN.contains(&header.as_str()));
        if !fits || value.is_err() {
            return Err(StartError::Header(name.clone()));
        }
    }
    let authority = if opens {
        Some(Authority::new().map_err(StartError::Authority)?)
    } else {
        None
    };
    Ok(Shared {
        permission,
        forwards,
        credentials: options.credentials,
        upstream: options.upstream,
        resolver: options.resolver,
        observer: options.observer,
        limits: options.limits,
        authority,
        roots: options.roots,
        client: OnceCell::new(),
        up: AtomicU64::new(0),
        down: AtomicU64::new(0),
        dropped: AtomicU64::new(0),
        turned_away: AtomicU64::new(0),
        names: Mutex::default(),
    })
}

async fn serve(shared: &Arc<Shared>, door: usize, stream: TcpStream) {
    let mut conn = Conn::new(stream);
    if let Some(place) = door.checked_sub(1) {
        if let Some((name, rule)) = shared.forwards.get(place)
            && let Some((host, port)) = rule.forward()
        {
            let granted = Granted {
                rule: Some(name.clone()),
                private: rule.private(),
                ..Granted::default()
            };
            forward(shared, &mut conn, &host, port, &granted).await;
        }
        return;
    }
    if let Some((host, port)) = requests(shared, &mut conn, None).await {
        join(shared, &mut conn, &host, port).await;
    }
}

/// Serves `CONNECT`.
async fn join(shared: &Arc<Shared>, conn: &mut Conn<TcpStream>, host: &Host, port: u16) {
    match judge::connection(shared, host, port) {
        Ok(Passage::Opened) => intercept(shared, conn, host, port).await,
        Ok(Passage::Closed(granted)) => {
            let mut trace = Trace::new(shared, host, port, "CONNECT", None);
            trace.allowed(&granted);
            tunnel(shared, conn, host, port, &granted, trace).await;
        }
        Err(refusal) => {
            let trace = Trace::new(shared, host, port, "CONNECT", None);
            refuse(shared, conn, trace, &refusal, true).await;
        }
    }
}
