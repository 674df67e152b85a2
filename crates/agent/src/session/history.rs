//! The conversation as it is sent: item texts joined by commas, only ever appended to.

use std::borrow::Cow;

use recto_protocol::{Item, View};
use serde_json::{Map, Value};

use super::notes;

/// What an entry is, as far as compaction and trimming need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Context given by the harness: environment, AGENTS.md.
    Context,
    /// A user's message.
    User,
    /// Reasoning by the model.
    Reasoning,
    /// Anything else the model made.
    Model,
    /// The output of a tool.
    Output,
    /// A remark of the harness to the model.
    Note,
    /// What stands for a conversation that was compacted.
    Summary,
}

/// An item that waits to be appended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    pub(super) item: Item,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    start: usize,
    end: usize,
    weight: usize,
    kind: Kind,
}

/// The conversation so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct History {
    joined: String,
    entries: Vec<Entry>,
    weight: usize,
}

/// Most bytes of earlier user messages that survive a compaction (about 8,000 tokens).
pub(super) const KEPT_USER_BYTES: usize = 32_000;

/// A message is not cut to less than this; it is left out instead.
const SHORTEST_CUT: usize = 400;

/// What an inline image counts for at most: providers charge an image by its size in pixels
/// (about 1,500 tokens at most), not by the length of its base64 text.
const IMAGE_WEIGHT: usize = 6_000;

/// An output is dropped only when that frees more than this: short ones often say what must not be
/// forgotten, above all that a result was lost and the call must not be repeated blindly.
const LEAST_FREED: usize = 256;

/// Stands in for the output of a call whose output was dropped.
const DROPPED: &str = "[This output was dropped to make room.]";

impl History {
    /// Appends an item.
    pub(super) fn push(&mut self, item: &Item, kind: Kind) {
        self.push_text(item.raw(), kind);
    }

    fn push_text(&mut self, text: &str, kind: Kind) {
        if !self.joined.is_empty() {
            self.joined.push(',');
        }
        let start = self.joined.len();
        self.joined.push_str(text);
        let weight = weight(text);
        self.weight += weight;
        self.entries.push(Entry {
            start,
            end: self.joined.len(),
            weight,
            kind,
        });
    }

    pub(super) fn joined(&self) -> &str {
        &self.joined
    }

    /// The joined text with one more item.
    pub(super) fn joined_with(&self, item: &Item) -> String {
        if self.joined.is_empty() {
            return item.raw().to_owned();
        }
        format!("{},{}", self.joined, item.raw())
    }

    /// The size in bytes, with images counted by what they cost rather than by their text.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    fn text(&self, entry: Entry) -> &str {
        &self.joined[entry.start..entry.end]
    }

    /// The history that follows a compaction: the context, the newest user messages that fit into
    /// `room`, and what stands for the rest. What came since the model last spoke has not been
    /// seen by it, and so stands after the summary.
    pub(super) fn compacted(&self, items: &[Item], mut room: usize) -> Self {
        let is_work = |entry: &Entry| match entry.kind {
            Kind::Reasoning | Kind::Model | Kind::Output | Kind::Summary => true,
            Kind::Context | Kind::User | Kind::Note => false,
        };
        let seen = self
            .entries
            .iter()
            .rposition(is_work)
            .map_or(0, |last| last + 1);
        let mut before: Vec<(Kind, Cow<'_, str>)> = Vec::new();
        let mut after = Vec::new();
        for (at, &entry) in self.entries.iter().enumerate().rev() {
            let text = match entry.kind {
                Kind::Context => Some(self.text(entry).into()),
                Kind::User => self.fitted(entry, &mut room),
                Kind::Note if at >= seen => self.fitted(entry, &mut room),
                Kind::Note | Kind::Reasoning | Kind::Model | Kind::Output | Kind::Summary => None,
            };
            let side = if at < seen || entry.kind == Kind::Context {
                &mut before
            } else {
                &mut after
            };
            side.extend(text.map(|text| (entry.kind, text)));
        }
        let mut new = Self::default();
        for (kind, text) in before.iter().rev() {
            new.push_text(text, *kind);
        }
        for item in items {
            new.push(item, Kind::Summary);
        }
        for (kind, text) in after.iter().rev() {
            new.push_text(text, *kind);
        }
        new
    }

    /// A message as far as it fits into `room`. A long one leaves half of the room to older ones.
    fn fitted(&self, entry: Entry, room: &mut usize) -> Option<Cow<'_, str>> {
        if entry.weight <= *room {
            *room -= entry.weight;
            return Some(self.text(entry).into());
        }
        *room /= 2;
        let cut = cut_message(self.text(entry), *room);
        cut.map(|item| item.raw().to_owned().into())
    }

    /// The same history with the oldest tool outputs dropped until it weighs at most `target`, or
    /// nothing more can be dropped.
    pub(super) fn trimmed(&self, target: usize) -> Self {
        let mut excess = self.weight.saturating_sub(target);
        let mut new = Self::default();
        for &entry in &self.entries {
            let text = self.text(entry);
            let shorter = (excess > 0 && entry.kind == Kind::Output)
                .then(|| without_output(text))
                .flatten();
            match shorter {
                Some(shorter) => {
                    excess = excess.saturating_sub(entry.weight.saturating_sub(shorter.len()));
                    new.push_text(&shorter, entry.kind);
                }
                None => new.push_text(text, entry.kind),
            }
        }
        new
    }

    /// The same history in a form that any model can read: without reasoning and other items that
    /// only their own provider understands, and without the ids that tie items to them.
    pub(super) fn for_another_model(&self) -> Self {
        let mut new = Self::default();
        for &entry in &self.entries {
            let text = self.text(entry);
            match entry.kind {
                Kind::Reasoning => {}
                Kind::Model => {
                    if let Some(plain) = plain_item(text) {
                        new.push_text(&plain, entry.kind);
                    }
                }
                Kind::Summary if is_message(text) => new.push_text(text, entry.kind),
                Kind::Summary => new.push(&notes::lost_summary(), entry.kind),
                Kind::Context | Kind::User | Kind::Output | Kind::Note => {
                    new.push_text(text, entry.kind);
                }
            }
        }
        new
    }
}

