//! A service for the time of one command, so that the first task needs nothing else.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::home::Home;
use super::server::{Options, Server};
use crate::args::Role;
use crate::exit::Failure;

/// Attempts that run at once: as many as one task has.
const CAPACITY: usize = 4;
/// Nobody else works on its store, so nobody is ever given up.
const LEASE: Duration = Duration::from_secs(15);

/// A service in this process, which nobody else is told of.
pub struct Embedded {
    /// Where it answers.
    pub url: String,
    /// By which it lets in.
    pub token: String,
    server: Server,
}

/// Starts a service in this process.
///
/// # Errors
/// When a server runs on this home already, or one can't be started.
pub async fn start(home: &Home) -> Result<Embedded, Failure> {
    let server = Server::start(
        home,
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            hosts: Vec::new(),
            capacity: CAPACITY,
            store: None,
            role: Role::All,
            lease: LEASE,
            is_announced: false,
        },
    )
    .await?;
    Ok(Embedded {
        url: server.url.clone().unwrap_or_default(),
        token: server.token.clone(),
        server,
    })
}

impl Embedded {
    /// Finishes the steps that run, gives the attempts back to the queue, and ends.
    ///
    /// # Errors
    /// The first failure of a part.
    pub async fn finish(self) -> Result<(), Failure> {
        self.server.stopper().cancel();
        self.server.wait().await
    }
}
