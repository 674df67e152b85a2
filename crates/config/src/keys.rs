//! What a row of the key table says, and how keys are looked up in it.

pub use crate::known::known_keys;
use crate::suggest::closest;
use crate::value::Kind;

/// Everything there is to know about one key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    /// The dotted key; `*` stands for a name that the user chooses.
    pub name: &'static str,
    /// Other spellings of its last part.
    pub aliases: &'static [Alias],
    /// What its value may be.
    pub kind: Kind,
    /// What a project's file may do with it.
    pub project: InProject,
    /// Whether its value must not be shown.
    pub secret: bool,
    /// One sentence on what it does.
    pub meaning: &'static str,
    /// A line of TOML that sets it.
    pub example: &'static str,
}

/// Another spelling of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The spelling.
    pub name: &'static str,
    /// What its value means.
    pub scale: Scale,
}

/// How the value of another spelling becomes the value of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// As it is.
    Same,
    /// Minutes, where the key has seconds.
    Minutes,
    /// Milliseconds, where the key has seconds; rounded up.
    Milliseconds,
    /// As it is; when several spellings are given, the largest value counts.
    Largest,
}

/// What a project's file may do with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InProject {
    /// Nothing; the reason is told.
    Refused(&'static str),
    /// Set it.
    Set,
    /// Name a model of the provider that is used anyway.
    Model,
    /// Lower it.
    Lower,
    /// Choose a name before the one that is set; names go from narrow to wide.
    Narrow,
    /// Add to it.
    Add,
    /// Switch it off.
    Off,
}

/// Other spellings of tables.
pub(crate) const TABLES: &[(&str, &str)] = &[
    ("providers", "model_providers"),
    ("env", "shell_environment_policy"),
];

/// Keys of the top level that stand for one deep below, with its path.
pub(crate) const SHORTCUTS: &[(&str, &str, &[&str])] = &[(
    "openai_base_url",
    "providers.*.base_url",
    &["providers", "openai", "base_url"],
)];

/// What a name stands for in a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Child {
    /// A key.
    Leaf {
        key: &'static Key,
        scale: Scale,
        target: Option<&'static [&'static str]>,
    },
    /// A table; its pattern.
    Table(&'static str),
    /// Nothing.
    Unknown,
}

/// What `name` stands for in the table with the pattern `table` (empty: the top level).
pub(crate) fn child(table: &str, name: &str) -> Child {
    let leaf = |key, scale| Child::Leaf {
        key,
        scale,
        target: None,
    };
    if table.is_empty()
        && let Some((_, pattern, target)) = SHORTCUTS.iter().find(|(short, ..)| *short == name)
        && let Some(key) = known_keys().iter().find(|key| key.name == *pattern)
    {
        return Child::Leaf {
            key,
            scale: Scale::Same,
            target: Some(target),
        };
    }
    for key in known_keys() {
        let Some(rest) = below(table, key.name) else {
            continue;
        };
        match rest.split_once('.') {
            None => {
                if rest == name || rest == "*" {
                    return leaf(key, Scale::Same);
                }
                if let Some(alias) = key.aliases.iter().find(|alias| alias.name == name) {
                    return leaf(key, alias.scale);
                }
            }
            Some((first, _)) => {
                let alias = TABLES.contains(&(first, name)) && table.is_empty();
                if first == name || first == "*" || alias {
                    return Child::Table(&key.name[..key.name.len() - rest.len() + first.len()]);
                }
            }
        }
    }
    Child::Unknown
}

/// The known names in a table, canonical ones first.
pub(crate) fn names_in(table: &str) -> Vec<&'static str> {
    let mut names = Vec::new();
    let mut others = Vec::new();
    for key in known_keys() {
        let Some(rest) = below(table, key.name) else {
            continue;
        };
        let first = rest.split('.').next().unwrap_or(rest);
        if !names.contains(&first) {
            names.push(first);
        }
        if first == rest {
            others.extend(key.aliases.iter().map(|alias| alias.name));
        }
    }
    if table.is_empty() {
        others.extend(TABLES.iter().map(|(_, alias)| *alias));
        others.extend(SHORTCUTS.iter().map(|(short, ..)| *short));
    }
    names.retain(|name| *name != "*");
    names.extend(others);
    names
}

/// What somebody who wrote the unknown `name` in `table` may have meant.
pub(crate) fn hint(table: &str, name: &str) -> Option<String> {
    let here = names_in(table);
    if let Some(close) = closest(name, here.iter().copied()) {
        return Some(format!("did you mean `{close}`?"));
    }
    if !table.is_empty() && names_in("").contains(&name) {
        return Some(format!(
            "`{name}` is a key of the top level; put it above the first [table]"
        ));
    }
    let last = |key: &&Key| key.name.rsplit('.').next() == Some(name);
    if let Some(elsewhere) = known_keys().iter().find(last) {
        return Some(format!("did you mean `{}`?", elsewhere.name));
    }
    if table.ends_with(".*") && name.starts_with(|c: char| c.is_ascii_digit()) {
        return Some("a name with dots is quoted, like models.\"gpt-5.1\"".to_owned());
    }
    match here.len() {
        0 => None,
        1..=12 => Some(format!("known here: {}", here.join(", "))),
        _ => Some("docs/config.md lists the keys".to_owned()),
    }
}

/// Whether a project's file may set anything in the table with this pattern; else the reason.
pub(crate) fn refusal(table: &str) -> Option<&'static str> {
    let mut why = None;
    for key in known_keys()
        .iter()
        .filter(|key| below(table, key.name).is_some())
    {
        match key.project {
            InProject::Refused(reason) => why = why.or(Some(reason)),
            InProject::Set
            | InProject::Model
            | InProject::Lower
            | InProject::Narrow
            | InProject::Add
            | InProject::Off => return None,
        }
    }
    why
}

/// The row of a canonical key, which may have names in place of stars.
pub(crate) fn row(segments: &[&str]) -> Option<&'static Key> {
    let fits = |key: &&Key| {
        let mut pattern = key.name.split('.');
        segments
            .iter()
            .all(|segment| pattern.next().is_some_and(|p| p == "*" || p == *segment))
            && pattern.next().is_none()
    };
    known_keys().iter().find(fits)
}

/// What is left of `name` below `table`.
fn below<'a>(table: &str, name: &'a str) -> Option<&'a str> {
    if table.is_empty() {
        return Some(name);
    }
    name.strip_prefix(table)?.strip_prefix('.')
}