/// The bytes of an item's text that cost tokens.
fn weight(text: &str) -> usize {
    const IMAGE: &str = r#""image_url":"data:image/"#;
    let mut weight = text.len();
    for (at, _) in text.match_indices(IMAGE) {
        let data = &text[at + IMAGE.len()..];
        let size = data.find('"').unwrap_or(data.len());
        weight -= size.saturating_sub(IMAGE_WEIGHT);
    }
    weight
}

/// A message with the middle of its text left out. None when it can't be made short enough.
fn cut_message(text: &str, room: usize) -> Option<Item> {
    let View::Message { role, text, .. } = Item::parse(text).ok()?.view() else {
        return None;
    };
    if room < SHORTEST_CUT {
        return None;
    }
    let head = text.floor_char_boundary(room / 2);
    let tail = text
        .ceil_char_boundary(text.len().saturating_sub(room / 2))
        .max(head);
    let (left_out, head, tail) = (tail - head, &text[..head], &text[tail..]);
    if left_out == 0 {
        return Some(Item::message(&role, &text));
    }
    let cut = format!("{head}\n[{left_out} bytes were left out here to make room]\n{tail}");
    Some(Item::message(&role, &cut))
}

/// An output item with its output replaced, but for the head that names its chunk. None when that
/// would hardly make it shorter.
fn without_output(text: &str) -> Option<String> {
    let mut fields: Map<String, Value> = serde_json::from_str(text).ok()?;
    let head = fields
        .get("output")
        .and_then(Value::as_str)
        .map_or("", chunk_head);
    let dropped = if head.is_empty() {
        DROPPED.to_owned()
    } else {
        format!("{head}{DROPPED} read_chunk still has it.")
    };
    fields.insert("output".to_owned(), dropped.into());
    let shorter = Value::Object(fields).to_string();
    (shorter.len() + LEAST_FREED < text.len()).then_some(shorter)
}

/// The lines before a command's output, when the first of them names its chunk.
fn chunk_head(output: &str) -> &str {
    const END: &str = "Output:\n";
    match output.find(END) {
        Some(at) if at < 300 && output.starts_with("Chunk ID: ") => &output[..at + END.len()],
        _ => "",
    }
}

/// A message or call with nothing but the fields that every provider takes. None for other kinds.
fn plain_item(text: &str) -> Option<String> {
    const FIELDS: [&str; 8] = [
        "type",
        "role",
        "content",
        "call_id",
        "name",
        "namespace",
        "arguments",
        "input",
    ];
    let mut fields: Map<String, Value> = serde_json::from_str(text).ok()?;
    if !matches!(
        fields.get("type")?.as_str()?,
        "message" | "function_call" | "custom_tool_call"
    ) {
        return None;
    }
    fields.retain(|name, _| FIELDS.contains(&name.as_str()));
    Some(Value::Object(fields).to_string())
}

