//! The least list of rules that some requests need.

use std::collections::BTreeSet;

use super::event::{RequestEvent, Verdict};
use super::host::Host;
use super::preset::Preset;

/// The shortest list of rules, in their short form, that allows what these events were allowed:
/// presets first where they cover anything, then hosts.
///
/// Methods and paths inside TLS were not seen, so hosts are allowed as a whole; a preset that only
/// allows reading may turn out too narrow.
pub fn minimal_rules(events: &[RequestEvent]) -> Vec<String> {
    let allowed = events
        .iter()
        .filter(|event| event.verdict == Verdict::Allowed);
    rules_for(allowed)
}

/// The shortest list of rules for the hosts of these events, whatever was decided about them.
pub fn rules_for<'a>(events: impl Iterator<Item = &'a RequestEvent>) -> Vec<String> {
    let mut open: BTreeSet<Target> = events.filter_map(target).collect();
    let mut rules = Vec::new();
    while let Some((preset, covered)) = best(&open) {
        open.retain(|target| !covered.contains(target));
        rules.push(format!("preset:{preset}"));
    }
    rules.sort();
    let mut hosts: Vec<String> = Vec::new();
    for Target { host, port, tcp } in &open {
        let rule = match (tcp, port) {
            (true, port) => format!("tcp:{host}:{port}"),
            (false, 443 | 80) => host.to_string(),
            (false, port) => format!("{host}:{port}"),
        };
        if !hosts.contains(&rule) {
            hosts.push(rule);
        }
    }
    rules.extend(hosts);
    rules
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    host: Host,
    port: u16,
    tcp: bool,
}

fn target(event: &RequestEvent) -> Option<Target> {
    Some(Target {
        host: event.host.parse().ok()?,
        port: event.port,
        tcp: event.method == "TCP",
    })
}

/// The preset that covers most of what is open; of equals the first.
fn best(open: &BTreeSet<Target>) -> Option<(Preset, Vec<Target>)> {
    let covered = |preset: Preset| {
        let rules = preset.rules();
        let covers = |target: &&Target| {
            !target.tcp
                && rules
                    .iter()
                    .any(|rule| rule.covers(&target.host, target.port))
        };
        open.iter().filter(covers).cloned().collect::<Vec<_>>()
    };
    let mut best: Option<(Preset, Vec<Target>)> = None;
    for preset in Preset::all() {
        let found = covered(preset);
        if found.len() > best.as_ref().map_or(0, |(_, most)| most.len()) {
            best = Some((preset, found));
        }
    }
    best
}
