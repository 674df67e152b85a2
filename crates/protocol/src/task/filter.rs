//! Which tasks a list shows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;

/// Which tasks a list shows, the newest first. What is none or empty does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Tasks with an attempt in this state.
    pub state: Option<State>,
    /// Tasks of this repository.
    pub repository: Option<String>,
    /// Tasks with this label.
    pub label: Option<String>,
    /// Tasks whose title, prompt or answers hold all of these words, in any letter case.
    pub search: Option<String>,
    /// Archived tasks instead of the others.
    pub archived: bool,
    /// Tasks after the one that a page ended with, as its `next` said.
    pub cursor: Option<String>,
    /// Most tasks to list; none means 50, more than 200 means 200.
    pub limit: Option<u32>,
}
