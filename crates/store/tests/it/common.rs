//! A home directory, ids and records for tests.

use std::path::PathBuf;

use futures_util::FutureExt as _;
use recto_protocol::Record;
use recto_protocol::ports::log::{Log, LogError};
use recto_protocol::record::{Outcome, SessionStarted, TurnEnded, TurnStarted, Warning};
use recto_protocol::usage::{Micros, Usage};
use recto_protocol::{Body, Item, SessionId};
use recto_store::{Clock, SessionLog, Sessions};

pub(crate) struct Home {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) sessions: Sessions,
}

/// Appends to logs that never wait for anything.
pub(crate) trait AppendNow: Log {
    fn append_now(&mut self, bodies: Vec<Body>) -> Result<Vec<Record>, LogError> {
        self.append(bodies).now_or_never().unwrap()
    }
}

impl<L: Log> AppendNow for L {}

pub(crate) fn home() -> Home {
    let dir = tempfile::tempdir().unwrap();
    let sessions = Sessions::open(dir.path());
    Home { dir, sessions }
}

impl Home {
    pub(crate) fn log_path(&self, id: &SessionId) -> PathBuf {
        self.sessions.dir_of(id).unwrap().join("log.jsonl")
    }

    /// A session with a header and `count` further records, closed again.
    pub(crate) fn filled(&self, n: u32, count: usize) -> SessionId {
        let id = id(n);
        let mut log = self.sessions.create(&id, clock()).unwrap();
        log.append_now(vec![started(&id)]).unwrap();
        log.append_now((0..count).map(|n| note(&format!("note {n}"))).collect())
            .unwrap();
        id
    }

    pub(crate) fn resume(&self, id: &SessionId) -> SessionLog {
        self.sessions.resume(id, clock()).unwrap().0
    }
}

pub(crate) fn id(n: u32) -> SessionId {
    SessionId(format!("019a0000-0000-7000-8000-{n:012x}"))
}

/// A clock that stands still.
pub(crate) fn clock() -> Clock {
    Box::new(|| 1_800_000_000_000)
}

pub(crate) fn started(id: &SessionId) -> Body {
    // As text, so that new fields with defaults do not touch this.
    let settings = serde_json::json!({
        "id": id, "mode": "code", "provider": "openai", "model": "m-1", "profile": {},
        "instructions": "Work.", "tools": "[]", "cwd": "/repo", "root": "/repo",
        "policy": {"access": "read-only", "network": "none"}, "cache_key": "k",
    });
    SessionStarted {
        settings: serde_json::from_value(settings).unwrap(),
    }
    .into()
}

pub(crate) fn note(message: &str) -> Body {
    Warning {
        code: "test".into(),
        message: message.into(),
    }
    .into()
}

pub(crate) fn turn_started(turn: u32, text: &str) -> Body {
    let items = vec![Item::message("user", text)];
    TurnStarted {
        turn,
        items,
        output_schema: None,
        inbox: None,
    }
    .into()
}

pub(crate) fn turn_ended(turn: u32, cost: Option<Micros>) -> Body {
    let outcome = Outcome::Completed {
        answer: "done".into(),
    };
    let usage = Usage {
        input_tokens: 10,
        output_tokens: 1,
        ..Usage::default()
    };
    TurnEnded {
        turn,
        outcome,
        usage,
        cost,
        duration_ms: 5,
    }
    .into()
}
