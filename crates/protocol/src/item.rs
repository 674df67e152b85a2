//! One element of the conversation, kept in the provider's own bytes.
//!
//! The shapes are those of the Responses API (`input` and `output` items). An item is parsed once
//! for what the agent must know of it, and sent back byte for byte, unknown kinds included.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::id::CallId;

/// One conversation element: its raw JSON on a single line.
#[derive(Clone, Debug)]
pub struct Item(Arc<RawValue>);

/// Why a text is no item.
#[derive(Debug, thiserror::Error)]
pub enum ItemError {
    /// The text is no JSON.
    #[error("item is not valid JSON")]
    Json(#[source] serde_json::Error),
    /// The JSON is no object with a text field `type`.
    #[error("item is not an object with a `type`")]
    NoType,
}

impl Item {
    /// Reads an item from JSON text. Line breaks between tokens become spaces, so that an item
    /// always fits on one line of a log; everything else is kept byte for byte.
    pub fn parse(json: &str) -> Result<Self, ItemError> {
        // A raw line break cannot stand inside a JSON string, so this touches white space only.
        let line: Cow<'_, str> = if json.contains(['\n', '\r']) {
            json.replace(['\n', '\r'], " ").into()
        } else {
            json.into()
        };
        let raw: Box<RawValue> = serde_json::from_str(line.trim()).map_err(ItemError::Json)?;
        Self::from_raw(raw)
    }

    /// Makes an item of a JSON value built here.
    ///
    /// # Errors
    /// [`ItemError::NoType`] when the value is no object with a text field `type`.
    pub fn from_value(value: &serde_json::Value) -> Result<Self, ItemError> {
        Self::from_raw(serde_json::value::to_raw_value(value).map_err(ItemError::Json)?)
    }

    fn from_raw(raw: Box<RawValue>) -> Result<Self, ItemError> {
        serde_json::from_str::<Probe<'_>>(raw.get()).map_err(|_| ItemError::NoType)?;
        Ok(Self(raw.into()))
    }

    /// The item's JSON, on one line.
    pub fn raw(&self) -> &str {
        self.0.get()
    }

    /// What the agent needs to know of the item. Malformed known kinds come out as
    /// [`View::Other`]; nothing is lost, since the raw bytes stay.
    pub fn view(&self) -> View {
        View::of(self.raw())
    }

    /// A message item. `role` is `user`, `developer` or `assistant`.
    pub fn message(role: &str, text: &str) -> Self {
        let part = if role == "assistant" {
            "output_text"
        } else {
            "input_text"
        };
        Self::build(&serde_json::json!({
            "type": "message",
            "role": role,
            "content": [{"type": part, "text": text}],
        }))
    }

    /// A user message made of ready content parts (`input_text`, `input_image`).
    pub fn user_parts(parts: Vec<serde_json::Value>) -> Self {
        Self::build(&serde_json::json!({"type": "message", "role": "user", "content": parts}))
    }

    /// The output of a tool call, answering `call` in the shape its kind asks for.
    pub fn call_output(call: &crate::tool::ToolCall, output: &serde_json::Value) -> Self {
        let kind = match call.input {
            crate::tool::ToolInput::Function(_) => "function_call_output",
            crate::tool::ToolInput::Custom(_) => "custom_tool_call_output",
        };
        Self::build(&serde_json::json!({"type": kind, "call_id": call.call_id, "output": output}))
    }

    fn build(value: &serde_json::Value) -> Self {
        // Every caller passes an object literal with a text `type`.
        Self::from_value(value).unwrap_or_else(|_| unreachable!("built items have a type"))
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.raw() == other.raw()
    }
}

impl Eq for Item {}

impl Serialize for Item {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(raw.get()).map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Item {
    fn schema_name() -> Cow<'static, str> {
        "Item".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "object", "required": ["type"]})
    }
}

