//! The way out of a cell: its proxy, its doors, and what tells the tools inside about them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, anyhow};
use recto_cell::{Doors, MOST_DOORS};
use recto_egress::{Observer, Options, Permission, Proxy, Reachable, Upstream, environment};
use recto_protocol::egress::RequestEvent;
use recto_protocol::policy::{Network, Policy};
use recto_protocol::ports::cell::{Door, Gateway};
use recto_protocol::record::NetworkRequested;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::home::variable;
use crate::exit::Failure;

/// Where the proxy's door is: on an address of its own, so that no server of the cell is in the way.
const PROXY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 77, 0, 1), 3128);
/// Where a cell finds the certificates it may trust.
const AUTHORITIES: &str = "/run/recto/authorities.pem";
/// Where systems keep them.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Requests that may wait to be recorded.
const WAITING: usize = 1024;

/// How this machine itself reaches the outside, as its environment says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    http_proxy: Option<String>,
    https_proxy: Option<String>,
    no_proxy: Option<String>,
    authorities: Option<PathBuf>,
}

impl Machine {
    /// Reads the usual variables.
    pub fn find() -> Self {
        let any = |names: [&str; 2]| names.into_iter().find_map(variable);
        let named = variable("SSL_CERT_FILE").map(PathBuf::from);
        let usual = BUNDLES.into_iter().map(PathBuf::from);
        Self {
            // Not HTTP_PROXY: web servers set it from a header.
            http_proxy: any(["http_proxy", "all_proxy"]),
            https_proxy: any(["https_proxy", "HTTPS_PROXY"])
                .or_else(|| any(["all_proxy", "ALL_PROXY"])),
            no_proxy: any(["no_proxy", "NO_PROXY"]),
            authorities: named.into_iter().chain(usual).find(|path| path.is_file()),
        }
    }
}

/// What the user's configuration says of the way out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WayOut {
    /// What rules with `inject=NAME` add, by that name.
    credentials: BTreeMap<String, Credential>,
    /// Bytes that a cell may send.
    up: Option<u64>,
    /// Bytes that a cell may receive.
    down: Option<u64>,
}

/// A credential as it was found. Goes to a keeper on its standard input, and nowhere else.
#[derive(Clone, Serialize, Deserialize)]
struct Credential {
    variable: String,
    header: String,
    /// With its prefix; None when the variable is not set.
    value: Option<String>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential {{ variable: {:?}, .. }}", self.variable)
    }
}

impl WayOut {
    /// Reads the variables that the configuration names.
    pub fn find(egress: &recto_config::Egress) -> Self {
        Self::read(egress, variable)
    }

    fn read(egress: &recto_config::Egress, variable: impl Fn(&str) -> Option<String>) -> Self {
        let found = |source: &recto_config::Credential| Credential {
            variable: source.env.clone(),
            header: source
                .header
                .as_deref()
                .unwrap_or("authorization")
                .to_owned(),
            value: variable(&source.env)
                .filter(|value| !value.is_empty())
                .map(|value| format!("{}{value}", source.prefix)),
        };
        let credentials = egress.credentials.iter();
        Self {
            credentials: credentials
                .map(|(name, source)| (name.clone(), found(source)))
                .collect(),
            up: egress.up_mib.map(|mib| mib << 20),
            down: egress.down_mib.map(|mib| mib << 20),
        }
    }

    /// Without the credentials that no rule uses.
    pub fn needed_by(mut self, policy: &Policy) -> Self {
        let used = injected(policy);
        self.credentials.retain(|name, _| used.contains(name));
        self
    }

    /// The credentials that the rules use.
    fn credentials(
        &self,
        policy: &Policy,
    ) -> Result<BTreeMap<String, recto_egress::Credential>, Failure> {
        let mut known = BTreeMap::new();
        for name in injected(policy) {
            let Some(credential) = self.credentials.get(&name) else {
                let error = anyhow!("a rule injects the credential {name:?}, which is not known");
                return Err(Failure::usage(error).hint(format!(
                    "set `egress.credentials.{name}.env` in your configuration"
                )));
            };
            let Some(value) = &credential.value else {
                let variable = &credential.variable;
                return Err(Failure::usage(anyhow!(
                    "a rule injects the credential {name:?}, whose variable {variable} is not set"
                )));
            };
            let credential = recto_egress::Credential {
                header: credential.header.clone(),
                value: value.clone(),
            };
            known.insert(name, credential);
        }
        Ok(known)
    }
}

/// The names of the credentials that the rules add.
fn injected(policy: &Policy) -> BTreeSet<String> {
    let rules = match policy.network {
        Network::Allow => policy.egress.named(),
        Network::None | Network::Open => Vec::new(),
    };
    let names = rules.iter().filter_map(|(_, rule)| rule.inject());
    names.map(str::to_owned).collect()
}

