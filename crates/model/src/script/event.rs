//! A scripted event made into what goes over the wire: an item with its pieces, or a pause.

use std::time::Duration;

use recto_protocol::Item;
use serde_json::{Value, json};

use super::file::{DeltaWord, EventLine};

/// One event, ready to be sent.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// An item, with the pieces that are shown before it.
    Item { item: Item, pieces: Vec<String> },
    /// Pieces without an item.
    Deltas {
        kind: DeltaWord,
        text: String,
        count: usize,
    },
    /// A pause.
    Delay(Duration),
}

/// Makes the event that `line` describes. `name` names the reply and `index` the event in it;
/// both go into the ids, by which a later request shows how far the script is.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn build(line: &EventLine, name: &str, index: usize) -> Result<Event, String> {
    only_one(line)?;
    let id = |prefix: &str| {
        line.id
            .clone()
            .unwrap_or_else(|| format!("{prefix}_{name}_{index}"))
    };
    if let Some(text) = &line.text {
        allow(line, &["id", "phase", "pieces"])?;
        let mut item = json!({
            "type": "message", "id": id("msg"), "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        });
        if let Some(phase) = &line.phase {
            item["phase"] = json!(phase);
        }
        return with_pieces(&item, text, line.pieces.unwrap_or(1));
    }
    if let Some(text) = &line.reasoning {
        allow(line, &["id", "encrypted", "pieces"])?;
        let encrypted = line.encrypted.as_deref().unwrap_or("scripted");
        let item = json!({
            "type": "reasoning", "id": id("rs"), "encrypted_content": encrypted,
            "summary": [{"type": "summary_text", "text": text}],
        });
        return with_pieces(&item, text, line.pieces.unwrap_or(1));
    }
    if let Some(tool) = &line.call {
        allow(line, &["id", "call_id", "arguments", "namespace", "pieces"])?;
        let arguments = match line.arguments.clone().unwrap_or_else(|| json!({})) {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let mut item = json!({
            "type": "function_call", "id": id("fc"), "status": "completed", "name": tool,
            "arguments": arguments, "call_id": call_id(line, name, index),
        });
        if let Some(space) = &line.namespace {
            item["namespace"] = json!(space);
        }
        return with_pieces(&item, &arguments, line.pieces.unwrap_or(0));
    }
    if let Some(tool) = &line.custom {
        allow(line, &["id", "call_id", "input", "pieces"])?;
        let input = line.input.clone().unwrap_or_default();
        let item = json!({
            "type": "custom_tool_call", "id": id("ctc"), "status": "completed", "name": tool,
            "input": input, "call_id": call_id(line, name, index),
        });
        return with_pieces(&item, &input, line.pieces.unwrap_or(0));
    }
    allow(line, &[])?;
    match (&line.item, &line.deltas, line.delay_ms) {
        (Some(item), _, _) => raw(item),
        (_, Some(deltas), _) => Ok(Event::Deltas {
            kind: deltas.kind,
            text: deltas.text.clone(),
            count: deltas.count,
        }),
        (_, _, Some(ms)) => Ok(Event::Delay(Duration::from_millis(ms))),
        (None, None, None) => Err("an event says nothing".into()),
    }
}

fn call_id(line: &EventLine, name: &str, index: usize) -> String {
    line.call_id
        .clone()
        .unwrap_or_else(|| format!("call_{name}_{index}"))
}

/// An item as written: text is taken byte for byte, a table in the order of its sorted keys.
fn raw(item: &Value) -> Result<Event, String> {
    let item = match item {
        Value::String(text) => Item::parse(text),
        other => Item::from_value(other),
    };
    let item = item.map_err(|error| format!("item: {error}"))?;
    Ok(Event::Item {
        item,
        pieces: Vec::new(),
    })
}

fn with_pieces(item: &Value, text: &str, pieces: usize) -> Result<Event, String> {
    let item = Item::from_value(item).map_err(|error| error.to_string())?;
    Ok(Event::Item {
        item,
        pieces: split(text, pieces),
    })
}

/// Splits on character boundaries, as evenly as they allow.
fn split(text: &str, pieces: usize) -> Vec<String> {
    if pieces == 0 || text.is_empty() {
        return Vec::new();
    }
    let chars: Vec<char> = text.chars().collect();
    chars
        .chunks(chars.len().div_ceil(pieces))
        .map(|piece| piece.iter().collect())
        .collect()
}

fn only_one(line: &EventLine) -> Result<(), String> {
    let kinds = [
        line.text.is_some(),
        line.reasoning.is_some(),
        line.call.is_some(),
        line.custom.is_some(),
        line.item.is_some(),
        line.deltas.is_some(),
        line.delay_ms.is_some(),
    ];
    match kinds.iter().filter(|given| **given).count() {
        1 => Ok(()),
        _ => Err(
            "an event is exactly one of text, reasoning, call, custom, item, deltas, \
                  delay_ms"
                .into(),
        ),
    }
}

fn allow(line: &EventLine, allowed: &[&str]) -> Result<(), String> {
    let given = [
        ("arguments", line.arguments.is_some()),
        ("namespace", line.namespace.is_some()),
        ("input", line.input.is_some()),
        ("id", line.id.is_some()),
        ("call_id", line.call_id.is_some()),
        ("encrypted", line.encrypted.is_some()),
        ("phase", line.phase.is_some()),
        ("pieces", line.pieces.is_some()),
    ];
    match given
        .iter()
        .find(|(name, given)| *given && !allowed.contains(name))
    {
        Some((name, _)) => Err(format!("`{name}` does not belong to this kind of event")),
        None => Ok(()),
    }
}
