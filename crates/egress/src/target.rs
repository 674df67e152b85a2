//! Reads what a request is aimed at.

use recto_protocol::egress::{Host, HostError};

/// What a request is aimed at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A connection to a host and port.
    Connect(Host, u16),
    /// A resource by its whole address: host, port, and path with query.
    Absolute(Host, u16, String),
    /// A resource of the host at hand: path with query.
    Origin(String),
}

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The host is none.
    #[error("{0}")]
    Host(#[from] HostError),
    /// `CONNECT` without a port, or a port that is none.
    #[error("the port is missing or no number from 1 to 65535")]
    Port,
    /// A user name before the host.
    #[error("an address with a user name in it")]
    User,
    /// Another scheme than `http`; TLS goes through `CONNECT`.
    #[error("only http:// addresses are asked for without CONNECT")]
    Scheme,
    /// Something that may not stand in an address.
    #[error("the address has characters that may not stand there")]
    Character,
}

/// Reads the target of a request with this method.
///
/// # Errors
/// [`TargetError`].
pub fn read_target(method: &str, target: &str) -> Result<Target, TargetError> {
    if method == "CONNECT" {
        let (host, port) = read_authority(target)?;
        return Ok(Target::Connect(host, port.ok_or(TargetError::Port)?));
    }
    if target.starts_with('/') {
        return check_path(target).map(|()| Target::Origin(target.to_owned()));
    }
    let (scheme, rest) = target.split_once("://").ok_or(TargetError::Scheme)?;
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(TargetError::Scheme);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (host, port) = read_authority(authority)?;
    let path = match path {
        path if path.starts_with('/') => path.to_owned(),
        query => format!("/{query}"),
    };
    check_path(&path)?;
    Ok(Target::Absolute(host, port.unwrap_or(80), path))
}

/// Reads `host` or `host:port`.
///
/// # Errors
/// [`TargetError`].
pub fn read_authority(text: &str) -> Result<(Host, Option<u16>), TargetError> {
    if text.contains('@') {
        return Err(TargetError::User);
    }
    let from = text.rfind(']').unwrap_or(0);
    let (host, port) = match text[from..].find(':') {
        Some(at) => (&text[..from + at], Some(&text[from + at + 1..])),
        None => (text, None),
    };
    let port = match port {
        Some(port) => Some(read_port(port)?),
        None => None,
    };
    Ok((read_host(host)?, port))
}

/// The path of a path with query.
pub fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

/// Reads a host; names in other scripts become their ASCII form first.
fn read_host(text: &str) -> Result<Host, TargetError> {
    if text.is_ascii() {
        return Ok(text.parse()?);
    }
    let ascii = idna::domain_to_ascii_strict(text).map_err(|_| HostError::Character)?;
    Ok(ascii.parse()?)
}

fn read_port(text: &str) -> Result<u16, TargetError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(TargetError::Port),
    }
}

/// A fragment is never sent, and a backslash is a slash to some.
fn check_path(path: &str) -> Result<(), TargetError> {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"#\\\"<>".contains(&byte);
    if path.bytes().all(fits) {
        Ok(())
    } else {
        Err(TargetError::Character)
    }
}
