//! The JSON schema of the file, for editors.

use recto_protocol::egress::Preset;
use schemars::{Schema, json_schema};
use serde_json::{Map, Value as Json, json};

use crate::keys::{Key, SHORTCUTS, Scale, TABLES, known_keys};
use crate::reference::default_of;
use crate::value::{Kind, LARGEST, ListOf};

/// The JSON schema of the file, as text.
pub fn schema() -> String {
    let mut root = json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Recto configuration",
        "description": "config.toml. Generated from the key table; docs/config.md explains the keys.",
    });
    let profile = table("", &|key| {
        !key.name.starts_with("profile") && !key.name.starts_with("projects")
    });
    root.insert("$defs".to_owned(), json!({ "profile": profile }));
    if let Some(fields) = table("", &|_| true).as_object() {
        for (name, value) in fields {
            root.insert(name.clone(), value.clone());
        }
    }
    let mut text = serde_json::to_string_pretty(root.as_value()).unwrap_or_default();
    text.push('\n');
    text
}

/// The schema of the table whose keys begin with `prefix` (empty, or with a dot at its end).
fn table(prefix: &str, wanted: &dyn Fn(&Key) -> bool) -> Schema {
    let mut properties = Map::new();
    let mut others = json!(false);
    for key in known_keys().iter().filter(|key| wanted(key)) {
        let Some(rest) = key.name.strip_prefix(prefix) else {
            continue;
        };
        match rest.split_once('.') {
            None if rest == "*" => others = leaf(key).to_value(),
            None => {
                properties.insert(rest.to_owned(), leaf(key).to_value());
                for alias in key.aliases {
                    let about = format!("Another spelling of `{rest}`{}.", unit(alias.scale));
                    properties.insert(alias.name.to_owned(), alias_of(key, &about, alias.scale));
                }
            }
            Some((first, _)) => {
                let inner = || table(&format!("{prefix}{first}."), wanted).to_value();
                if first == "*" {
                    others = inner();
                } else if !properties.contains_key(first) {
                    properties.insert(first.to_owned(), inner());
                }
            }
        }
    }
    if prefix.is_empty() {
        for (table, alias) in TABLES {
            let same = properties.get(*table).cloned().unwrap_or_default();
            properties.insert((*alias).to_owned(), same);
        }
        for (short, pattern, path) in SHORTCUTS {
            if let Some(key) = known_keys().iter().find(|key| key.name == *pattern) {
                let about = format!("Another spelling of `{}`.", path.join("."));
                properties.insert((*short).to_owned(), alias_of(key, &about, Scale::Same));
            }
        }
    }
    json_schema!({ "type": "object", "properties": properties, "additionalProperties": others })
}

fn leaf(key: &Key) -> Schema {
    let mut schema = of_kind(key.kind);
    schema.insert("description".to_owned(), json!(key.meaning));
    if let Some(default) = default_of(key).and_then(|text| toml_to_json(&text)) {
        schema.insert("default".to_owned(), default);
    }
    schema
}

fn alias_of(key: &Key, about: &str, scale: Scale) -> Json {
    let mut schema = match scale {
        Scale::Same | Scale::Largest => of_kind(key.kind),
        Scale::Minutes | Scale::Milliseconds => json_schema!({ "type": "integer", "minimum": 1 }),
    };
    schema.insert("description".to_owned(), json!(about));
    schema.to_value()
}

fn of_kind(kind: Kind) -> Schema {
    match kind {
        Kind::Text => json_schema!({ "type": "string", "minLength": 1 }),
        Kind::Anything | Kind::Header => json_schema!({ "type": "string" }),
        Kind::Url => json_schema!({ "type": "string", "pattern": "^https?://" }),
        Kind::Variable => json_schema!({ "type": "string", "pattern": VARIABLE }),
        Kind::HeaderName => {
            json_schema!({ "type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" })
        }
        Kind::Bool => json_schema!({ "type": "boolean" }),
        Kind::Count {
            least,
            most: LARGEST,
        } => json_schema!({ "type": "integer", "minimum": least }),
        Kind::Count { least, most } => {
            json_schema!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::Dollars | Kind::Price => json_schema!({ "type": "number", "minimum": 0 }),
        Kind::Choice(names) => json_schema!({ "enum": spellings(names) }),
        Kind::Switch { names, .. } => {
            let mut all: Vec<Json> = spellings(names);
            all.extend([json!(true), json!(false)]);
            json_schema!({ "enum": all })
        }
        Kind::Wire => json_schema!({ "enum": ["responses"] }),
        Kind::List(of) => json_schema!({ "type": "array", "items": of_items(of) }),
        Kind::Profile => json_schema!({ "$ref": "#/$defs/profile" }),
    }
}

fn of_items(of: ListOf) -> Schema {
    match of {
        ListOf::Commands => json_schema!({ "type": "string", "minLength": 1 }),
        ListOf::Paths => json_schema!({ "type": "string", "pattern": "^/" }),
        ListOf::FileNames => json_schema!({ "type": "string", "pattern": "^[^/\\\\]+$" }),
        ListOf::Variables => json_schema!({ "type": "string", "pattern": VARIABLE }),
        ListOf::Rules => json_schema!({ "type": "string", "minLength": 1 }),
        ListOf::Presets => {
            let names: Vec<&str> = Preset::all().map(Preset::name).collect();
            json_schema!({ "enum": names })
        }
    }
}

const VARIABLE: &str = "^[A-Za-z_][A-Za-z0-9_]*$";

fn spellings(names: &[(&str, &[&str])]) -> Vec<Json> {
    names
        .iter()
        .flat_map(|(name, others)| [&[*name], *others].concat())
        .map(|name| json!(name))
        .collect()
}

fn unit(scale: Scale) -> &'static str {
    match scale {
        Scale::Same | Scale::Largest => "",
        Scale::Minutes => ", in minutes",
        Scale::Milliseconds => ", in milliseconds",
    }
}

fn toml_to_json(text: &str) -> Option<Json> {
    let table: toml::Table = format!("v = {text}").parse().ok()?;
    serde_json::to_value(table.get("v")?).ok()
}
