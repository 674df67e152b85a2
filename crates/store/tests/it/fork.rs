//! Forks.

use std::fs;

use recto_protocol::ports::log::{ChunkWriter, Chunks as _};
use recto_protocol::record::{CheckFinished, ToolFinished};
use recto_protocol::tool::{Effect, ToolStatus};
use recto_protocol::{Body, Item};
use recto_store::{ForkError, SessionLog};

use crate::common::{AppendNow as _, Home, clock, home, id, note};

fn chunk(log: &mut SessionLog, text: &str) -> Box<dyn ChunkWriter> {
    let mut chunk = log.chunks().create().unwrap();
    chunk.write(text.as_bytes()).unwrap();
    chunk
}

fn with_chunks(home: &Home) -> SessionLog {
    let mut log = home.resume(&home.filled(1, 0));
    let command = chunk(&mut log, "command");
    let check = chunk(&mut log, "check");
    let later = chunk(&mut log, "later");
    let finished = |chunk| -> Body {
        ToolFinished {
            call_id: "c".into(),
            status: ToolStatus::Ok,
            item: Item::message("user", "x"),
            effect: Effect::Command {
                command: "ls".into(),
                exit_code: Some(0),
                session: None,
                chunk: Some(chunk),
                output_bytes: 1,
                output_lines: 1,
            },
            duration_ms: 1,
        }
        .into()
    };
    let checked = CheckFinished {
        command: "make".into(),
        exit_code: Some(0),
        chunk: check.id(),
        output: String::new(),
        duration_ms: 1,
    };
    log.append_now(vec![
        finished(command.id()),
        checked.into(),
        finished(later.id()),
    ])
    .unwrap();
    log
}

fn forks(home: &Home) {
    home.sessions.fork(&id(1), 2, &id(2)).unwrap();
    let (old, new) = (
        home.sessions.read(&id(1)).unwrap(),
        home.sessions.read(&id(2)).unwrap(),
    );
    assert_eq!(new.len(), 3);
    assert_eq!(new[1..], old[1..3]);
    let Body::SessionStarted(head) = &new[0].body else {
        panic!("no header")
    };
    assert_eq!(head.settings.id, id(2));
    assert_eq!(head.settings.forked_from, Some((id(1), 2)));

    let mut log = home.resume(&id(2));
    let chunks = home.sessions.dir_of(&id(2)).unwrap().join("chunks");
    let mut texts: Vec<String> = fs::read_dir(&chunks)
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    texts.sort();
    assert_eq!(texts, ["check", "command"], "only what its records name");
    // The fork goes its own way.
    chunk(&mut log, "new");
    assert_eq!(log.append_now(vec![note("new")]).unwrap()[0].seq, 3);
    assert_eq!(home.sessions.read(&id(1)).unwrap(), old);
}

#[test]
fn of_a_session_at_rest() {
    let home = home();
    drop(with_chunks(&home));
    forks(&home);
}

#[test]
fn of_a_session_in_use() {
    let home = home();
    let mut log = with_chunks(&home);
    let mut growing = chunk(&mut log, "grows");
    forks(&home);
    growing.write(b" on").unwrap();
}

#[test]
fn what_cannot_be_forked() {
    let home = home();
    let (one, two) = (home.filled(1, 1), home.filled(2, 0));
    let before = home.sessions.read(&two).unwrap();
    assert!(matches!(
        home.sessions.fork(&one, 1, &two),
        Err(ForkError::Exists(_))
    ));
    assert!(matches!(
        home.sessions.fork(&one, 2, &id(3)),
        Err(ForkError::NoRecord { .. })
    ));
    assert!(matches!(
        home.sessions.fork(&one, u64::MAX, &id(3)),
        Err(ForkError::NoRecord { .. })
    ));
    assert!(matches!(
        home.sessions.fork(&id(9), 0, &id(3)),
        Err(ForkError::Read(_))
    ));
    assert_eq!(home.sessions.read(&two).unwrap(), before);
    assert_eq!(
        fs::read_dir(home.dir.path().join("sessions"))
            .unwrap()
            .count(),
        2
    );
    assert!(home.sessions.create(&id(3), clock()).is_ok());
}
