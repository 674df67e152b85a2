//! What is said to an attempt.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::Delivery;

/// A message in an attempt's inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// Its number in the inbox: 1, 2, …
    pub number: u64,
    /// When it came, in milliseconds since 1970-01-01 UTC.
    pub at: i64,
    /// What is said.
    pub said: Said,
}

/// A message that is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewMessage {
    /// What is said.
    pub said: Said,
    /// Sending twice under one key sends one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What is said to an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Said {
    /// Something for the agent. It begins a turn where none is running.
    Text {
        /// The user's words.
        text: String,
        /// When a running turn takes it in.
        delivery: Delivery,
    },
    /// Stop what runs, and keep everything.
    Stop {
        /// Who or what asks.
        by: String,
    },
}
