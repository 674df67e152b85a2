//! What is wrong with a configuration, and where.

use std::fmt;
use std::sync::Arc;

use crate::path::{clean, quote, shorten};

/// Most problems that one message lists.
pub(crate) const MOST_SHOWN: usize = 20;

/// A configuration that cannot be used: everything that was found wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What is wrong, in the order of layers and lines. Never empty.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What.
    pub mistake: Mistake,
}

/// Where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, variable, flag, or `-c` with its key.
    pub source: Arc<str>,
    /// Line and column in a file, from 1.
    pub line: Option<(usize, usize)>,
}

/// What is wrong. No variant holds a value that may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// The text is larger than this program reads.
    #[error("{bytes} bytes are more than the {} that are read", crate::MAX_BYTES)]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The text is no TOML.
    #[error("{message}")]
    Syntax {
        /// What the parser says.
        message: String,
    },
    /// A `-c` argument is no `key=value`.
    #[error("expected key=value with a dotted key")]
    NoPair,
    /// There is no such key.
    #[error("unknown key `{key}`")]
    UnknownKey {
        /// The key.
        key: String,
        /// What may have been meant, or what is known there.
        hint: Option<String>,
    },
    /// The value has another type.
    #[error("`{key}` must be {expected}, not {found}")]
    Type {
        /// The key.
        key: String,
        /// What it should be.
        expected: String,
        /// The type that was found.
        found: &'static str,
    },
    /// The value has the right type and still cannot be used.
    #[error("`{key}` must be {expected}")]
    Value {
        /// The key.
        key: String,
        /// What it should be.
        expected: String,
        /// What may have been meant.
        hint: Option<String>,
    },
    /// Two spellings of one key stand in the same layer.
    #[error("`{written}` sets `{key}`, which line {first} sets already")]
    Twice {
        /// The key as it is written the second time.
        written: String,
        /// The key.
        key: String,
        /// The line of the first.
        first: usize,
    },
    /// The key may not stand in this layer.
    #[error("`{key}` is not allowed here: {why}")]
    Refused {
        /// The key.
        key: String,
        /// The reason.
        why: &'static str,
    },
    /// A name refers to nothing.
    #[error("there is no {what} named {}", quote(&shorten(name)))]
    NoSuch {
        /// What kind of thing.
        what: &'static str,
        /// The name.
        name: String,
        /// What may have been meant, or what there is.
        hint: Option<String>,
    },
    /// Something that must be given is missing.
    #[error("`{table}` lacks `{key}`")]
    Missing {
        /// The table.
        table: String,
        /// The key it lacks.
        key: &'static str,
    },
}

impl Mistake {
    /// What to do about it, where that can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownKey { hint, .. }
            | Self::Value { hint, .. }
            | Self::NoSuch { hint, .. } => hint.clone(),
            Self::NoPair => Some(
                "for example -c budget.steps=50; parts of a key with dots or slashes are quoted: \
                 -c 'models.\"gpt-5.1\".context_window=100000'"
                    .to_owned(),
            ),
            Self::TooLarge { .. }
            | Self::Syntax { .. }
            | Self::Type { .. }
            | Self::Twice { .. }
            | Self::Refused { .. }
            | Self::Missing { .. } => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&clean(&self.source))?;
        match self.line {
            Some((line, column)) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.mistake)?;
        match self.mistake.hint() {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().take(MOST_SHOWN).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        match self.problems.len().saturating_sub(MOST_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Error {}
