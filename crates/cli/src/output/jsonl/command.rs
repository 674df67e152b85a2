//! The item of a command.

use serde_json::{Value, json};

/// Most bytes of a command's output in its event.
const MOST_OUTPUT: usize = 1 << 20;

/// A command whose item is open.
pub(super) struct Command {
    item: String,
    command: String,
    output: Vec<u8>,
    cut: bool,
}

impl Command {
    pub(super) fn new(item: String, command: &str) -> Self {
        Self {
            item,
            command: command.to_owned(),
            output: Vec::new(),
            cut: false,
        }
    }

    /// Takes output in, up to the most that an event holds.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        if self.cut {
            return;
        }
        let room = MOST_OUTPUT - self.output.len();
        self.cut = bytes.len() > room;
        self.output
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        if self.cut {
            // Not in the middle of a character.
            let whole = whole_characters(&self.output);
            self.output.truncate(whole);
        }
    }

    pub(super) fn event(&self, exit_code: Option<i32>, status: &str) -> Value {
        let mut event = json!({
            "id": self.item,
            "type": "command_execution",
            "command": self.command,
            "aggregated_output": String::from_utf8_lossy(&self.output),
            "exit_code": exit_code,
            "status": status,
        });
        if self.cut {
            event["output_cut"] = true.into();
        }
        event
    }
}

/// The item of a check, which the harness runs itself.
pub(super) fn check_event(
    id: &str,
    command: &str,
    output: &str,
    exit_code: Option<i32>,
    status: &str,
) -> Value {
    json!({
        "id": id,
        "type": "command_execution",
        "command": command,
        "aggregated_output": output,
        "exit_code": exit_code,
        "status": status,
        "check": true,
    })
}

/// How many of the bytes are left without a character cut at their end.
fn whole_characters(bytes: &[u8]) -> usize {
    // A character has at most four bytes: the last one starts among them.
    let tail = bytes.len().saturating_sub(3);
    for start in (tail..bytes.len()).rev() {
        let byte = bytes[start];
        if byte & 0xc0 == 0x80 {
            continue;
        }
        let length = match byte {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0.. => 4,
            _ => 1,
        };
        return if start + length > bytes.len() {
            start
        } else {
            bytes.len()
        };
    }
    bytes.len()
}
