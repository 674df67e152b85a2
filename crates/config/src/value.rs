//! The kinds of values and how one is read.

use std::ops::Range;

use recto_protocol::egress::{Preset, Rule};
use toml::Spanned;
use toml::de::DeValue;

use crate::layer::Origin;
use crate::suggest::closest;

/// What a key's value may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A string in one line that is not empty.
    Text,
    /// Any string; may have several lines.
    Anything,
    /// An http or https address.
    Url,
    /// The name of an environment variable.
    Variable,
    /// The name of an HTTP header.
    HeaderName,
    /// The value of an HTTP header.
    Header,
    /// True or false.
    Bool,
    /// A whole number within bounds.
    Count {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// An amount of money in dollars.
    Dollars,
    /// A price in dollars per million tokens.
    Price,
    /// One of some names, each with its other spellings; where it matters, narrowest first.
    Choice(&'static [(&'static str, &'static [&'static str])]),
    /// A choice that may also be written as a bool: the names that false and true stand for.
    Switch {
        /// The names.
        names: &'static [(&'static str, &'static [&'static str])],
        /// What false stands for.
        off: &'static str,
        /// What true stands for.
        on: &'static str,
    },
    /// The wire protocol; only one is supported.
    Wire,
    /// A list of strings.
    List(ListOf),
    /// A table with the keys of the top level.
    Profile,
}

/// What a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListOf {
    /// Commands.
    Commands,
    /// Absolute paths.
    Paths,
    /// Names of files, without directories.
    FileNames,
    /// Names of environment variables.
    Variables,
    /// Rules of what may be reached.
    Rules,
    /// Names of lists of such rules.
    Presets,
}

/// A value that was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Bool(bool),
    Count(u64),
    Number(f64),
    /// Items with their own origins, since several layers may add to a list.
    List(Vec<(String, Origin)>),
}

/// Why a value cannot be read.
#[derive(Debug, PartialEq)]
pub(crate) enum Unfit {
    /// It has another type.
    Type {
        expected: String,
        found: &'static str,
        at: Range<usize>,
    },
    /// It has the right type and is still none.
    Value {
        expected: String,
        hint: Option<String>,
        at: Range<usize>,
    },
}

impl Kind {
    /// The type in words, as messages and the reference say it.
    pub fn expected(self) -> String {
        match self {
            Self::Text => "a string of one line that is not empty".to_owned(),
            Self::Anything => "a string without NUL".to_owned(),
            Self::Url => "an http:// or https:// address".to_owned(),
            Self::Variable => "the name of an environment variable (not its value)".to_owned(),
            Self::HeaderName => "the name of an HTTP header".to_owned(),
            Self::Header => "a string that an HTTP header can carry".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Count { least, most } if most >= LARGEST => {
                format!("a whole number of at least {least}")
            }
            Self::Count { least, most } => format!("a whole number from {least} to {most}"),
            Self::Dollars => "an amount in dollars, like 2.5".to_owned(),
            Self::Price => "a price in dollars per million tokens, like 1.25".to_owned(),
            Self::Choice(names) => one_of(names),
            Self::Switch { names, .. } => format!("{}, true or false", one_of(names)),
            Self::Wire => "\"responses\"".to_owned(),
            Self::List(of) => format!("a list of {}", of.expected()),
            Self::Profile => "a table with keys of the top level".to_owned(),
        }
    }

    /// Reads a value of this kind. `raw` gives the source text of a value for layers in which a
    /// string needs no quotes.
    pub(crate) fn read(
        self,
        value: &Spanned<DeValue<'_>>,
        origin: &Origin,
        raw: Option<&str>,
    ) -> Result<Value, Unfit> {
        let at = value.span();
        let found = value.get_ref();
        let unfit = || Unfit::Value {
            expected: self.expected(),
            hint: None,
            at: at.clone(),
        };
        let wrong_type = || Unfit::Type {
            expected: self.expected(),
            found: found_name(found),
            at: at.clone(),
        };
        let text = || {
            let scalar = !found.is_array() && !found.is_table();
            found
                .as_str()
                .or(raw.filter(|_| scalar))
                .ok_or_else(wrong_type)
        };
        let checked = |fits: fn(&str) -> bool| {
            let text = text()?;
            if fits(text) {
                Ok(Value::Text(text.to_owned()))
            } else {
                Err(unfit())
            }
        };
        match self {
            Self::Text => checked(is_line),
            Self::Anything => checked(|text| !text.contains('\0')),
            Self::Url => checked(is_url),
            Self::Variable => checked(is_variable),
            Self::HeaderName => checked(is_header_name),
            Self::Header => checked(|text| text.chars().all(|c| !c.is_control() || c == '\t')),
            Self::Bool => found.as_bool().map(Value::Bool).ok_or_else(wrong_type),
            Self::Count { least, most } => {
                let count = whole(found).ok_or_else(wrong_type)?;
                let fits = |count: &u64| (least..=most).contains(count);
                count.filter(fits).map(Value::Count).ok_or_else(unfit)
            }
            Self::Dollars | Self::Price => {
                let number = number(found).ok_or_else(wrong_type)?;
                let fits = |number: &f64| (0.0..=MOST_DOLLARS).contains(number);
                Some(number)
                    .filter(fits)
                    .map(Value::Number)
                    .ok_or_else(unfit)
            }
            Self::Choice(names) => choose(names, text()?, self, at.clone()),
            Self::Switch { names, off, on } => match found.as_bool() {
                Some(chosen) => Ok(Value::Text(if chosen { on } else { off }.to_owned())),
                None => choose(names, text()?, self, at.clone()),
            },
            Self::Wire => match text()? {
                "responses" => Ok(Value::Text("responses".to_owned())),
                "chat" => Err(Unfit::Value {
                    expected: self.expected(),
                    hint: Some(
                        "only the Responses API is supported so far, Chat Completions is not"
                            .to_owned(),
                    ),
                    at: at.clone(),
                }),
                _ => Err(unfit()),
            },
            Self::List(of) => {
                let items = found.as_array().ok_or_else(wrong_type)?;
                items
                    .iter()
                    .map(|item| of.read(item, origin))
                    .collect::<Result<_, _>>()
                    .map(Value::List)
            }
            Self::Profile => Err(wrong_type()),
        }
    }
}

