//! A server in this process, for the time of one command.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::home::Home;
use super::server::{Options, Server};
use crate::args::Role;
use crate::exit::{Failure, INTERRUPTED};
use crate::output::tell;

/// Attempts that run at once.
const ATTEMPTS: usize = 4;
/// Nobody else works here, so nobody has to be given up soon.
const LEASE: Duration = Duration::from_secs(15);
/// How long ending may take before it is told of.
const QUIETLY: Duration = Duration::from_secs(1);

/// A server in this process. Other commands find it while it runs.
pub struct Embedded {
    /// Where it answers.
    pub url: String,
    /// The token that may do everything.
    pub token: String,
    server: Server,
}

/// Starts a server that works on tasks, or only answers.
///
/// # Errors
/// As [`Server::start`].
pub async fn start(home: &Home, role: Role) -> Result<Embedded, Failure> {
    let options = Options {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        hosts: Vec::new(),
        capacity: ATTEMPTS,
        store: None,
        role,
        lease: LEASE,
        is_announced: true,
        is_passing: true,
    };
    let server = Server::start(home, options).await?;
    Ok(Embedded {
        url: server.url.clone().unwrap_or_default(),
        token: server.token.clone(),
        server,
    })
}

impl Embedded {
    /// Ends it: the steps that run are finished, and what is left goes back to the queue. A signal
    /// ends the program at once.
    ///
    /// # Errors
    /// When a part of it failed.
    pub async fn finish(self) -> Result<(), Failure> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        self.server.stopper().cancel();
        let ended = self.server.wait();
        tokio::pin!(ended);
        if let Ok(ended) = tokio::time::timeout(QUIETLY, &mut ended).await {
            return ended;
        }
        tell("finishing the steps that run; once more stops at once\n");
        tokio::select! {
            ended = ended => return ended,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        // The cells die with this process; what was recorded is kept.
        std::process::exit(i32::from(INTERRUPTED));
    }
}
