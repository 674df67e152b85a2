//! Reads the text of a rule.

use std::str::FromStr;

use super::host::{Host, HostError, Name};
use super::path::PathPattern;
use super::rule::{HostPattern, Kind, Rule};

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// There is no host, too much text, or a control character.
    #[error(
        "a rule is one line like `example.com`, `*.example.com:443` or `GET https://example.com/v1/*`"
    )]
    Shape,
    /// The scheme is none of those known.
    #[error("a rule begins with `https://`, `http://`, `tcp:` or a host name, not with {0:?}")]
    Scheme(String),
    /// The host is none.
    #[error("{host:?} is no host")]
    Host {
        /// What was written.
        host: String,
        /// What is wrong with it.
        #[source]
        source: HostError,
    },
    /// A star where none may be.
    #[error(
        "{0:?}: a wildcard is the first label, over a domain of at least two, like `*.example.com`"
    )]
    Wildcard(String),
    /// The port is none.
    #[error("{0:?} is no port; ports are numbers from 1 to 65535, separated by commas")]
    Port(String),
    /// A rule for TCP without exactly one host and port, or with what only HTTP knows.
    #[error("a tcp rule names one host and one port, like `tcp:db.example.com:5432`")]
    Tcp,
    /// The methods are none.
    #[error("{0:?}: methods are capital letters, separated by commas, like `GET,HEAD`")]
    Methods(String),
    /// The path could never match.
    #[error(
        "{0:?} is no path: no query, no `..`, no `//`, `*` for one segment or, at the end, the rest"
    )]
    Path(String),
    /// A further word that says nothing.
    #[error("{0:?} means nothing here; after the host come paths, `private` and `inject=NAME`")]
    Word(String),
    /// The name of a credential has other characters than letters, digits, `-` and `_`.
    #[error("{0:?} is no name of a credential")]
    Credential(String),
    /// There is no such preset.
    #[error("there is no preset {name:?}; there are {known}")]
    Preset {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

/// Longest text of a rule.
const MOST: usize = 1024;

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        if text.len() > MOST || text.chars().any(char::is_control) {
            return Err(RuleError::Shape);
        }
        let mut words = text.split_whitespace().peekable();
        let first = words.next().ok_or(RuleError::Shape)?;
        let (methods, target) = match words.peek() {
            Some(next) if !is_option(next) => (methods(first)?, words.next().unwrap_or_default()),
            _ => (Vec::new(), first),
        };
        let mut rule = target_of(target)?;
        rule.methods = methods;
        for word in words {
            option(&mut rule, word)?;
        }
        let plain = !rule.is_limited() && rule.inject.is_none();
        let one = matches!(rule.host, HostPattern::Exact(_)) && rule.ports.len() == 1;
        if rule.kind == Kind::Tcp && !(plain && one) {
            return Err(RuleError::Tcp);
        }
        // Shown again, a host of this name behind methods would read as the word.
        if !rule.methods.is_empty() && rule.to_string().split(' ').nth(1).is_some_and(is_option) {
            return Err(RuleError::Word(target.to_owned()));
        }
        Ok(rule)
    }
}

fn is_option(word: &str) -> bool {
    word.starts_with('/') || word == "private" || word.starts_with("inject=")
}

fn option(rule: &mut Rule, word: &str) -> Result<(), RuleError> {
    if word == "private" {
        rule.private = true;
    } else if let Some(name) = word.strip_prefix("inject=") {
        let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(part) {
            return Err(RuleError::Credential(name.to_owned()));
        }
        rule.inject = Some(name.to_owned());
    } else if word.starts_with('/') {
        rule.paths.push(path(word)?);
    } else {
        return Err(RuleError::Word(word.to_owned()));
    }
    Ok(())
}

fn methods(word: &str) -> Result<Vec<String>, RuleError> {
    let fits = |method: &str| {
        !method.is_empty()
            && method.len() <= 32
            && method
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'-')
            && method != "CONNECT"
            && method != "TRACE"
    };
    if word.split(',').all(fits) {
        Ok(word.split(',').map(str::to_owned).collect())
    } else {
        Err(RuleError::Methods(word.to_owned()))
    }
}

fn path(text: &str) -> Result<PathPattern, RuleError> {
    PathPattern::parse(text).ok_or_else(|| RuleError::Path(text.to_owned()))
}

/// Reads `[scheme]host[:ports][/path]`.
fn target_of(word: &str) -> Result<Rule, RuleError> {
    let (kind, default, rest) = scheme(word)?;
    let (authority, paths) = match rest.find('/') {
        Some(at) => (&rest[..at], vec![path(&rest[at..])?]),
        None => (rest, Vec::new()),
    };
    let (host, ports) = split_port(authority);
    let ports = match ports {
        Some(ports) => ports.split(',').map(port).collect::<Result<_, _>>()?,
        None => default,
    };
    Ok(Rule {
        kind,
        host: pattern(host)?,
        ports,
        methods: Vec::new(),
        paths,
        inject: None,
        private: false,
    })
}

/// The kind, the ports when none are given, and what follows the scheme.
fn scheme(word: &str) -> Result<(Kind, Vec<u16>, &str), RuleError> {
    if let Some(rest) = word.strip_prefix("https://") {
        Ok((Kind::Http, vec![443], rest))
    } else if let Some(rest) = word.strip_prefix("http://") {
        Ok((Kind::Http, vec![80], rest))
    } else if let Some(rest) = word.strip_prefix("tcp:") {
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        Ok((Kind::Tcp, Vec::new(), rest))
    } else if let Some((scheme, _)) = word.split_once("://") {
        Err(RuleError::Scheme(scheme.to_owned()))
    } else {
        Ok((Kind::Http, vec![443, 80], word))
    }
}

/// The host, and what follows its colon; colons in brackets are an address'.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let from = authority.rfind(']').unwrap_or(0);
    match authority[from..].find(':') {
        Some(at) => (&authority[..from + at], Some(&authority[from + at + 1..])),
        None => (authority, None),
    }
}

fn port(text: &str) -> Result<u16, RuleError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(RuleError::Port(text.to_owned())),
    }
}

fn pattern(host: &str) -> Result<HostPattern, RuleError> {
    let no_host = |source| RuleError::Host {
        host: host.to_owned(),
        source,
    };
    if let Some(base) = host.strip_prefix("*.") {
        if base.contains('*') {
            return Err(RuleError::Wildcard(host.to_owned()));
        }
        let base: Name = base.parse().map_err(no_host)?;
        if base.labels() < 2 {
            return Err(RuleError::Wildcard(host.to_owned()));
        }
        return Ok(HostPattern::Below(base));
    }
    if host.contains('*') {
        return Err(RuleError::Wildcard(host.to_owned()));
    }
    let host: Host = host.parse().map_err(no_host)?;
    Ok(HostPattern::Exact(host))
}
