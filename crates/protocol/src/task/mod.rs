//! Tasks: what users hand in, how their attempts stand, and what is said to them.
//!
//! These types are what the service's API speaks, in JSON, and what its store keeps. They follow
//! the same promise as records: fields are only added, with defaults.

mod attempt;
mod filter;
mod message;
mod repository;
mod spec;

pub use attempt::{Attempt, Standing, State};
pub use filter::Filter;
pub use message::{Message, NewMessage, Said};
pub use repository::{NewRepository, Repository};
pub use spec::{MOST_ATTEMPTS, Problem, TaskSpec};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::TaskId;

/// A task as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// What was handed in.
    pub spec: TaskSpec,
    /// One line for lists.
    pub title: String,
    /// Words to find it by, sorted.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Whether it is out of sight in lists.
    #[serde(default)]
    pub archived: bool,
    /// When it was handed in, in milliseconds since 1970-01-01 UTC.
    pub created_at: i64,
    /// Its attempts, by number.
    pub attempts: Vec<Attempt>,
}

/// A task that is handed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NewTask {
    /// What is asked for.
    pub spec: TaskSpec,
    /// One line for lists; none takes it from the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Handing in twice under one key gives one task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What becomes of a task's place in lists. Fields that are none stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Amendment {
    /// The new title.
    pub title: Option<String>,
    /// The new labels, all of them.
    pub labels: Option<Vec<String>>,
    /// Whether it is out of sight.
    pub archived: Option<bool>,
}

/// Longest title, in characters.
pub const LONGEST_TITLE: usize = 80;

/// A title made from a prompt: its first line that says something, without markup, cut between
/// words.
pub fn title_of(prompt: &str) -> String {
    let line = prompt
        .lines()
        .map(|line| line.trim().trim_start_matches(['#', '-', '*', '>', ' ']))
        .find(|line| !line.is_empty())
        .unwrap_or("Untitled");
    let clean: String = line
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let words = clean.split_whitespace();
    let mut title = String::new();
    for word in words {
        let length = title.chars().count() + 1 + word.chars().count();
        if length > LONGEST_TITLE {
            if title.is_empty() {
                title = word.chars().take(LONGEST_TITLE - 1).collect();
            }
            title.push('…');
            break;
        }
        if !title.is_empty() {
            title.push(' ');
        }
        title.push_str(word);
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_one_short_clean_line() {
        let long = format!("{} end", "word ".repeat(40));
        for (prompt, title) in [
            (
                "\n\n## Fix the parser\nIt fails.",
                "Fix the parser".to_owned(),
            ),
            ("- a\tlist\u{7}", "a list".to_owned()),
            ("  ", "Untitled".to_owned()),
            (&long, format!("{}…", "word ".repeat(16).trim_end())),
            (&"x".repeat(200), format!("{}…", "x".repeat(79))),
        ] {
            assert_eq!(title_of(prompt), title);
        }
    }
}