/// What a cell needs for its way out.
pub struct Outside {
    /// The proxy; whoever holds it can end it in order.
    pub proxy: Proxy,
    /// The cell's doors.
    pub doors: Doors,
    /// Variables for commands.
    pub env: Vec<(String, String)>,
    /// Files of the cell's own.
    pub files: Vec<(PathBuf, String)>,
}

/// Starts what answers a cell with this policy from outside; None when it has the host's network.
/// `learning` lets everything public through, whatever the rules say.
///
/// # Errors
/// When the machine's own proxies or certificates can't be understood, a rule uses a credential that
/// is not there, or there are too many rules for doors.
pub fn open(
    policy: &Policy,
    machine: &Machine,
    way: &WayOut,
    learning: bool,
    observer: Arc<dyn Observer>,
) -> Result<Option<Outside>, Failure> {
    let list = doors(policy);
    if list.len() > MOST_DOORS {
        let (most, rules) = (MOST_DOORS - 1, list.len() - 1);
        return Err(Failure::usage(anyhow!(
            "there are {rules} rules with `tcp:`; a cell has room for {most}"
        )));
    }
    let permission = match policy.network {
        Network::Open => return Ok(None),
        Network::Allow if learning => Permission::Everything,
        Network::Allow => Permission::Rules(policy.egress.clone()),
        Network::None => Permission::Nothing,
    };
    let mut options = Options::new(permission, observer);
    if !learning {
        options.credentials = way.credentials(policy)?;
    }
    options.limits.up = way.up;
    options.limits.down = way.down;
    options.upstream = Upstream::parse(
        machine.http_proxy.as_deref(),
        machine.https_proxy.as_deref(),
        machine.no_proxy.as_deref(),
    )
    .context("the machine's own proxy can't be used")
    .map_err(Failure::usage)?;
    let proxy = Proxy::start(options).map_err(Failure::usage)?;
    let files = match policy.network {
        Network::Allow => authorities(machine.authorities.as_deref(), proxy.authority_pem())?,
        Network::None | Network::Open => Vec::new(),
    };
    Ok(Some(Outside {
        doors: Doors {
            list,
            gateway: Arc::new(proxy.clone()),
        },
        proxy,
        env: variables(policy, !files.is_empty()),
        files,
    }))
}

/// What a cell with this policy would have, without a proxy behind it: for showing.
pub fn describe(policy: &Policy, machine: &Machine) -> Option<(Doors, Vec<(String, String)>)> {
    if policy.network == Network::Open {
        return None;
    }
    let has_authorities = policy.network == Network::Allow
        && (machine.authorities.is_some() || policy.egress.opens_tls());
    let doors = Doors {
        list: doors(policy),
        gateway: Arc::new(Closed),
    };
    Some((doors, variables(policy, has_authorities)))
}

/// Answers nobody.
struct Closed;

impl Gateway for Closed {
    fn connection(&self, _: usize, _: OwnedFd) {}
}

/// What tells the tools inside about the proxy.
fn variables(policy: &Policy, has_authorities: bool) -> Vec<(String, String)> {
    let reachable = match policy.network {
        Network::None => Reachable::Nothing,
        Network::Allow | Network::Open => Reachable::Outside,
    };
    environment(PROXY, has_authorities.then_some(AUTHORITIES), reachable)
}

/// The proxy's door, and one for each server that is reached without it.
fn doors(policy: &Policy) -> Vec<Door> {
    let proxy = Door {
        at: PROXY,
        host: None,
    };
    let forwards = match policy.network {
        Network::Allow => policy.egress.forwards(),
        Network::None | Network::Open => Vec::new(),
    };
    let forwards = forwards.into_iter().zip(PROXY.ip().to_bits() + 1..);
    let forwards = forwards.map(|((host, port), address)| {
        let host = host.to_string();
        // Names of the cell's own loopback can only lead there.
        let is_own = matches!(host.as_str(), "localhost" | "127.0.0.1");
        let address = match is_own {
            true => Ipv4Addr::LOCALHOST,
            false => Ipv4Addr::from_bits(address),
        };
        Door {
            at: SocketAddrV4::new(address, port),
            host: (!is_own).then_some(host),
        }
    });
    std::iter::once(proxy).chain(forwards).collect()
}

/// The file with the certificates that tools inside may trust: the system's, and the cell's own.
fn authorities(
    system: Option<&Path>,
    own: Option<&str>,
) -> Result<Vec<(PathBuf, String)>, Failure> {
    let mut text = String::new();
    if let Some(path) = system {
        text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the certificates in {}", path.display()))?;
    }
    if let Some(own) = own {
        text.push('\n');
        text.push_str(own);
    }
    let is_any = !text.is_empty();
    Ok(is_any
        .then(|| (AUTHORITIES.into(), text))
        .into_iter()
        .collect())
}

/// Requests of one run that are recorded in full; of the rest only every [`SPARSE`]th is, so that a
/// command that asks in a loop does not fill the user's disk.
const RECORDED: u64 = 2000;
const SPARSE: u64 = 1000;

