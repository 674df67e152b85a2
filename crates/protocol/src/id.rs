//! Identifiers. All are made outside this crate and reach it as text.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    };
}

text_id! {
    /// Names one session (one log). A UUID version 7, so ids sort by time.
    SessionId
}
text_id! {
    /// Names one tool call. Chosen by the provider, unique within a session.
    CallId
}
text_id! {
    /// Names the captured output of one command: six hexadecimal digits, unique within a session.
    ChunkId
}
text_id! {
    /// Names one task: twelve characters of `a` to `z` and `2` to `7`.
    TaskId
}
text_id! {
    /// Names one attempt: its task's id, a full stop, and its number from 1.
    AttemptId
}
text_id! {
    /// Names one token of the API: as the id of a task.
    TokenId
}
text_id! {
    /// Names one worker, a process that runs attempts. Made anew at each start.
    WorkerId
}

impl TaskId {
    /// The id that these random bytes give.
    pub fn from_random(bytes: [u8; 12]) -> Self {
        const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        Self(
            bytes
                .map(|byte| char::from(DIGITS[usize::from(byte) % 32]))
                .iter()
                .collect(),
        )
    }

    /// Whether this is the text of an id. Nothing else ever becomes a path.
    pub fn is_valid(&self) -> bool {
        self.0.len() == 12
            && self
                .0
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'))
    }
}

impl AttemptId {
    /// The id of a task's attempt.
    pub fn of(task: &TaskId, number: u32) -> Self {
        Self(format!("{task}.{number}"))
    }

    /// The task and the number; none for a text that is no attempt's id.
    pub fn parts(&self) -> Option<(TaskId, u32)> {
        let (task, number) = self.0.split_once('.')?;
        let task = TaskId::from(task);
        let parsed: u32 = number.parse().ok()?;
        (task.is_valid() && parsed > 0 && parsed.to_string() == number).then_some((task, parsed))
    }
}
