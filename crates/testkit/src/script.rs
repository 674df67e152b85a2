//! A scripted model for one test.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A script file, written reply by reply (`docs/script.md` has the format).
pub struct Script {
    dir: TempDir,
    lines: Vec<Value>,
}

impl Script {
    /// A script without replies.
    #[allow(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            lines: Vec::new(),
        }
    }

    /// Adds a reply as the format has it.
    #[must_use]
    pub fn reply(mut self, reply: Value) -> Self {
        self.lines.push(reply);
        self.write();
        self
    }

    /// Adds a reply that runs one command.
    #[must_use]
    pub fn exec(self, command: &str) -> Self {
        self.call("exec_command", json!({"cmd": command}))
    }

    /// Adds a reply that calls one tool.
    #[must_use]
    pub fn call(self, tool: &str, arguments: Value) -> Self {
        self.reply(json!({
            "events": [{"call": tool, "arguments": arguments}],
            "usage": {"input_tokens": 100, "output_tokens": 10},
        }))
    }

    /// Adds a reply that applies a patch.
    #[must_use]
    pub fn patch(self, patch: &str) -> Self {
        self.call("apply_patch", json!({"input": patch}))
    }

    /// Adds a reply with a final answer.
    #[must_use]
    pub fn answer(self, text: &str) -> Self {
        self.reply(json!({
            "text": text,
            "usage": {"input_tokens": 100, "output_tokens": 10},
        }))
    }

    fn write(&self) {
        let lines: Vec<String> = self.lines.iter().map(Value::to_string).collect();
        std::fs::write(self.path(), lines.join("\n") + "\n").unwrap();
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("script.jsonl")
    }

    /// The directory that the file is in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What `--model` takes.
    pub fn model(&self) -> String {
        format!("script:{}", self.path().display())
    }
}
