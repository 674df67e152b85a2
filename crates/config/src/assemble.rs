//! Turns checked values into the settings.

use recto_protocol::usage::Micros;
use toml::{Table, Value as Toml};

use crate::entry::Entries;
use crate::keys::row;
use crate::path::Path;
use crate::settings::Config;
use crate::value::{Kind, Value};

/// Keys that are accepted and have no effect on the settings.
const WITHOUT_EFFECT: &[&str] = &[
    "approval_policy",
    "projects.*.trust_level",
    "providers.*.wire_api",
];

/// The settings that `entries` describe.
pub(crate) fn assemble(entries: &Entries) -> Config {
    let mut root = Table::new();
    for (path, entry) in entries {
        let Some(key) = row(&path.segments()) else {
            continue;
        };
        if !WITHOUT_EFFECT.contains(&key.name) {
            put(&mut root, path, to_toml(key.kind, &entry.value));
        }
    }
    let mut catalogue = Table::new();
    for name in ["providers", "models"] {
        if let Some(tables) = root.remove(name) {
            catalogue.insert(name.to_owned(), tables);
        }
    }
    // Every value was read by its key's kind, and a test holds that the kinds fit the fields.
    let config: Config = Toml::Table(root).try_into().expect("kinds fit the fields");
    Config {
        catalogue,
        ..config
    }
}

/// Prices are replaced as a whole by the catalogue, so a missing one is filled in here.
pub(crate) fn fill_prices(entries: &mut Entries) {
    let inputs: Vec<_> = entries
        .iter()
        .filter(|(path, _)| matches!(path.segments().as_slice(), ["models", _, "prices", "input"]))
        .map(|(path, entry)| (path.clone(), entry.clone()))
        .collect();
    for (path, entry) in inputs {
        let mut cached = path.clone();
        cached.0.pop();
        entries.entry(cached.with("cached_input")).or_insert(entry);
    }
}

fn put(root: &mut Table, path: &Path, value: Toml) {
    let Some((last, tables)) = path.0.split_last() else {
        return;
    };
    let mut table = root;
    for name in tables {
        let slot = table
            .entry(name.clone())
            .or_insert_with(|| Toml::Table(Table::new()));
        match slot.as_table_mut() {
            Some(inner) => table = inner,
            // No key is also the table of another one.
            None => return,
        }
    }
    table.insert(last.clone(), value);
}

fn to_toml(kind: Kind, value: &Value) -> Toml {
    match value {
        Value::Text(text) => Toml::String(text.clone()),
        Value::Bool(bool) => Toml::Boolean(*bool),
        Value::Count(count) => Toml::Integer(i64::try_from(*count).unwrap_or(i64::MAX)),
        Value::Number(number) if kind == Kind::Dollars => {
            Toml::Integer(i64::try_from(micros(*number).0).unwrap_or(i64::MAX))
        }
        Value::Number(number) => Toml::Float(*number),
        Value::List(items) => Toml::Array(
            items
                .iter()
                .map(|(item, _)| Toml::String(item.clone()))
                .collect(),
        ),
    }
}

/// Dollars in millionths. Amounts were checked to be positive and far below the largest.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn micros(dollars: f64) -> Micros {
    Micros((dollars * 1e6).round() as u64)
}
