//! The reference of all keys, for `docs/config.md`.

use std::fmt::Write as _;

use crate::input::VARIABLES;
use crate::keys::{InProject, Key, SHORTCUTS, Scale, TABLES, known_keys};

/// The reference of all keys and variables as Markdown, from the key table.
pub fn reference() -> String {
    let mut text = String::new();
    for key in known_keys() {
        describe(&mut text, key);
    }
    text.push_str("### Other spellings of tables\n\n| spelling | stands for |\n|---|---|\n");
    for (table, alias) in TABLES {
        line(&mut text, format_args!("| `[{alias}]` | `[{table}]` |"));
    }
    for (short, _, path) in SHORTCUTS {
        line(
            &mut text,
            format_args!("| `{short}` | `{}` |", path.join(".")),
        );
    }
    text.push_str("\n### Environment variables\n\n| variable | sets |\n|---|---|\n");
    for variable in VARIABLES {
        let key = variable.key.replace('*', "<selected provider>");
        line(&mut text, format_args!("| `{}` | `{key}` |", variable.name));
    }
    text
}

/// A key's default as TOML, when it has one.
pub(crate) fn default_of(key: &Key) -> Option<String> {
    let defaults: toml::Table = include_str!("defaults.toml").parse().ok()?;
    let mut value = &toml::Value::Table(defaults);
    for name in key.name.split('.') {
        value = value.get(name)?;
    }
    Some(value.to_string())
}

fn describe(text: &mut String, key: &Key) {
    let name = key.name.replace('*', "NAME");
    line(text, format_args!("### `{name}`\n\n{}\n", key.meaning));
    line(text, format_args!("- Type: {}", key.kind.expected()));
    if let Some(default) = default_of(key) {
        line(text, format_args!("- Default: `{default}`"));
    } else {
        line(text, format_args!("- Default: none"));
    }
    for alias in key.aliases {
        let unit = match alias.scale {
            Scale::Same => "",
            Scale::Minutes => ", in minutes",
            Scale::Milliseconds => ", in milliseconds, rounded up to seconds",
            Scale::Largest => " (the largest counts when several are given)",
        };
        line(
            text,
            format_args!("- Other spelling: `{}`{unit}", alias.name),
        );
    }
    let project = match key.project {
        InProject::Refused(_) => "refused",
        InProject::Set => "may set it",
        InProject::Model => "may choose another model of the same provider",
        InProject::Lower => "may lower it",
        InProject::Narrow => "may choose a narrower one",
        InProject::Add => "may add to it",
        InProject::Off => "may switch it off",
    };
    line(text, format_args!("- In a project's file: {project}"));
    if key.secret {
        line(text, format_args!("- Hidden by `recto config show`"));
    }
    line(text, format_args!("\n```toml\n{}\n```\n", key.example));
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{arguments}");
}
