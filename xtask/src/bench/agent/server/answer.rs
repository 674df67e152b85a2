//! The event streams that the server answers with.

use serde_json::{Value, json};

use super::Script;

/// One piece of a streamed message. Four letters and a space are about what a token has.
const PIECE: &str = "word ";

/// The answer to the request with this number: the next command, or the message.
pub(super) fn body(script: &Script, number: usize) -> String {
    let mut text = String::new();
    event(
        &mut text,
        &json!({ "type": "response.created", "response": { "id": id(number) } }),
    );
    match script.commands.get(number) {
        Some(command) => call(&mut text, number, command),
        None => message(&mut text, script.deltas),
    }
    event(
        &mut text,
        &json!({ "type": "response.completed", "response": {
            "id": id(number),
            "usage": {
                "input_tokens": 100,
                "input_tokens_details": { "cached_tokens": 0 },
                "output_tokens": 10,
                "output_tokens_details": { "reasoning_tokens": 0 },
                "total_tokens": 110,
            },
        }}),
    );
    text
}

fn id(number: usize) -> String {
    format!("resp_{number}")
}

fn call(text: &mut String, number: usize, command: &str) {
    event(
        text,
        &json!({ "type": "response.output_item.done", "output_index": 0, "item": {
            "type": "function_call",
            "id": format!("fc_{number}"),
            "name": "exec_command",
            "arguments": json!({ "cmd": command }).to_string(),
            "call_id": format!("call_{number}"),
        }}),
    );
}

fn message(text: &mut String, deltas: usize) {
    let item = |status: &str, content: Value| {
        json!({
            "type": "message", "id": "msg_1", "status": status, "role": "assistant",
            "content": content,
        })
    };
    event(
        text,
        &json!({ "type": "response.output_item.added", "output_index": 0,
            "item": item("in_progress", json!([])) }),
    );
    let mut piece = String::new();
    event(
        &mut piece,
        &json!({ "type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0,
            "content_index": 0, "delta": PIECE }),
    );
    text.push_str(&piece.repeat(deltas));
    let content = json!([
        { "type": "output_text", "text": PIECE.repeat(deltas), "annotations": [] }
    ]);
    event(
        text,
        &json!({ "type": "response.output_item.done", "output_index": 0,
            "item": item("completed", content) }),
    );
}

/// Appends an event. The type stands first in its data, as it does on the real wire.
fn event(text: &mut String, data: &Value) {
    let kind = data["type"].as_str().unwrap_or_default();
    let mut rest = data.clone();
    if let Some(fields) = rest.as_object_mut() {
        fields.remove("type");
    }
    let rest = rest.to_string();
    let rest = rest.strip_prefix('{').unwrap_or(&rest);
    text.push_str(&format!(
        "event: {kind}\ndata: {{\"type\":\"{kind}\",{rest}\n\n"
    ));
}

#[cfg(test)]
mod tests {
    use super::{Script, body};

    #[test]
    fn commands_come_first_and_then_the_message_in_its_pieces() {
        let script = Script::steps(1, "true");
        let first = body(&script, 0);
        assert!(
            first.contains(r#""arguments":"{\"cmd\":\"true\"}""#),
            "{first}"
        );
        assert!(first.contains("data: {\"type\":\"response.completed\","));
        let last = body(&Script::talk(3), 0);
        assert_eq!(
            last.matches("data: {\"type\":\"response.output_text.delta\"")
                .count(),
            3
        );
    }
}
