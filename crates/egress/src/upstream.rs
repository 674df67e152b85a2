//! The proxies between this machine and the internet.

use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use recto_protocol::egress::Host;

use crate::target::read_authority;

/// The proxies between this machine and the internet, by what is asked for.
///
/// Behind one, names are resolved by it: this program then can't check addresses, and only refuses
/// addresses and names that are private by their looks.
#[derive(Clone, Debug, Default)]
pub struct Upstream {
    http: Option<Hop>,
    https: Option<Hop>,
    direct: Vec<Direct>,
}

/// Why an upstream proxy's address is refused. The address is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// Its scheme is not `http`.
    #[error("an upstream proxy's address begins with http://")]
    Scheme,
    /// Its host or port is none.
    #[error("an upstream proxy's address has no valid host and port")]
    Authority,
}

/// A proxy.
#[derive(Clone)]
pub(crate) struct Hop {
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(crate) authorization: Option<String>,
}

impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hop({}:{})", self.host, self.port)
    }
}

/// What is reached without a proxy.
#[derive(Clone, Debug)]
enum Direct {
    All,
    /// A name and what lies below it.
    Name(String),
    /// Addresses: how many leading bits count.
    Net(IpAddr, u32),
}

impl Upstream {
    /// Reads the usual variables' values: `http://[user:password@]host:port`, and a list of hosts
    /// that are reached directly (names with everything below, addresses, networks, or `*`).
    ///
    /// # Errors
    /// [`UpstreamError`] for an address that is none.
    pub fn parse(
        http_proxy: Option<&str>,
        https_proxy: Option<&str>,
        no_proxy: Option<&str>,
    ) -> Result<Self, UpstreamError> {
        let hop = |text: Option<&str>| match text.map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => hop(text).map(Some),
        };
        let direct = no_proxy.unwrap_or_default().split([',', ' ']);
        Ok(Self {
            http: hop(http_proxy)?,
            https: hop(https_proxy)?,
            direct: direct.filter_map(direct_entry).collect(),
        })
    }

    /// The proxy for a connection; `plain`: for HTTP without TLS.
    pub(crate) fn hop(&self, host: &Host, plain: bool) -> Option<&Hop> {
        let hop = if plain { &self.http } else { &self.https };
        hop.as_ref()
            .filter(|_| !self.direct.iter().any(|direct| direct.covers(host)))
    }
}

impl Direct {
    fn covers(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::All, _) => true,
            (Self::Name(suffix), Host::Name(name)) => name
                .as_str()
                .strip_suffix(suffix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            (Self::Net(net, bits), Host::Address(address)) => same_net(*net, *address, *bits),
            _ => false,
        }
    }
}

fn hop(text: &str) -> Result<Hop, UpstreamError> {
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
        Some(_) => return Err(UpstreamError::Scheme),
        None => text,
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, authority) = match authority.rsplit_once('@') {
        Some((user, authority)) => (Some(user), authority),
        None => (None, authority),
    };
    let (host, port) = read_authority(authority).map_err(|_| UpstreamError::Authority)?;
    Ok(Hop {
        host,
        port: port.unwrap_or(80),
        authorization: user.map(|user| format!("Basic {}", STANDARD.encode(decoded(user)))),
    })
}

/// The text with percent-encoding undone.
fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes
            .get(at + 1..at + 3)
            .and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                plain.push(byte);
                at += 3;
            }
            _ => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    plain
}

fn direct_entry(text: &str) -> Option<Direct> {
    let text = text.trim();
    if text == "*" {
        return Some(Direct::All);
    }
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse().ok()?)),
        None => (text, None),
    };
    if let Ok(address) = address.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Some(Direct::Net(address, bits.unwrap_or(128)));
    }
    let name = text
        .trim_start_matches("*.")
        .trim_start_matches('.')
        .to_ascii_lowercase();
    (!name.is_empty()).then_some(Direct::Name(name))
}

fn same_net(net: IpAddr, address: IpAddr, bits: u32) -> bool {
    match (net, address) {
        (IpAddr::V4(net), IpAddr::V4(address)) => {
            let differ = u32::from(net) ^ u32::from(address);
            differ.leading_zeros() >= bits.min(32)
        }
        (IpAddr::V6(net), IpAddr::V6(address)) => {
            let differ = u128::from(net) ^ u128::from(address);
            differ.leading_zeros() >= bits.min(128)
        }
        _ => false,
    }
}
