//! The repositories that tasks work on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A repository that tasks can name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Repository {
    /// By which tasks name it.
    pub name: String,
    /// Where it is fetched from: a URL (`https:`, `ssh:`, `file:`), the short form of ssh, or an
    /// absolute path on the server's machine.
    pub url: String,
    /// The branch that tasks start from unless they say otherwise; none takes the remote's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_reference: Option<String>,
    /// When it was made known, in milliseconds since 1970-01-01 UTC.
    pub created_at: i64,
}

/// A repository that is made known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRepository {
    /// By which tasks name it; none makes one from the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// As [`Repository::url`].
    pub url: String,
    /// As [`Repository::default_reference`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_reference: Option<String>,
}