impl ListOf {
    fn expected(self) -> &'static str {
        match self {
            Self::Commands => "commands that are not empty",
            Self::Paths => "absolute paths",
            Self::FileNames => "file names without directories",
            Self::Variables => "names of environment variables",
            Self::Rules => "rules like \"example.com\"",
            Self::Presets => "names of presets",
        }
    }

    fn read(self, item: &Spanned<DeValue<'_>>, origin: &Origin) -> Result<(String, Origin), Unfit> {
        let expected = || format!("a list of {}", self.expected());
        let Some(text) = item.get_ref().as_str() else {
            let found = found_name(item.get_ref());
            return Err(Unfit::Type {
                expected: expected(),
                found,
                at: item.span(),
            });
        };
        let mut hint = None;
        let fits = match self {
            Self::Commands => !text.trim().is_empty() && !text.contains('\0'),
            Self::Paths => is_line(text) && text.starts_with('/'),
            // These are looked up in every directory of a repository; a path could leave it.
            Self::FileNames => {
                is_line(text) && !text.contains(['/', '\\']) && text != "." && text != ".."
            }
            Self::Variables => is_variable(text),
            Self::Rules => {
                hint = text.parse::<Rule>().err();
                hint.is_none()
            }
            Self::Presets => {
                hint = text.parse::<Preset>().err();
                hint.is_none()
            }
        };
        if fits {
            Ok((text.to_owned(), origin.clone()))
        } else {
            Err(Unfit::Value {
                expected: expected(),
                hint: hint.map(|error| error.to_string()),
                at: item.span(),
            })
        }
    }
}

/// Where a name stands among the names of a choice.
pub(crate) fn rank(kind: Kind, name: &str) -> Option<usize> {
    match kind {
        Kind::Choice(names) => names.iter().position(|(known, _)| *known == name),
        _ => None,
    }
}

/// Whether `name` can be the name of an HTTP header.
pub(crate) fn is_header_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

/// Whether `name` can be the name of an environment variable.
pub(crate) fn is_variable(name: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(part)
}

/// The largest whole number that TOML can hold.
pub(crate) const LARGEST: u64 = i64::MAX as u64;

/// Amounts above this would not fit into millionths.
const MOST_DOLLARS: f64 = 1e9;

fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(char::is_control)
}

fn is_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let clean = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    clean && rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']))
}

/// The whole number, where the value is one at all; inner none: negative or too large.
fn whole(value: &DeValue<'_>) -> Option<Option<u64>> {
    let integer = value.as_integer()?;
    Some(
        i64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(|n| n.try_into().ok()),
    )
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    if let Some(integer) = value.as_integer() {
        let read = i64::from_str_radix(integer.as_str(), integer.radix());
        // Exact up to 2^53, and amounts end far below.
        #[allow(clippy::cast_precision_loss)]
        return Some(read.map_or(f64::NAN, |whole| whole as f64));
    }
    Some(value.as_float()?.as_str().parse().unwrap_or(f64::NAN))
}

fn choose(
    names: &'static [(&'static str, &'static [&'static str])],
    text: &str,
    kind: Kind,
    at: Range<usize>,
) -> Result<Value, Unfit> {
    let found = names
        .iter()
        .find(|(name, others)| *name == text || others.contains(&text));
    match found {
        Some((name, _)) => Ok(Value::Text((*name).to_owned())),
        None => {
            let close = closest(text, names.iter().map(|(name, _)| *name));
            let hint = close.map(|name| format!("did you mean \"{name}\"?"));
            Err(Unfit::Value {
                expected: kind.expected(),
                hint,
                at,
            })
        }
    }
}

fn one_of(names: &[(&str, &[&str])]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .map(|(name, _)| format!("\"{name}\""))
        .collect();
    match quoted.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        _ => quoted.concat(),
    }
}

/// A value's type in words.
pub(crate) fn found_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
