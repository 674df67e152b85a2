//! Pairs `key=value`: turned into a line of TOML, so that they are read like any file.

use toml::de::{DeTable, DeValue};

use crate::path::{Path, quote};

/// The key and the value of a pair: split at the first `=` outside quotes.
pub(crate) fn split_pair(pair: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, c) in pair.char_indices() {
        match (c, quote) {
            ('=', None) => return Some((&pair[..at], &pair[at + 1..])),
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
    }
    None
}

/// The text of a pair `key = value`, or none when `key` is no dotted key.
///
/// A value that is no TOML value is taken as a string.
pub(crate) fn pair_text(key: &str, value: &str) -> Option<(Path, String)> {
    if value.len() > crate::MAX_BYTES || key.len() > crate::MAX_BYTES {
        return None;
    }
    let path = dotted(key)?;
    let whole = DeValue::parse(value.trim()).is_ok() && !value.trim().is_empty();
    let value = if whole {
        value.trim().to_owned()
    } else {
        quote(value)
    };
    Some((path, format!("{} = {value}", key.trim())))
}

/// The segments of a dotted key.
fn dotted(key: &str) -> Option<Path> {
    let key = key.trim();
    if key.is_empty()
        || key.starts_with(['[', '#'])
        || key.chars().any(|c| c.is_control() && c != '\t')
    {
        return None;
    }
    let text = format!("{key} = 0");
    let table = DeTable::parse(&text).ok()?;
    let mut path = Path::default();
    let mut table = table.get_ref();
    loop {
        let (name, value) = table.iter().next()?;
        path.0.push(name.get_ref().to_string());
        match value.get_ref().as_table() {
            Some(inner) => table = inner,
            None => return Some(path),
        }
    }
}