/// Passes requests on to whoever records them. What comes too fast, or far too often, is counted.
pub struct Requests {
    queue: mpsc::Sender<NetworkRequested>,
    seen: AtomicU64,
    missed: AtomicU64,
}

impl Requests {
    /// An observer, and where its requests arrive.
    pub fn pair() -> (Arc<Self>, mpsc::Receiver<NetworkRequested>) {
        let (queue, requests) = mpsc::channel(WAITING);
        let observer = Self {
            queue,
            seen: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        };
        (Arc::new(observer), requests)
    }
}

impl Observer for Requests {
    fn request(&self, request: RequestEvent) -> bool {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        if seen >= RECORDED && !seen.is_multiple_of(SPARSE) {
            self.missed.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let missed = self.missed.swap(0, Ordering::Relaxed);
        let sent = self.queue.try_send(NetworkRequested { request, missed });
        if sent.is_err() {
            self.missed.fetch_add(missed + 1, Ordering::Relaxed);
        }
        sent.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use recto_protocol::egress::{Rules, Verdict};

    use super::*;

    fn policy<T: AsRef<str>>(rules: &[T]) -> Policy {
        Policy {
            network: Network::Allow,
            egress: Rules::parse(rules).unwrap(),
            ..Policy::default()
        }
    }

    fn opened(policy: &Policy, way: &WayOut) -> Result<Option<Outside>, Failure> {
        open(policy, &Machine::default(), way, false, Arc::new(|_| true))
    }

    fn way(value: Option<&str>) -> WayOut {
        let source = recto_config::Credential {
            env: "FORGE_TOKEN".to_owned(),
            prefix: "Bearer ".to_owned(),
            ..recto_config::Credential::default()
        };
        let egress = recto_config::Egress {
            credentials: [("forge".to_owned(), source)].into(),
            up_mib: Some(2),
            ..recto_config::Egress::default()
        };
        WayOut::read(&egress, |name| {
            assert_eq!(name, "FORGE_TOKEN");
            value.map(str::to_owned)
        })
    }

    #[tokio::test]
    async fn a_credential_is_needed_where_a_rule_uses_it() {
        let using = policy(&["https://example.com inject=forge"]);
        let other = policy(&["https://example.com"]);
        assert!(opened(&using, &way(Some("hush"))).is_ok());
        assert!(opened(&other, &way(None)).is_ok());
        let told = |way: &WayOut| opened(&using, way).err().unwrap().message();
        assert!(told(&way(None)).contains("FORGE_TOKEN is not set"));
        assert!(told(&way(Some(""))).contains("FORGE_TOKEN is not set"));
        assert!(told(&WayOut::default()).contains("\"forge\", which is not known"));
    }

    #[test]
    fn a_credential_is_kept_where_a_rule_uses_it_and_never_shown() {
        let found = way(Some("hush"));
        assert!(!format!("{found:?}").contains("hush"));
        let using = policy(&["https://example.com inject=forge"]);
        let kept = found.clone().needed_by(&using).credentials(&using).unwrap();
        let kept = &kept["forge"];
        assert_eq!(
            (kept.header.as_str(), kept.value.as_str()),
            ("authorization", "Bearer hush")
        );
        let unused = found.needed_by(&policy(&["https://example.com"]));
        assert!(!serde_json::to_string(&unused).unwrap().contains("hush"));
        assert_eq!(unused.up, Some(2 << 20));
    }

    #[tokio::test]
    async fn too_many_doors_are_refused() {
        let rules = |count: usize| -> Vec<String> {
            (0..count)
                .map(|n| format!("tcp:db{n}.example.com:5432"))
                .collect()
        };
        let fitting = opened(&policy(&rules(127)), &WayOut::default())
            .unwrap()
            .unwrap();
        assert_eq!(fitting.doors.list.len(), MOST_DOORS);
        let message = opened(&policy(&rules(128)), &WayOut::default())
            .err()
            .unwrap()
            .message();
        assert!(
            message.contains("there are 128 rules with `tcp:`"),
            "{message}"
        );
    }

    #[test]
    fn a_flood_of_requests_is_recorded_sparsely_and_counted() {
        let (requests, mut recorded) = Requests::pair();
        let (mut records, mut missed) = (0, 0);
        let total = RECORDED + 10 * SPARSE;
        for _ in 0..total {
            requests.request(RequestEvent {
                host: "example.com".into(),
                port: 443,
                method: "CONNECT".into(),
                path: None,
                bytes_up: 0,
                bytes_down: 0,
                verdict: Verdict::Allowed,
                rule: None,
                failure: None,
            });
            while let Ok(record) = recorded.try_recv() {
                records += 1;
                missed += record.missed;
            }
        }
        assert_eq!(records, RECORDED + 10);
        let last = requests.missed.load(Ordering::Relaxed);
        assert_eq!(records + missed + last, total);
    }
}
