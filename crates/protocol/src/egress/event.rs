//! What the log is told of each request.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most bytes of a text in an event; longer ones are cut.
pub const MOST_TEXT: usize = 512;

/// One request that a cell made, or tried to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestEvent {
    /// Whom it was for; empty when the request could not be read.
    pub host: String,
    /// The port; 0 when the request could not be read.
    pub port: u16,
    /// The method. `CONNECT`: a connection whose contents were not seen. `TCP`: one through a door
    /// of its own. Empty when the request could not be read.
    pub method: String,
    /// The path, as far as it was seen; never the query, which may hold secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Bytes from the cell, without heads.
    #[serde(default)]
    pub bytes_up: u64,
    /// Bytes to the cell, without heads.
    #[serde(default)]
    pub bytes_down: u64,
    /// What was decided.
    pub verdict: Verdict,
    /// The rule that allowed it: its text, or `preset:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why an allowed request came to nothing, or ended early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What was decided about a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It went out.
    Allowed,
    /// Nothing of it went out.
    Refused {
        /// Why, as the cell was told.
        reason: String,
    },
}

/// The text as an event or a refusal may hold it: printable ASCII, anything else escaped, cut to
/// [`MOST_TEXT`] bytes.
pub fn clip(text: &str) -> String {
    let mut clipped = String::new();
    for byte in text.bytes() {
        // Room for an escape, and for the mark that something was cut.
        if clipped.len() + 4 >= MOST_TEXT {
            clipped.push('~');
            break;
        }
        match byte {
            b' '..=b'~' => clipped.push(char::from(byte)),
            _ => clipped.push_str(&format!("\\x{byte:02x}")),
        }
    }
    clipped
}
