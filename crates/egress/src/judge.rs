//! Decides about requests.

use recto_protocol::egress::{Host, HostPattern, Rule};

use crate::address::{Reach, reach};
use crate::refusal::Refusal;
use crate::shared::{Judged, Shared};

/// What was allowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Granted {
    /// The rule's name for events; none while learning.
    pub(crate) rule: Option<String>,
    /// Whether the host may have a private address.
    pub(crate) private: bool,
    /// Whether the rule limits methods or paths.
    pub(crate) limited: bool,
    /// The name of the credential to add.
    pub(crate) inject: Option<String>,
}

/// How a connection that was asked for is treated.
pub(crate) enum Passage {
    /// Bytes are passed on as they are.
    Closed(Granted),
    /// TLS is opened, and each request in it judged.
    Opened,
}

/// Decides about a connection whose contents are not known yet.
pub(crate) fn connection(shared: &Shared, host: &Host, port: u16) -> Result<Passage, Refusal> {
    let rules = match &shared.permission {
        Judged::Nothing => return Err(no_network(host, port)),
        Judged::Everything => return learned(host).map(Passage::Closed),
        Judged::Rules(rules) => rules,
    };
    let covering: Vec<_> = covering(rules, host, port).collect();
    let opened = covering.iter().any(|(_, _, rule)| rule.inject().is_some());
    let free = covering.iter().find(|(_, _, rule)| !rule.is_limited());
    match (free, covering.is_empty()) {
        (_, true) => Err(not_allowed(host, port)),
        (Some((place, name, rule)), _) if !opened => {
            let granted = grant(shared, host, *place, name, rule, is_private(&covering))?;
            Ok(Passage::Closed(granted))
        }
        _ => Ok(Passage::Opened),
    }
}

/// Decides about a request. `path` may have a query.
pub(crate) fn request(
    shared: &Shared,
    host: &Host,
    port: u16,
    method: &str,
    path: &str,
) -> Result<Granted, Refusal> {
    let rules = match &shared.permission {
        Judged::Nothing => return Err(no_network(host, port)),
        Judged::Everything => return learned(host),
        Judged::Rules(rules) => rules,
    };
    let path = crate::target::without_query(path);
    let covering: Vec<_> = covering(rules, host, port).collect();
    if covering.is_empty() {
        return Err(not_allowed(host, port));
    }
    let allowing = || {
        covering
            .iter()
            .filter(|(_, _, rule)| rule.allows(method, path))
    };
    let chosen = allowing()
        .find(|(_, _, rule)| rule.inject().is_some())
        .or_else(|| allowing().next());
    let Some((place, name, rule)) = chosen else {
        return Err(Refusal::Request {
            method: method.to_owned(),
            host: host.clone(),
            path: path.to_owned(),
            rule: request_rule(host, port, method, path),
        });
    };
    grant(shared, host, *place, name, rule, is_private(&covering))
}

/// Decides while learning: everything public. What names lead to is checked once it is known.
fn learned(host: &Host) -> Result<Granted, Refusal> {
    match host {
        Host::Address(address) if reach(*address) != Reach::Public => Err(Refusal::Special {
            host: host.clone(),
            address: *address,
        }),
        Host::Address(_) | Host::Name(_) => Ok(Granted::default()),
    }
}

type Covering<'a> = (usize, &'a String, &'a Rule);

fn covering<'a>(
    rules: &'a [(String, Rule)],
    host: &'a Host,
    port: u16,
) -> impl Iterator<Item = Covering<'a>> {
    let places = rules
        .iter()
        .enumerate()
        .map(|(place, (name, rule))| (place, name, rule));
    places.filter(move |(_, _, rule)| rule.covers(host, port))
}

/// Being private is a matter of the host, whichever of its rules says so.
fn is_private(covering: &[Covering<'_>]) -> bool {
    covering.iter().any(|(_, _, rule)| rule.private())
}

fn grant(
    shared: &Shared,
    host: &Host,
    place: usize,
    name: &str,
    rule: &Rule,
    private: bool,
) -> Result<Granted, Refusal> {
    if let (HostPattern::Below(_), Host::Name(found)) = (rule.host(), host)
        && !shared.name_fits(place, found)
    {
        return Err(Refusal::Names(name.to_owned()));
    }
    Ok(Granted {
        rule: Some(name.to_owned()),
        private,
        limited: rule.is_limited(),
        inject: rule.inject().map(str::to_owned),
    })
}

fn not_allowed(host: &Host, port: u16) -> Refusal {
    Refusal::Host {
        host: host.clone(),
        port,
        rule: host_rule(host, port),
    }
}

fn no_network(host: &Host, port: u16) -> Refusal {
    Refusal::NoNetworkFor {
        rule: host_rule(host, port),
    }
}

/// The rule that would allow a host.
pub(crate) fn host_rule(host: &Host, port: u16) -> String {
    match port {
        443 | 80 => host.to_string(),
        _ => format!("{host}:{port}"),
    }
}

fn request_rule(host: &Host, port: u16, method: &str, path: &str) -> String {
    let (scheme, port) = match port {
        443 => ("https://", String::new()),
        80 => ("http://", String::new()),
        _ => ("", format!(":{port}")),
    };
    let rule = format!("{method} {scheme}{host}{port}{path}");
    // A path that no rule can name: the whole host, then.
    match rule.parse::<Rule>() {
        Ok(rule) if rule.allows(method, path) => rule.to_string(),
        _ => format!("{method} {scheme}{host}{port}"),
    }
}
