//! Providers and model profiles: what an endpoint needs and what a model can do, as data.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::usage::Prices;

/// A model endpoint, as configuration describes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Provider {
    /// The name shown to users.
    pub name: String,
    /// Where requests go; `/responses` is added to it.
    pub base_url: String,
    /// The environment variable that holds the key. None: no key is sent.
    pub env_key: Option<String>,
    /// The header that carries the key as it is. None: `Authorization: Bearer`.
    pub key_header: Option<String>,
    /// Further headers with fixed values.
    pub http_headers: BTreeMap<String, String>,
    /// Further headers whose values are in these environment variables.
    pub env_http_headers: BTreeMap<String, String>,
    /// Query parameters added to every request, for example `api-version`.
    pub query_params: BTreeMap<String, String>,
    /// Seconds without a byte after which a stream counts as cut.
    pub stream_idle_timeout_secs: Option<u64>,
    /// Tries after the first for a request that met a transient failure.
    pub max_retries: Option<u32>,
    /// The model used when none is named.
    pub default_model: Option<String>,
}

/// What one model can do. Written into logs, so a field that a later version added is skipped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Profile {
    /// Tokens that fit into one request and its answer.
    pub context_window: u64,
    /// Tokens at which the conversation is compacted. None: nine tenths of the window.
    pub auto_compact_limit: Option<u64>,
    /// Most tokens per response to ask for. None: the provider's default.
    pub max_output_tokens: Option<u64>,
    /// How patches are offered.
    pub apply_patch: PatchTool,
    /// Whether images may be sent.
    pub images: bool,
    /// Whether the model reasons and takes a `reasoning` field.
    pub reasoning: bool,
    /// How the conversation is compacted.
    pub compaction: CompactionWay,
    /// Prices; none means that costs are not known.
    pub prices: Option<Prices>,
}

impl Default for Profile {
    /// What can be assumed of a model that nothing is known of.
    fn default() -> Self {
        Self {
            context_window: 128_000,
            auto_compact_limit: None,
            max_output_tokens: None,
            apply_patch: PatchTool::Function,
            images: true,
            reasoning: false,
            compaction: CompactionWay::Summary,
            prices: None,
        }
    }
}

impl Profile {
    /// Tokens at which the conversation is compacted. A limit that does not lie below the window, as
    /// when only the window was made smaller, is none.
    pub fn compact_limit(&self) -> u64 {
        self.auto_compact_limit
            .filter(|&limit| limit < self.context_window)
            .unwrap_or(self.context_window / 10 * 9)
    }
}

/// How patches are offered to a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PatchTool {
    /// A custom tool with a grammar.
    Freeform,
    /// A function with one JSON argument.
    #[default]
    Function,
}

/// How a conversation is compacted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompactionWay {
    /// The model is asked for a summary.
    #[default]
    Summary,
    /// The provider makes an item of its own (`compaction_trigger`).
    Provider,
}
