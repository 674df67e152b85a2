//! Values on their way from a layer to the settings.

use std::collections::BTreeMap;

use crate::layer::Origin;
use crate::path::Path;
use crate::value::Value;

/// The values of one layer, or of several laid over each other, by canonical key.
pub(crate) type Entries = BTreeMap<Path, Entry>;

/// One value with its origin.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// The text at a key.
pub(crate) fn text<'a>(entries: &'a Entries, path: &[&str]) -> Option<&'a str> {
    match &entries.get(&Path::of(path))?.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}
