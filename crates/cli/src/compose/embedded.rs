//! A server in this process, for the time of one command.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::home::Home;
use super::server::{Options, Server};
use crate::args::Role;
use crate::exit::Failure;

/// Attempts that run at once.
const ATTEMPTS: usize = 4;
/// Nobody else works here, so nobody has to be given up soon.
const LEASE: Duration = Duration::from_secs(15);

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
    };
    let server = Server::start(home, options).await?;
    Ok(Embedded {
        url: server.url.clone().unwrap_or_default(),
        token: server.token.clone(),
        server,
    })
}

impl Embedded {
    /// Ends it: what runs is given back to the queue.
    ///
    /// # Errors
    /// When a part of it failed.
    pub async fn finish(self) -> Result<(), Failure> {
        self.server.stopper().cancel();
        self.server.wait().await
    }
}
