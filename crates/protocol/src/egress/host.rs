//! Host names and addresses, strictly.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A host as it may stand in a rule or a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A name.
    Name(Name),
    /// An address, written in its usual notation.
    Address(IpAddr),
}

/// A DNS name: labels of letters, digits and hyphens, in lower case, without a final dot.
///
/// Names in other scripts are held in their ASCII form (`xn--…`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

/// Why a text is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// There is nothing, or nothing between two dots.
    #[error("a host name has an empty part")]
    Empty,
    /// More than 253 bytes, or a label of more than 63.
    #[error("a host name is too long")]
    TooLong,
    /// Letters beyond ASCII.
    #[error("a host name is written in its ascii form (xn--…)")]
    NotAscii,
    /// Something that is no letter, digit or hyphen, or a hyphen at the edge of a label.
    #[error("a host name has letters, digits and inner hyphens only")]
    Character,
    /// A number that some programs take for an address, in another notation than the usual one.
    #[error("an address is written as 192.0.2.1 or [2001:db8::1]")]
    Notation,
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if !text.is_ascii() {
            return Err(HostError::NotAscii);
        }
        if let Some(rest) = text.strip_prefix('[') {
            return bracketed(rest).map(|address| Self::Address(IpAddr::V6(address)));
        }
        if text.contains(':') {
            return Err(HostError::Notation);
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(IpAddr::V4(address)));
        }
        text.parse().map(Self::Name)
    }
}

fn bracketed(rest: &str) -> Result<Ipv6Addr, HostError> {
    let inner = rest.strip_suffix(']').ok_or(HostError::Notation)?;
    let address: Ipv6Addr = inner.parse().map_err(|_| HostError::Notation)?;
    // An IPv4 address in disguise: it has a notation of its own.
    match address.to_ipv4_mapped() {
        Some(_) => Err(HostError::Notation),
        None => Ok(address),
    }
}

impl Name {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many labels it has.
    pub fn labels(&self) -> usize {
        self.0.split('.').count()
    }

    /// What stands before `.base`, when this name lies below `base`.
    pub fn below(&self, base: &Self) -> Option<&str> {
        self.0
            .strip_suffix(&base.0)?
            .strip_suffix('.')
            .filter(|rest| !rest.is_empty())
    }

    /// Whether only a private resolver can know the name: it has a single label, or a suffix that
    /// is never delegated in public.
    pub fn is_private(&self) -> bool {
        let last = self.0.rsplit('.').next().unwrap_or_default();
        let private = [
            "localhost",
            "local",
            "internal",
            "home",
            "lan",
            "corp",
            "intranet",
        ];
        self.labels() == 1 || private.contains(&last) || self.0.ends_with(".home.arpa")
    }
}

impl FromStr for Name {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if !text.is_ascii() {
            return Err(HostError::NotAscii);
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.len() > 253 {
            return Err(HostError::TooLong);
        }
        for label in text.split('.') {
            check_label(label)?;
        }
        let name = text.to_ascii_lowercase();
        let last = name.rsplit('.').next().unwrap_or_default();
        if is_number(last) {
            return Err(HostError::Notation);
        }
        Ok(Self(name))
    }
}

fn check_label(label: &str) -> Result<(), HostError> {
    if label.is_empty() {
        return Err(HostError::Empty);
    }
    if label.len() > 63 {
        return Err(HostError::TooLong);
    }
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !label.bytes().all(inner) || label.starts_with('-') || label.ends_with('-') {
        return Err(HostError::Character);
    }
    Ok(())
}

/// Whether C libraries would take a name with this last label for an address: decimal, octal, or
/// hexadecimal.
fn is_number(label: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits(label) || label.strip_prefix("0x").is_some_and(hex)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(&name.0),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
