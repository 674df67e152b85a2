//! The JSON schema of the record bodies is generated and checked in, for readers in other
//! languages. `RECTO_WRITE_SCHEMA=1` writes it anew.

use recto_protocol::Body;
use recto_protocol::record::*;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

fn schema() -> Value {
    let mut generator = SchemaGenerator::default();
    let mut kinds = Map::new();
    macro_rules! add {
        ($($name:literal = $body:ty),* $(,)?) => {
            $(kinds.insert($name.to_owned(), generator.subschema_for::<$body>().to_value());)*
        };
    }
    add! {
        "session.started" = SessionStarted,
        "context.added" = ContextAdded,
        "settings.changed" = SettingsChanged,
        "turn.started" = TurnStarted,
        "message.added" = MessageAdded,
        "step.started" = StepStarted,
        "step.item" = StepItem,
        "step.finished" = StepFinished,
        "step.failed" = StepFailed,
        "tool.finished" = ToolFinished,
        "context.compacted" = Compacted,
        "compaction.failed" = CompactionFailed,
        "check.finished" = CheckFinished,
        "answer.rejected" = AnswerRejected,
        "driver.attached" = DriverAttached,
        "interrupt.requested" = InterruptRequested,
        "turn.ended" = TurnEnded,
        "warning" = Warning,
        "network.requested" = NetworkRequested,
        "state.changed" = StateChanged,
        "checkpoint.written" = Checkpointed,
        "work.settled" = WorkSettled,
        "evidence.gathered" = EvidenceGathered,
    }
    assert_eq!(kinds.len(), Body::KINDS.len());
    assert!(Body::KINDS.iter().all(|&kind| kinds.contains_key(kind)));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Bodies of the records of a Recto log, by kind",
        "properties": kinds,
        "$defs": generator.take_definitions(true),
    })
}

#[test]
fn the_schema_is_up_to_date() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/schema/records.json"
    );
    let schema = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("RECTO_WRITE_SCHEMA").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    let checked_in = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{e}: {path}"));
    assert!(
        checked_in == schema,
        "docs/schema/records.json is out of date: RECTO_WRITE_SCHEMA=1"
    );
}
