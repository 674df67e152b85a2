//! What commands may reach, on the command line.

use clap::Args;
use recto_protocol::egress::{Preset, Rule};
use recto_protocol::policy::Network;

/// What commands may reach.
#[derive(Clone, Debug, Default, Args)]
pub struct NetworkArgs {
    /// What commands may reach: none, allow (what rules let through) or open (everything).
    #[arg(long, global = true, value_name = "NETWORK", value_parser = network)]
    pub network: Option<Network>,
    /// Let commands reach this, such as example.com or `GET https://example.com/v1/*`; implies
    /// `--network allow`.
    #[arg(long, global = true, value_name = "RULE", value_parser = rule)]
    pub allow: Vec<Rule>,
    /// Let commands reach what this list names, such as rust, npm or python; implies
    /// `--network allow`.
    #[arg(long, global = true, value_name = "NAME", value_parser = preset)]
    pub preset: Vec<Preset>,
}

impl NetworkArgs {
    /// Whether anything is said.
    pub fn is_explicit(&self) -> bool {
        self.chosen().is_some()
    }

    /// Refuses rules for a network that has none.
    ///
    /// # Errors
    /// With what contradicts what.
    pub fn check(&self) -> anyhow::Result<()> {
        let has_rules = !self.allow.is_empty() || !self.preset.is_empty();
        match self.network {
            Some(Network::None | Network::Open) if has_rules => anyhow::bail!(
                "--allow and --preset are rules of --network allow, and another network is asked for"
            ),
            _ => Ok(()),
        }
    }

    /// The network that is asked for.
    pub fn chosen(&self) -> Option<Network> {
        let rules = !self.allow.is_empty() || !self.preset.is_empty();
        self.network.or(rules.then_some(Network::Allow))
    }
}

fn network(given: &str) -> Result<Network, String> {
    match given {
        "none" => Ok(Network::None),
        "allow" => Ok(Network::Allow),
        "open" => Ok(Network::Open),
        _ => Err("one of none, allow and open".to_owned()),
    }
}

fn rule(given: &str) -> Result<Rule, String> {
    given.parse::<Rule>().map_err(|error| error.to_string())
}

fn preset(given: &str) -> Result<Preset, String> {
    given.parse::<Preset>().map_err(|error| error.to_string())
}
