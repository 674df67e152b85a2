//! The script file: what may be written in it, as TOML or as JSON lines.

use std::collections::BTreeMap;
use std::path::PathBuf;

use recto_protocol::ports::model::ModelError;
use recto_protocol::usage::Usage;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Why a script cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be read.
    #[error("cannot read the script {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no script.
    #[error("mistake in the script {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<ParseError>,
    },
}

/// What is wrong with a script's text.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// It is no TOML, or holds what a script does not.
    #[error("not a script in TOML")]
    Toml(#[source] toml::de::Error),
    /// A line is no JSON, or holds what a reply does not.
    #[error("line {line} is not a reply in JSON")]
    Json {
        /// The line, from 1.
        line: usize,
        /// Where in it.
        #[source]
        source: serde_json::Error,
    },
    /// A reply contradicts itself.
    #[error("reply {reply}: {problem}")]
    Reply {
        /// The reply's name, as in the ids that the script makes.
        reply: String,
        /// What is wrong.
        problem: String,
    },
}

/// One reply as written. All fields may be left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReplyLine {
    /// Short for one text event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<EventLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) times: Option<u32>,
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub(crate) on_match: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) conversation: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) summary: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expect: Option<Expect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finish: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end_turn: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<HttpError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<Failed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cut: Option<Cut>,
    /// An error as the recorder saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recorded_error: Option<ModelError>,
}

/// One event as written: exactly one of the first seven fields, with what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EventLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) call: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) custom: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) item: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deltas: Option<Deltas>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delay_ms: Option<u64>,

    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) arguments: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) call_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encrypted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phase: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pieces: Option<usize>,
}

/// Pieces of text without an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deltas {
    #[serde(default = "one")]
    pub(crate) count: usize,
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) kind: DeltaWord,
}

fn one() -> usize {
    1
}

/// What kind of text pieces are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeltaWord {
    #[default]
    Text,
    Reasoning,
    ToolInput,
}

/// An answer that is an HTTP error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpError {
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) code: Option<String>,
    #[serde(default)]
    pub(crate) message: Option<String>,
    /// Text as it is, or a table that becomes JSON; instead of `code` and `message`.
    #[serde(default)]
    pub(crate) body: Option<Value>,
}

/// A `response.failed` at the end of the events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failed {
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
}

/// Where the stream is cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Cut {
    /// `true`: after all events, before the response completes.
    Here(bool),
    /// At a place inside.
    At(CutAt),
}

/// A place in the stream, and how it is cut there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CutAt {
    /// After this many of the script's events.
    pub(crate) events: Option<usize>,
    /// After this many bytes of the stream.
    pub(crate) bytes: Option<usize>,
    /// Ends the body in good order rather than breaking the connection.
    pub(crate) clean: bool,
}

/// What a request must look like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Expect {
    #[serde(skip_serializing_if = "Texts::is_empty")]
    pub(crate) contains: Texts,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    pub(crate) not_contains: Texts,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    pub(crate) anywhere: Texts,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) items: Option<usize>,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    pub(crate) tools: Texts,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    pub(crate) no_tools: Texts,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) at: BTreeMap<String, Value>,
}

/// One text, or a list of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Default for Texts {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Texts {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
        .iter()
        .map(String::as_str)
    }

    fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

/// The replies of a script's text.
pub(super) fn lines(text: &str) -> Result<Vec<ReplyLine>, ParseError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Toml {
        #[serde(default)]
        reply: Vec<ReplyLine>,
    }
    let first = text.lines().map(str::trim).find(|line| !is_blank(line));
    if first.is_some_and(|line| line.starts_with('{')) {
        return json_lines(text);
    }
    Ok(toml::from_str::<Toml>(text)
        .map_err(ParseError::Toml)?
        .reply)
}

fn json_lines(text: &str) -> Result<Vec<ReplyLine>, ParseError> {
    let numbered = text.lines().map(str::trim).enumerate();
    numbered
        .filter(|(_, line)| !is_blank(line))
        .map(|(at, line)| {
            serde_json::from_str(line).map_err(|source| ParseError::Json {
                line: at + 1,
                source,
            })
        })
        .collect()
}

fn is_blank(line: &str) -> bool {
    line.is_empty() || line.starts_with('#')
}

impl HttpError {
    /// The body's text.
    pub(super) fn text(&self) -> String {
        match &self.body {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => serde_json::json!({"error": {
                "code": self.code,
                "message": self.message.as_deref().unwrap_or("scripted error"),
            }})
            .to_string(),
        }
    }
}
