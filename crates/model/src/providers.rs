//! Known providers and models, as data.
//!
//! `builtin.toml` holds what this program knows by itself; configuration lays its own tables over
//! it, field by field. A model's profile is made of all patterns that fit its name, from the most
//! general to the most exact, so that an entry only says what is different about it.

use std::sync::LazyLock;

use recto_protocol::profile::{Profile, Provider};
use toml::{Table, Value};

/// What this program knows by itself.
const BUILTIN: &str = include_str!("builtin.toml");

/// Providers by key, and model profiles by pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    providers: Table,
    models: Table,
}

/// Why tables cannot be laid over a catalogue.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// `providers` or `models`, or an entry of them, is no table.
    #[error("{path} must be a table")]
    NoTable {
        /// Which one.
        path: String,
    },
    /// A provider holds what a provider does not.
    #[error("mistake in providers.{key}")]
    Provider {
        /// The provider's key.
        key: String,
        /// What is wrong.
        #[source]
        source: toml::de::Error,
    },
    /// A model's entry holds what a profile does not.
    #[error("mistake in models.{pattern:?}")]
    Model {
        /// The entry's pattern.
        pattern: String,
        /// What is wrong.
        #[source]
        source: toml::de::Error,
    },
}

impl Catalogue {
    /// What this program knows by itself.
    pub fn builtin() -> Self {
        static PARSED: LazyLock<Catalogue> = LazyLock::new(|| {
            let empty = Catalogue {
                providers: Table::new(),
                models: Table::new(),
            };
            let tables: Table = BUILTIN.parse().unwrap_or_default();
            // A test holds that the file has no mistake.
            empty.clone().merged(&tables).unwrap_or(empty)
        });
        PARSED.clone()
    }

    /// The catalogue with the tables `providers` and `models` of `config` laid over it. Other
    /// tables of `config` are not looked at.
    ///
    /// # Errors
    /// [`MergeError`] with the place of the mistake.
    pub fn merged(mut self, config: &Table) -> Result<Self, MergeError> {
        for (key, entry) in entries(config, "providers")? {
            lay_over(&mut self.providers, key, entry);
            self.read_provider(key)
                .map_err(|source| MergeError::Provider {
                    key: key.clone(),
                    source,
                })?;
        }
        for (pattern, entry) in entries(config, "models")? {
            lay_over(&mut self.models, pattern, entry);
            let read: Result<Profile, _> = Value::Table(entry.clone()).try_into();
            read.map_err(|source| MergeError::Model {
                pattern: pattern.clone(),
                source,
            })?;
        }
        Ok(self)
    }

    /// The provider of this key. Its name is the key when it has none of its own.
    pub fn provider(&self, key: &str) -> Option<Provider> {
        self.read_provider(key).ok().flatten()
    }

    /// The keys of all providers, sorted.
    pub fn provider_keys(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// The profile of a model, and whether anything is known of it.
    ///
    /// A name with a vendor (`openai/gpt-5`) that fits no pattern is looked up without it.
    pub fn profile(&self, model: &str) -> (Profile, bool) {
        if let Some(profile) = self.fitting(model) {
            return (profile, true);
        }
        let bare = model.rsplit('/').next().unwrap_or(model);
        match self.fitting(bare) {
            Some(profile) => (profile, true),
            None => (Profile::default(), false),
        }
    }

    fn fitting(&self, model: &str) -> Option<Profile> {
        let mut fitting: Vec<(usize, &Table)> = self
            .models
            .iter()
            .filter_map(|(pattern, entry)| Some((fit(pattern, model)?, entry.as_table()?)))
            .collect();
        if fitting.is_empty() {
            return None;
        }
        fitting.sort_by_key(|(exactness, _)| *exactness);
        let mut all = Table::new();
        for (_, entry) in fitting {
            all.extend(entry.clone());
        }
        // Every entry was read when it was merged, and fields do not depend on each other.
        Value::Table(all).try_into().ok()
    }

    fn read_provider(&self, key: &str) -> Result<Option<Provider>, toml::de::Error> {
        let Some(entry) = self.providers.get(key) else {
            return Ok(None);
        };
        let mut provider: Provider = entry.clone().try_into()?;
        if provider.name.is_empty() {
            key.clone_into(&mut provider.name);
        }
        Ok(Some(provider))
    }
}

/// How exactly `pattern` names `model`: the length of its prefix, or beyond all of them.
fn fit(pattern: &str, model: &str) -> Option<usize> {
    match pattern.strip_suffix('*') {
        Some(prefix) => model.starts_with(prefix).then_some(prefix.len()),
        None => (pattern == model).then_some(usize::MAX),
    }
}

fn entries<'a>(
    config: &'a Table,
    name: &'static str,
) -> Result<Vec<(&'a String, &'a Table)>, MergeError> {
    let Some(value) = config.get(name) else {
        return Ok(Vec::new());
    };
    let no_table = |path: String| MergeError::NoTable { path };
    let table = value.as_table().ok_or_else(|| no_table(name.to_owned()))?;
    let entry = |(key, value): (&'a String, &'a Value)| match value.as_table() {
        Some(table) => Ok((key, table)),
        None => Err(no_table(format!("{name}.{key}"))),
    };
    table.iter().map(entry).collect()
}

fn lay_over(tables: &mut Table, key: &str, entry: &Table) {
    let slot = tables
        .entry(key)
        .or_insert_with(|| Value::Table(Table::new()));
    if let Some(table) = slot.as_table_mut() {
        table.extend(entry.clone());
    }
}

#[cfg(test)]
#[path = "providers_tests.rs"]
mod tests;
