//! What a cell may reach outside, and what it reached: rules, presets and request events.
//!
//! Everything here is parsed once, to types that cannot hold anything else. The text of a rule is
//! its only serialised form: what a user writes is what the log holds and what a refusal names.

mod event;
mod host;
mod learn;
mod path;
mod preset;
mod rule;
mod text;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use event::{MOST_TEXT, RequestEvent, Verdict, clip};
pub use host::{Host, HostError, Name};
pub use learn::{minimal_rules, rules_for};
pub use path::{PathPattern, plain_path};
pub use preset::Preset;
pub use rule::{HostPattern, Kind, MOST_BELOW, Rule};
pub use text::RuleError;

/// What a cell with [`Network::Allow`](crate::policy::Network::Allow) may reach. Empty: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rules {
    /// The rules, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Named lists of rules, which count as if they stood after `rules`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub presets: Vec<Preset>,
}

impl Rules {
    /// Reads rules in their short form. `preset:NAME` stands for a preset.
    ///
    /// # Errors
    /// [`RuleError`] for the first text that is no rule.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, RuleError> {
        let mut rules = Self::default();
        for text in texts {
            let text = text.as_ref();
            match text.trim().strip_prefix("preset:") {
                Some(name) => rules.presets.push(name.parse()?),
                None => rules.rules.push(text.parse()?),
            }
        }
        Ok(rules)
    }

    /// Whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.presets.is_empty()
    }

    /// All rules, those of presets included, each with the name it has in events: its own text, or
    /// `preset:NAME`.
    pub fn named(&self) -> Vec<(String, Rule)> {
        let own = self
            .rules
            .iter()
            .map(|rule| (rule.to_string(), rule.clone()));
        let presets = self.presets.iter().flat_map(|preset| {
            let name = format!("preset:{preset}");
            preset
                .rules()
                .into_iter()
                .map(move |rule| (name.clone(), rule))
        });
        own.chain(presets).collect()
    }

    /// The targets of the rules of kind `tcp`, in order: a cell has a door for each, after the
    /// proxy's own.
    pub fn forwards(&self) -> Vec<(Host, u16)> {
        self.rules.iter().filter_map(Rule::forward).collect()
    }

    /// Whether any rule makes the proxy open TLS, so that the cell must trust its authority.
    pub fn opens_tls(&self) -> bool {
        self.named().iter().any(|(_, rule)| rule.opens_tls())
    }
}
