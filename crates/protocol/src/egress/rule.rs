//! One rule: who may be asked for what.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::host::{Host, Name};
use super::path::{PathPattern, plain_path};
use super::text::RuleError;

/// Most bytes that a wildcard stands for. Names under a wildcard reach the name servers of its
/// domain, and long ones are how data leaves that way.
pub const MOST_BELOW: usize = 63;

/// Most labels that a wildcard stands for.
const MOST_LABELS_BELOW: usize = 3;

/// Something that a cell may reach. Made by parsing its text: see `docs/egress.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Rule {
    pub(super) kind: Kind,
    pub(super) host: HostPattern,
    pub(super) ports: Vec<u16>,
    pub(super) methods: Vec<String>,
    pub(super) paths: Vec<PathPattern>,
    pub(super) inject: Option<String>,
    pub(super) private: bool,
}

/// What a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Requests through the proxy, plain or with TLS.
    Http,
    /// A door of its own that leads to one host and port, whatever is spoken there.
    Tcp,
}

/// Which hosts a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This one.
    Exact(Host),
    /// All names below this one, not the name itself.
    Below(Name),
}

impl Rule {
    /// What it is for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Which hosts it is about.
    pub fn host(&self) -> &HostPattern {
        &self.host
    }

    /// The ports.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// The methods; empty: any.
    pub fn methods(&self) -> &[String] {
        &self.methods
    }

    /// The paths; empty: any.
    pub fn paths(&self) -> &[PathPattern] {
        &self.paths
    }

    /// The name of the credential that the proxy adds to requests.
    pub fn inject(&self) -> Option<&str> {
        self.inject.as_deref()
    }

    /// Whether the host may have a private address.
    pub fn private(&self) -> bool {
        self.private
    }

    /// Whether it limits what may be asked of its host.
    pub fn is_limited(&self) -> bool {
        !self.methods.is_empty() || !self.paths.is_empty()
    }

    /// Whether TLS to its host must be opened for it.
    pub fn opens_tls(&self) -> bool {
        self.is_limited() || self.inject.is_some()
    }

    /// Whether requests to this host and port are its matter.
    pub fn covers(&self, host: &Host, port: u16) -> bool {
        self.kind == Kind::Http && self.ports.contains(&port) && self.host.fits(host)
    }

    /// Whether a request with this method and raw path is allowed by it, for a host that it covers.
    pub fn allows(&self, method: &str, path: &str) -> bool {
        let method = self.methods.is_empty() || self.methods.iter().any(|held| held == method);
        let fits = |path: String| self.paths.iter().any(|pattern| pattern.fits(&path));
        method && (self.paths.is_empty() || plain_path(path).is_some_and(fits))
    }

    /// The target of a rule of kind `tcp`.
    pub fn forward(&self) -> Option<(Host, u16)> {
        match (self.kind, &self.host, self.ports.first()) {
            (Kind::Tcp, HostPattern::Exact(host), Some(&port)) => Some((host.clone(), port)),
            _ => None,
        }
    }
}

impl HostPattern {
    /// Whether a host is meant.
    pub fn fits(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Exact(exact), host) => exact == host,
            (Self::Below(base), Host::Name(name)) => name.below(base).is_some_and(|rest| {
                rest.len() <= MOST_BELOW && rest.split('.').count() <= MOST_LABELS_BELOW
            }),
            (Self::Below(_), Host::Address(_)) => false,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(f, "{host}"),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.methods.is_empty() {
            write!(f, "{} ", self.methods.join(","))?;
        }
        let host = &self.host;
        match (self.kind, self.ports.as_slice()) {
            (Kind::Http, [443]) => write!(f, "https://{host}")?,
            (Kind::Http, [80]) => write!(f, "http://{host}")?,
            (Kind::Http, [443, 80]) => write!(f, "{host}")?,
            (kind, ports) => {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                let scheme = if kind == Kind::Tcp { "tcp:" } else { "" };
                write!(f, "{scheme}{host}:{}", ports.join(","))?;
            }
        }
        for (number, path) in self.paths.iter().enumerate() {
            let space = if number == 0 { "" } else { " " };
            write!(f, "{space}{path}")?;
        }
        if self.private {
            f.write_str(" private")?;
        }
        if let Some(name) = &self.inject {
            write!(f, " inject={name}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Rule {
    type Error = RuleError;

    fn try_from(text: String) -> Result<Self, RuleError> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}