fn is_message(text: &str) -> bool {
    Item::parse(text).is_ok_and(|item| matches!(item.view(), View::Message { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use recto_protocol::tool::{ToolCall, ToolInput};

    fn output(text: &str) -> Item {
        Item::from_value(&serde_json::json!({
            "type": "function_call_output", "call_id": "c", "output": text,
        }))
        .unwrap()
    }

    fn list(history: &History) -> Vec<Value> {
        serde_json::from_str(&format!("[{}]", history.joined())).unwrap()
    }

    fn texts(history: &History) -> Vec<String> {
        let text = |item: &Value| {
            item["content"][0]["text"]
                .as_str()
                .unwrap_or("-")
                .to_owned()
        };
        list(history).iter().map(text).collect()
    }

    #[test]
    fn appending_keeps_every_earlier_byte() {
        let mut history = History::default();
        let mut before = String::new();
        for n in 0..20 {
            history.push(&Item::message("user", &format!("m{n}")), Kind::User);
            assert!(history.joined().starts_with(&before));
            before = history.joined().to_owned();
        }
        assert_eq!(list(&history).len(), 20);
    }

    #[test]
    fn trimming_drops_the_oldest_outputs_first_and_keeps_chunk_ids() {
        let mut history = History::default();
        for n in 0..4 {
            let head = format!("Chunk ID: 00000{n}\nProcess exited with code 0\nOutput:\n");
            history.push(
                &output(&format!("{head}{}", "x".repeat(1000))),
                Kind::Output,
            );
        }
        let trimmed = history.trimmed(history.weight() - 1500);
        let list = list(&trimmed);
        let dropped: Vec<bool> = list
            .iter()
            .map(|i| i["output"].as_str().unwrap().contains(DROPPED))
            .collect();
        assert_eq!(dropped, [true, true, false, false]);
        assert!(
            list[1]["output"]
                .as_str()
                .unwrap()
                .starts_with("Chunk ID: 000001\n")
        );
        let again = trimmed.trimmed(trimmed.weight() - 1);
        assert!(again.weight() < trimmed.weight());
        assert_eq!(again.trimmed(0).trimmed(0), again.trimmed(0));
    }

    #[test]
    fn trimming_keeps_short_outputs() {
        let call = ToolCall {
            call_id: "c".into(),
            name: "exec_command".into(),
            input: ToolInput::Function("{}".into()),
        };
        let mut history = History::default();
        history.push(&output(&"x".repeat(1000)), Kind::Output);
        history.push(&notes::lost_output(&call), Kind::Output);
        let trimmed = history.trimmed(0);
        assert!(trimmed.joined().contains(DROPPED));
        assert!(
            trimmed.joined().contains("before you decide to repeat it"),
            "{}",
            trimmed.joined()
        );
    }

    #[test]
    fn compaction_keeps_context_and_user_messages_and_cuts_the_one_that_does_not_fit() {
        let mut history = History::default();
        history.push(&Item::message("user", "context"), Kind::Context);
        history.push(&Item::message("user", "oldest"), Kind::User);
        history.push(
            &Item::message("user", &format!("a{}z", "é".repeat(20_000))),
            Kind::User,
        );
        history.push(&output("o"), Kind::Output);
        history.push(&Item::message("user", "new"), Kind::User);
        history.push(&Item::message("developer", "note"), Kind::Note);
        let new = history.compacted(&[Item::message("user", "summary")], 2_000);
        let texts = texts(&new);
        assert_eq!(texts.len(), 6);
        assert!(texts[2].starts_with("aé") && texts[2].ends_with("éz") && texts[2].len() < 1_100);
        let others: Vec<&str> = texts
            .iter()
            .map(|text| &**text)
            .filter(|text| text.len() < 100)
            .collect();
        assert_eq!(others, ["context", "oldest", "summary", "new", "note"]);
        let again = new.compacted(&[Item::message("user", "summary 2")], 2_000);
        assert!(!again.joined().contains("\"summary\""));
    }

    #[test]
    fn images_weigh_what_they_cost() {
        let image = |data: &str| {
            Item::user_parts(vec![serde_json::json!({
                "type": "input_image", "image_url": format!("data:image/png;base64,{data}"),
            })])
        };
        let mut history = History::default();
        history.push(&image(&"A".repeat(1 << 20)), Kind::Output);
        assert!(history.weight() < 7_000, "{}", history.weight());
        // The same text inside a string is text.
        let text = image(&"A".repeat(50_000)).raw().to_owned();
        history.push(&output(&text), Kind::Output);
        assert!(history.weight() > 50_000);
    }

    #[test]
    fn another_model_gets_only_what_it_can_read() {
        let mut history = History::default();
        let raw = [
            (
                r#"{"type":"reasoning","id":"rs_1","encrypted_content":"E"}"#,
                Kind::Reasoning,
            ),
            (
                r#"{"type":"function_call","id":"fc_1","status":"completed","call_id":"c","name":"n","arguments":"{}"}"#,
                Kind::Model,
            ),
            (r#"{"type":"web_search_call","id":"ws_1"}"#, Kind::Model),
            (
                r#"{"type":"compaction","id":"cm_1","encrypted_content":"E"}"#,
                Kind::Summary,
            ),
        ];
        for (raw, kind) in raw {
            history.push(&Item::parse(raw).unwrap(), kind);
        }
        let list = list(&history.for_another_model());
        assert_eq!(
            list[0],
            serde_json::json!({
                "type": "function_call", "call_id": "c", "name": "n", "arguments": "{}",
            })
        );
        assert_eq!(list[1]["role"], "developer");
        assert_eq!(list.len(), 2);
    }
}
