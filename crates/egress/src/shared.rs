//! What all connections of one proxy share.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use recto_protocol::egress::{Host, Name, Rule};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

use crate::authority::Authority;
use crate::options::{Credential, Limits, Observer, Roots};
use crate::refusal::Refusal;
use crate::resolve::Resolve;
use crate::upstream::Upstream;

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) permission: Judged,
    /// The rules of kind `tcp` with their names, in the order of the doors.
    pub(crate) forwards: Vec<(String, Rule)>,
    pub(crate) credentials: BTreeMap<String, Credential>,
    pub(crate) upstream: Upstream,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) limits: Limits,
    pub(crate) authority: Option<Authority>,
    pub(crate) roots: Roots,
    pub(crate) client: OnceCell<Arc<ClientConfig>>,
    pub(crate) up: AtomicU64,
    pub(crate) down: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) turned_away: AtomicU64,
    /// The names that each wildcard has stood for, by the rule's place.
    pub(crate) names: Mutex<HashMap<usize, HashSet<Name>>>,
}

/// What is allowed, ready to be judged by.
pub(crate) enum Judged {
    Nothing,
    Rules(Vec<(String, Rule)>),
    Everything,
}

/// Counts of one proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes out of the cell.
    pub up: u64,
    /// Bytes into the cell.
    pub down: u64,
    /// Events that the observer had no room for.
    pub dropped_events: u64,
    /// Connections beyond the limit.
    pub turned_away: u64,
}

impl Shared {
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            up: self.up.load(Ordering::Relaxed),
            down: self.down.load(Ordering::Relaxed),
            dropped_events: self.dropped.load(Ordering::Relaxed),
            turned_away: self.turned_away.load(Ordering::Relaxed),
        }
    }

    /// Counts a name that a wildcard stands for; false when there have been too many.
    pub(crate) fn name_fits(&self, rule: usize, name: &Name) -> bool {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let known = names.entry(rule).or_default();
        known.contains(name) || (known.len() < self.limits.names && known.insert(name.clone()))
    }

    /// How to speak TLS to the outside. The trust store is read at the first use only.
    pub(crate) async fn client(&self, host: &Host) -> Result<Arc<ClientConfig>, Refusal> {
        let refused = |why: String| Refusal::Tls {
            host: host.clone(),
            why,
        };
        let made = self.client.get_or_try_init(|| async {
            let roots = self.roots.clone();
            let config = tokio::task::spawn_blocking(move || client_config(roots)).await;
            config.map_err(|error| error.to_string())?.map(Arc::new)
        });
        made.await.cloned().map_err(refused)
    }
}

fn client_config(roots: Roots) -> Result<ClientConfig, String> {
    let mut store = RootCertStore::empty();
    let trusted = match roots {
        Roots::Only(trusted) => trusted,
        Roots::Machine => rustls_native_certs::load_native_certs().certs,
    };
    // Trust stores hold certificates that rustls does not understand; the others still count.
    store.add_parsable_certificates(trusted);
    if store.is_empty() {
        return Err("this machine's trust store holds no certificates".to_owned());
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The one TLS provider of this program.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