/// The part of an item that the agent acts on.
#[derive(Clone, Debug, PartialEq)]
pub enum View {
    /// A message and its joined text.
    Message {
        /// `user`, `developer`, `system` or `assistant`.
        role: String,
        /// All text parts, joined.
        text: String,
        /// The refusal text, when the model refused.
        refusal: Option<String>,
        /// Whether this is an interim remark rather than an answer.
        commentary: bool,
    },
    /// The model's reasoning; only its summary can be read.
    Reasoning {
        /// The summary parts, joined by blank lines.
        summary: String,
    },
    /// A whole call of one of our tools. One without name or id, or cut off, is [`View::Other`].
    Call(crate::tool::ToolCall),
    /// The output of one of our tools.
    CallOutput {
        /// The call it answers.
        call_id: CallId,
    },
    /// A provider-made compaction of everything before it.
    Compaction,
    /// A search that the provider ran itself.
    WebSearch {
        /// The query, where told.
        query: String,
    },
    /// A kind that is kept and sent back, but means nothing to the agent.
    Other {
        /// The item's `type`.
        kind: String,
    },
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "type")]
    kind: String,
    role: Option<String>,
    #[serde(default)]
    content: serde_json::Value,
    #[serde(default)]
    summary: serde_json::Value,
    name: Option<String>,
    namespace: Option<String>,
    call_id: Option<CallId>,
    #[serde(default)]
    arguments: serde_json::Value,
    #[serde(default)]
    input: serde_json::Value,
    phase: Option<String>,
    #[serde(default)]
    status: serde_json::Value,
    #[serde(default)]
    action: serde_json::Value,
}

impl View {
    fn of(raw: &str) -> Self {
        let Ok(wire) = serde_json::from_str::<Wire>(raw) else {
            return Self::Other { kind: kind_of(raw) };
        };
        match wire.kind.as_str() {
            "message" => Self::Message {
                text: joined(&wire.content, "text", ""),
                refusal: Some(joined(&wire.content, "refusal", "")).filter(|t| !t.is_empty()),
                commentary: wire.phase.as_deref() == Some("commentary"),
                role: wire.role.unwrap_or_default(),
            },
            "reasoning" => Self::Reasoning {
                summary: joined(&wire.summary, "text", "\n\n"),
            },
            "function_call" | "custom_tool_call" => Self::call(wire),
            "function_call_output" | "custom_tool_call_output" => match wire.call_id {
                Some(call_id) => Self::CallOutput { call_id },
                None => Self::Other { kind: wire.kind },
            },
            "compaction" => Self::Compaction,
            "web_search_call" => Self::WebSearch {
                query: wire.action["query"].as_str().unwrap_or_default().to_owned(),
            },
            _ => Self::Other { kind: wire.kind },
        }
    }

    fn call(wire: Wire) -> Self {
        use crate::tool::{ToolCall, ToolInput};
        // What a cut left of a call may still look whole, above all in free text.
        let whole = wire.status != "incomplete";
        let (Some(name), Some(call_id), true) = (wire.name, wire.call_id, whole) else {
            return Self::Other { kind: wire.kind };
        };
        let name = match wire.namespace {
            Some(space) => format!("{space}.{name}"),
            None => name,
        };
        // Some servers send arguments as an object where the format says text: both are taken.
        let text = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Null => String::new(),
            other => other.to_string(),
        };
        let input = if wire.kind == "function_call" {
            ToolInput::Function(text(wire.arguments))
        } else {
            ToolInput::Custom(text(wire.input))
        };
        Self::Call(ToolCall {
            call_id,
            name,
            input,
        })
    }
}

/// The `type` of an object whose other fields may be anything, however deep.
#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

fn kind_of(raw: &str) -> String {
    serde_json::from_str::<Probe<'_>>(raw)
        .map(|probe| probe.kind.into_owned())
        .unwrap_or_default()
}

fn joined(parts: &serde_json::Value, field: &str, separator: &str) -> String {
    match parts {
        serde_json::Value::String(text) if field == "text" => text.clone(),
        serde_json::Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|p| p[field].as_str()).collect();
            texts.join(separator)
        }
        _ => String::new(),
    }
}
