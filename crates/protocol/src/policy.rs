//! What a cell may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::egress::Rules;

/// What commands may write.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Nothing but the cell's own /tmp.
    ReadOnly,
    /// The work tree, further named directories, and the cell's own /tmp.
    #[default]
    #[serde(alias = "workspace")]
    WorkspaceWrite,
    /// Everything the user may: no cell at all. Must be asked for by name.
    #[serde(alias = "full")]
    DangerFullAccess,
}

impl Access {
    /// The name that flags and configuration use.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::WorkspaceWrite => "workspace-write",
            Self::DangerFullAccess => "danger-full-access",
        }
    }
}

/// What commands may reach.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// An empty network of the cell's own, with loopback only.
    #[default]
    None,
    /// What [`Policy::egress`] allows, through a proxy outside.
    Allow,
    /// The host's network.
    Open,
}

/// The whole policy of a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// What commands may write.
    pub access: Access,
    /// What commands may reach.
    pub network: Network,
    /// Directories outside the work tree that may be written too; absolute paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writable: Vec<String>,
    /// What commands may reach with [`Network::Allow`]; nothing else looks at it.
    #[serde(default, skip_serializing_if = "Rules::is_empty")]
    pub egress: Rules,
}
