//! Where values come from.

use std::fmt;
use std::sync::Arc;

use crate::path::clean;

/// A layer of configuration, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// What the program does when nobody says anything.
    Default,
    /// The user's file.
    User,
    /// The selected profile of the user's file.
    Profile,
    /// The project's file.
    Project,
    /// An environment variable.
    Environment,
    /// A flag.
    Flag,
    /// A `-c key=value` pair.
    Pair,
}

/// Where one value comes from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Origin {
    /// The layer.
    pub layer: Layer,
    /// The file, for layers that are files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Arc<str>>,
    /// The line in it, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The profile, variable or flag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = clean(self.name.as_deref().unwrap_or_default());
        match self.layer {
            Layer::Default => f.write_str("default")?,
            Layer::User => f.write_str("user file")?,
            Layer::Profile => write!(f, "profile {name}")?,
            Layer::Project => f.write_str("project file")?,
            Layer::Environment => write!(f, "variable {name}")?,
            Layer::Flag => write!(f, "flag {name}")?,
            Layer::Pair => f.write_str("-c")?,
        }
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, " {}:{line}", clean(file)),
            _ => Ok(()),
        }
    }
}

/// The beginnings of a text's lines, for turning offsets into positions.
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let after = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(after).collect(),
        }
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    /// The line and the column (in characters) of a byte, from 1.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line(offset);
        let start = self.starts[line - 1];
        let before = self
            .text
            .get(start..offset.min(self.text.len()))
            .unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}
