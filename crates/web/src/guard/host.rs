//! The name that a request was sent to. A page of a foreign site whose name suddenly leads here (DNS
//! rebinding) still says its own name.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::problem::Failure;
use crate::state::Shared;

/// The names that this server answers to, besides those of loopback.
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    /// None when a name is none: without a scheme, port or path.
    pub(crate) fn new(names: &[String]) -> Result<Self, String> {
        let is_name = |name: &&String| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
            !name.is_empty() && name.bytes().all(allowed) && host_of(name) == Some(name.as_str())
        };
        if let Some(wrong) = names.iter().find(|name| !is_name(name)) {
            return Err(wrong.clone());
        }
        Ok(Self(names.iter().map(|n| n.to_ascii_lowercase()).collect()))
    }

    fn answers_to(&self, authority: &str) -> bool {
        let Some(host) = host_of(authority) else {
            return false;
        };
        let host = host.to_ascii_lowercase();
        let is_loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        host == "localhost" || is_loopback || self.0.contains(&host)
    }

    fn accept(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(header::HOST).iter();
        let host = given.next().and_then(|value| value.to_str().ok());
        // A request whose target is a whole URL names the host there.
        let is_target = match uri.authority() {
            Some(authority) => self.answers_to(authority.as_str()),
            None => true,
        };
        is_target && given.next().is_none() && host.is_some_and(|host| self.answers_to(host))
    }
}

/// The host of `host`, `host:port` or `[address]:port`; none for anything else.
fn host_of(authority: &str) -> Option<&str> {
    let is_port = |port: &str| port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port)).then_some(host);
    }
    match authority.split_once(':') {
        // An address of version 6 without brackets.
        Some((_, rest)) if rest.contains(':') => {
            authority.parse::<IpAddr>().is_ok().then_some(authority)
        }
        Some((host, port)) => is_port(port).then_some(host),
        None => Some(authority),
    }
}

/// Refuses what was not sent to this server by one of its names.
pub(crate) async fn check(
    State(shared): State<Shared>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    if shared.hosts.accept(request.uri(), request.headers()) {
        return Ok(next.run(request).await);
    }
    let detail = "this server does not answer to that host name; its operator can add it";
    Err(Failure::new(StatusCode::FORBIDDEN, "host", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_configured_names_are_answered_to() {
        let hosts = Hosts::new(&["Recto.Example".into(), "fd00::1".into()]).unwrap();
        for (authority, expected) in [
            ("localhost", true),
            ("LOCALHOST:8080", true),
            ("127.0.0.1:1", true),
            ("127.1.2.3", true),
            ("[::1]:80", true),
            ("recto.example:443", true),
            ("[fd00::1]", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.nip.io", false),
            ("evil.example:80@localhost", false),
            ("localhost:80:evil", false),
            ("localhost:", true),
            ("[::1", false),
            ("[::1]evil", false),
            ("10.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(hosts.answers_to(authority), expected, "{authority}");
        }
        assert!(Hosts::new(&["https://x".into()]).is_err());
        assert!(Hosts::new(&["x:80".into()]).is_err());
        assert!(Hosts::new(&["".into()]).is_err());
    }
}
