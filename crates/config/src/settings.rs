//! The finished settings.

use std::collections::BTreeMap;

use recto_protocol::egress::{Preset, Rule, Rules};
use recto_protocol::policy::{Access, Network, Policy};
use recto_protocol::profile::Profile;
use recto_protocol::settings::Budget;
use serde::Deserialize;

/// All settings, resolved.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The model. None: the provider's default model.
    pub model: Option<String>,
    /// The provider's key.
    pub provider: String,
    /// How long the model may think, in the provider's words.
    pub reasoning_effort: Option<String>,
    /// Which summary of its thinking the model gives.
    pub reasoning_summary: Option<String>,
    /// Overrides the window of whichever model is used.
    pub model_context_window: Option<u64>,
    /// Overrides the compaction limit of whichever model is used.
    pub model_auto_compact_token_limit: Option<u64>,
    /// Overrides the output limit of whichever model is used.
    pub model_max_output_tokens: Option<u64>,
    /// Whether the provider may search the web for the model.
    pub web_search: WebSearch,
    /// What commands may write. [`Config::policy`] joins it with the next.
    pub sandbox_mode: Access,
    /// What else is allowed in `workspace-write`.
    pub sandbox_workspace_write: WorkspaceWrite,
    /// What commands may reach in a cell.
    pub network: Network,
    /// What they may reach with [`Network::Allow`].
    pub egress: Egress,
    /// Further directories that commands may read; absolute.
    pub readable_roots: Vec<String>,
    /// The variables that commands see.
    pub env: Env,
    /// What commands may take.
    pub cell: Cell,
    /// Where to stop.
    pub budget: Budget,
    /// Commands that must pass before work counts as done.
    pub checks: Vec<String>,
    /// Files that are read as instructions where there is no AGENTS.md.
    pub instruction_names: Vec<String>,
    /// Limits of tools.
    pub tools: Tools,
    /// The profile that was selected.
    pub profile: Option<String>,
    /// The tables `providers` and `models`, to be laid over what the program knows by itself.
    /// Fields are spelled canonically, and only those that somebody set are there.
    #[serde(skip)]
    pub catalogue: toml::Table,
}

/// What is allowed in `workspace-write` beyond the work tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkspaceWrite {
    /// Whether commands reach the network.
    pub network_access: bool,
    /// Further directories that may be written; absolute.
    pub writable_roots: Vec<String>,
}

/// What commands may reach with [`Network::Allow`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Egress {
    /// Rules.
    pub allow: Vec<Rule>,
    /// Named lists of rules.
    pub presets: Vec<Preset>,
    /// What rules with `inject=NAME` add, by that name.
    pub credentials: BTreeMap<String, Credential>,
    /// What a cell may send, in MiB. None: no limit.
    pub up_mib: Option<u64>,
    /// What a cell may receive, in MiB. None: no limit.
    pub down_mib: Option<u64>,
}

/// Where a credential is, and how it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Credential {
    /// The variable that holds it.
    pub env: String,
    /// The header that carries it. None: `authorization`.
    pub header: Option<String>,
    /// What stands before it in the header.
    pub prefix: String,
}

/// What keeps commands apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// The kernel's namespaces.
    #[default]
    Namespaces,
    /// gVisor.
    Gvisor,
}

/// The variables that commands see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Env {
    /// Variables with their values.
    pub set: BTreeMap<String, String>,
    /// Names of the user's own variables.
    pub pass: Vec<String>,
}

/// What commands may take, all of a cell together unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cell {
    /// What keeps commands apart.
    pub backend: Backend,
    /// Memory with swap and scratch files, in MiB. None: three quarters of the machine's.
    pub memory_mib: Option<u64>,
    /// Thousandths of a core. None: all cores.
    pub cpu_millicores: Option<u32>,
    /// Processes and threads.
    pub processes: u64,
    /// Open files of one process.
    pub open_files: u64,
    /// What may be written to disk, in MiB.
    pub disk_mib: u64,
    /// Files and directories that may be made.
    pub files: u64,
    /// What one command may print, in MiB.
    pub output_mib: u64,
    /// How long the cell may live, in seconds. None: as long as the session.
    pub seconds: Option<u64>,
}

/// Limits of tools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tools {
    /// Seconds after which a command is killed.
    pub command_timeout_secs: u64,
    /// Seconds after which a check is killed.
    pub check_timeout_secs: u64,
}

/// Whether the provider may search the web for the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebSearch {
    /// No.
    #[default]
    Disabled,
    /// In what the provider has stored.
    Cached,
    /// In the web as it is now.
    Live,
}

impl Config {
    /// What a session's cell may do. What `workspace-write` adds counts in `workspace-write` only.
    pub fn policy(&self) -> Policy {
        let further = &self.sandbox_workspace_write;
        let (network, writable) = match self.sandbox_mode {
            Access::ReadOnly => (self.network, Vec::new()),
            Access::WorkspaceWrite if further.network_access => {
                (Network::Open, further.writable_roots.clone())
            }
            Access::WorkspaceWrite => (self.network, further.writable_roots.clone()),
            Access::DangerFullAccess => (Network::Open, Vec::new()),
        };
        let egress = match network {
            Network::Allow => Rules {
                rules: self.egress.allow.clone(),
                presets: self.egress.presets.clone(),
            },
            Network::None | Network::Open => Rules::default(),
        };
        Policy {
            access: self.sandbox_mode,
            network,
            writable,
            egress,
        }
    }

    /// Applies what was set for whichever model is used to the profile of the one that is.
    pub fn adjust(&self, profile: &mut Profile) {
        if let Some(window) = self.model_context_window {
            profile.context_window = window;
        }
        if self.model_auto_compact_token_limit.is_some() {
            profile.auto_compact_limit = self.model_auto_compact_token_limit;
        }
        if self.model_max_output_tokens.is_some() {
            profile.max_output_tokens = self.model_max_output_tokens;
        }
    }
}
