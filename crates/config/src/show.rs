//! What `recto config show` prints.

use serde_json::{Map, Value as Json, json};

use crate::entry::Entry;
use crate::keys::row;
use crate::path::{Path, quote};
use crate::resolve::Resolved;
use crate::value::{Kind, Value};

/// Stands where a secret would.
const HIDDEN: &str = "<hidden>";

/// Comments begin at this column, or after a longer value.
const COMMENT_COLUMN: usize = 48;

impl Resolved {
    /// Each value with its origin, one per line; secrets are hidden.
    pub fn show(&self) -> String {
        self.entries
            .iter()
            .map(|(path, entry)| line(path, entry))
            .collect()
    }

    /// The same as an object: key to `value`, `layer`, and where known `file`, `line` and `name`.
    /// A secret's `value` is null and it has `hidden: true`. A list that several layers added to
    /// has the origin of each item in `items`.
    pub fn show_json(&self) -> Json {
        let object = self
            .entries
            .iter()
            .map(|(path, entry)| (path.to_string(), object(path, entry)));
        Json::Object(object.collect())
    }
}

/// Leaves out the values, which may hold secrets.
impl std::fmt::Debug for Resolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolved")
            .field("origins", &self.origins)
            .field("notices", &self.notices)
            .finish_non_exhaustive()
    }
}

fn line(path: &Path, entry: &Entry) -> String {
    let value = match &entry.value {
        _ if is_secret(path) => HIDDEN.to_owned(),
        Value::List(items) if items.iter().any(|(_, origin)| *origin != entry.origin) => {
            let items = items.iter().map(|(item, origin)| {
                commented(&format!("  {},", quote(item)), &origin.to_string())
            });
            return format!("{path} = [\n{}]\n", items.collect::<String>());
        }
        Value::Text(text) => quote(&without_credentials(path, text)),
        Value::Bool(bool) => bool.to_string(),
        Value::Count(count) => count.to_string(),
        Value::Number(number) => number.to_string(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|(item, _)| quote(item)).collect();
            format!("[{}]", items.join(", "))
        }
    };
    commented(&format!("{path} = {value}"), &entry.origin.to_string())
}

fn commented(text: &str, comment: &str) -> String {
    format!("{text:COMMENT_COLUMN$}  # {comment}\n")
}

fn object(path: &Path, entry: &Entry) -> Json {
    let origin = |origin| match serde_json::to_value(origin) {
        Ok(Json::Object(fields)) => fields,
        // An origin is a struct of strings and numbers.
        _ => Map::new(),
    };
    let mut fields = Map::new();
    if is_secret(path) {
        fields.insert("value".to_owned(), Json::Null);
        fields.insert("hidden".to_owned(), Json::Bool(true));
    } else {
        let value = match &entry.value {
            Value::Text(text) => json!(without_credentials(path, text)),
            Value::Bool(bool) => json!(bool),
            Value::Count(count) => json!(count),
            Value::Number(number) => json!(number),
            Value::List(items) => items.iter().map(|(item, _)| json!(item)).collect(),
        };
        fields.insert("value".to_owned(), value);
    }
    fields.extend(origin(&entry.origin));
    if let Value::List(items) = &entry.value
        && items.iter().any(|(_, from)| *from != entry.origin)
    {
        let items = items.iter().map(|(item, from)| {
            let mut fields = Map::from_iter([("value".to_owned(), json!(item))]);
            fields.extend(origin(from));
            Json::Object(fields)
        });
        fields.insert("items".to_owned(), items.collect());
    }
    Json::Object(fields)
}

fn is_secret(path: &Path) -> bool {
    // A key without a row cannot be here; if it were, hiding it is right.
    row(&path.segments()).is_none_or(|key| key.secret)
}

/// An address without the parts that may hold a password or a key.
fn without_credentials(path: &Path, text: &str) -> String {
    if row(&path.segments()).is_none_or(|key| key.kind != Kind::Url) {
        return text.to_owned();
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, tail) = rest.split_at(end);
    let host = match host.rsplit_once('@') {
        Some((_, host)) => format!("{HIDDEN}@{host}"),
        None => host.to_owned(),
    };
    let tail = match tail.find(['?', '#']) {
        Some(at) => format!("{}{HIDDEN}", &tail[..=at]),
        None => tail.to_owned(),
    };
    format!("{scheme}://{host}{tail}")
}
