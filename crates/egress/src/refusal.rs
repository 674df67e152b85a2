//! Why a request is refused or fails, as the tool in the cell is told it.

use std::net::IpAddr;

use recto_protocol::egress::{Host, clip};

use crate::head::HeadError;
use crate::hello::HelloError;
use crate::target::TargetError;

/// Why a request is refused, or came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this cell has no network (policy none)")]
    NoNetwork,
    #[error(
        "this cell has no network (policy none); it would need the network \"allow\" and the rule \
         \"{rule}\""
    )]
    NoNetworkFor { rule: String },
    #[error("{host}:{port} is not allowed; add the rule \"{rule}\"")]
    Host { host: Host, port: u16, rule: String },
    #[error("{method} {host}{path} is not allowed; add the rule \"{rule}\"")]
    Request {
        method: String,
        host: Host,
        path: String,
        rule: String,
    },
    #[error("{host} has the private address {address}; add the rule \"{host}:{port} private\"")]
    Private {
        host: Host,
        port: u16,
        address: IpAddr,
    },
    #[error("{host} has the address {address}, which is reached only by a rule that names it")]
    Special { host: Host, address: IpAddr },
    #[error("{0} is known in private networks only; an upstream proxy is not asked for it")]
    PrivateName(Host),
    #[error("the wildcard of the rule \"{0}\" has stood for too many names in this cell")]
    Names(String),
    #[error("{0}")]
    Head(#[from] HeadError),
    #[error("{0}")]
    Target(#[from] TargetError),
    #[error("{0}")]
    Hello(#[from] HelloError),
    #[error("the Host header names another host than the request")]
    HostHeader,
    #[error("the method {0} is not passed on")]
    Method(&'static str),
    #[error("{0} is asked through TLS only, since a credential is added")]
    Plain(Host),
    #[error("a websocket can't be held to methods or paths; add the rule \"{0}\"")]
    Upgrade(String),
    #[error("the request took too long to arrive")]
    Slow,
    #[error("the connection was idle for too long")]
    Idle,
    #[error("this cell has sent as many bytes as it may")]
    Up,
    #[error("this cell has received as many bytes as it may")]
    Down,
    #[error("{0} could not be resolved")]
    Resolve(Host),
    #[error("{host}:{port} could not be reached: {why}")]
    Connect { host: Host, port: u16, why: String },
    #[error("the TLS of {host} was not accepted: {why}")]
    Tls { host: Host, why: String },
    #[error("the answer of {0} could not be passed on")]
    Answer(Host),
    #[error("the connection to the cell broke")]
    Gone,
}

impl Refusal {
    /// The HTTP status.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Head(HeadError::TooLarge) => 431,
            Self::Head(HeadError::Malformed(_)) | Self::Target(_) | Self::HostHeader => 400,
            Self::Slow => 408,
            Self::Method(_) => 405,
            Self::Resolve(_) | Self::Connect { .. } | Self::Tls { .. } | Self::Answer(_) => 502,
            Self::Idle => 504,
            Self::NoNetwork
            | Self::NoNetworkFor { .. }
            | Self::Host { .. }
            | Self::Request { .. }
            | Self::Private { .. }
            | Self::Special { .. }
            | Self::PrivateName(_)
            | Self::Names(_)
            | Self::Hello(_)
            | Self::Plain(_)
            | Self::Upgrade(_)
            | Self::Up
            | Self::Down
            | Self::Gone => 403,
        }
    }

    /// Whether the request was allowed, and failed afterwards.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::Idle
                | Self::Up
                | Self::Down
                | Self::Resolve(_)
                | Self::Connect { .. }
                | Self::Tls { .. }
                | Self::Answer(_)
                | Self::Gone
        )
    }

    /// The whole answer. `body`: whether one may follow the head.
    pub(crate) fn answer(&self, body: bool) -> Vec<u8> {
        let reason = clip(&self.to_string());
        let text = format!("Recto: {reason}\n");
        let mut answer = format!(
            "HTTP/1.1 {} Recto: {reason}\r\n\
             Content-Type: text/plain; charset=us-ascii\r\n\
             Content-Length: {}\r\n\
             Connection: close\r\n\
             Cache-Control: no-store\r\n\r\n",
            self.status(),
            text.len(),
        );
        if body {
            answer.push_str(&text);
        }
        answer.into_bytes()
    }
}
