//! What a proxy is started with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use recto_protocol::egress::{RequestEvent, Rules};
use rustls::pki_types::CertificateDer;

use crate::head::HeadLimits;
use crate::resolve::{Resolve, System};
use crate::upstream::Upstream;

/// Everything a proxy needs to know. `Options::new` fills in what most have in common.
pub struct Options {
    /// What is allowed.
    pub permission: Permission,
    /// Secrets that rules with `inject=NAME` add, by that name.
    pub credentials: BTreeMap<String, Credential>,
    /// The proxies between this machine and the internet.
    pub upstream: Upstream,
    /// Whom to trust in TLS that the proxy opens.
    pub roots: Roots,
    /// Finds the addresses of names.
    pub resolver: Arc<dyn Resolve>,
    /// Is told of every request.
    pub observer: Arc<dyn Observer>,
    /// Bounds.
    pub limits: Limits,
}

impl Options {
    /// Options with the machine's resolver and roots, no upstream proxy and no credentials.
    pub fn new(permission: Permission, observer: Arc<dyn Observer>) -> Self {
        Self {
            permission,
            credentials: BTreeMap::new(),
            upstream: Upstream::default(),
            roots: Roots::Machine,
            resolver: Arc::new(System),
            observer,
            limits: Limits::default(),
        }
    }
}

/// What is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Nothing; every request is told so at once.
    Nothing,
    /// What the rules say.
    Rules(Rules),
    /// Every public address, to learn which rules are needed.
    Everything,
}

/// A header that is added to requests. Its value never reaches the cell, an event or a log.
#[derive(Clone)]
pub struct Credential {
    /// The header's name.
    pub header: String,
    /// Its value.
    pub value: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential {{ header: {:?}, .. }}", self.header)
    }
}

/// Whom to trust in TLS that the proxy opens.
#[derive(Clone, Debug)]
pub enum Roots {
    /// The machine's trust store, with `SSL_CERT_FILE` and `SSL_CERT_DIR` honoured.
    Machine,
    /// These only.
    Only(Vec<CertificateDer<'static>>),
}

/// Is told of requests.
pub trait Observer: Send + Sync {
    /// Takes an event without waiting; false when there is no room for it, which is counted.
    fn request(&self, event: RequestEvent) -> bool;
}

impl<F: Fn(RequestEvent) -> bool + Send + Sync> Observer for F {
    fn request(&self, event: RequestEvent) -> bool {
        self(event)
    }
}

/// Bounds of a proxy.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of a request's head.
    pub head: HeadLimits,
    /// For a request's head or a TLS greeting to arrive.
    pub greeting: Duration,
    /// For a connection to the outside, TLS included.
    pub connect: Duration,
    /// Without a byte in either direction.
    pub idle: Duration,
    /// Connections at a time.
    pub connections: usize,
    /// Bytes out of the cell in its whole life, bodies and tunnels. None: any.
    pub up: Option<u64>,
    /// Bytes into the cell in its whole life. None: any.
    pub down: Option<u64>,
    /// Different names that one wildcard may stand for in the cell's life.
    pub names: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: HeadLimits {
                bytes: 64 * 1024,
                headers: 100,
            },
            greeting: Duration::from_secs(10),
            connect: Duration::from_secs(20),
            idle: Duration::from_secs(300),
            connections: 256,
            up: None,
            down: None,
            names: 100,
        }
    }
}
