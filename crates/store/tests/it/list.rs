//! Listing.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use recto_protocol::SessionId;
use recto_protocol::record::Outcome;
use recto_protocol::settings::Mode;
use recto_protocol::usage::Micros;
use recto_store::Filter;

use crate::common::{
    AppendNow as _, Home, clock, home, id, note, started, turn_ended, turn_started,
};

fn written_at(home: &Home, id: &SessionId, seconds: u64) {
    let log = File::options().write(true).open(home.log_path(id)).unwrap();
    log.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
        .unwrap();
}

#[test]
fn summaries() {
    let home = home();
    assert_eq!(home.sessions.list(&Filter::default()).unwrap().sessions, []);
    let id = id(1);
    let mut log = home.sessions.create(&id, clock()).unwrap();
    assert_eq!(
        home.sessions.list(&Filter::default()).unwrap().sessions,
        [],
        "nothing in it yet"
    );
    log.append_now(vec![
        started(&id),
        turn_started(1, "\n  Fix the bug\nplease"),
    ])
    .unwrap();
    let running = home.sessions.last("/repo").unwrap().unwrap();
    assert_eq!((running.turns, &running.outcome), (1, &None));
    log.append_now(vec![turn_ended(1, Some(Micros(5)))])
        .unwrap();
    log.append_now(vec![
        turn_started(2, "again"),
        turn_ended(2, Some(Micros(7))),
    ])
    .unwrap();

    let summary = home.sessions.last("/repo").unwrap().unwrap();
    assert_eq!(summary.id, id);
    assert_eq!(summary.title, "Fix the bug");
    assert_eq!(
        (summary.turns, summary.cwd.as_str(), summary.model.as_str()),
        (2, "/repo", "m-1")
    );
    assert_eq!(
        summary.outcome,
        Some(Outcome::Completed {
            answer: "done".into()
        })
    );
    assert_eq!(summary.usage.unwrap().input_tokens, 20);
    assert_eq!(summary.cost, Some(Micros(12)));
    assert_eq!(home.sessions.last("/elsewhere").unwrap(), None);
    log.append_now(vec![turn_ended(3, None)]).unwrap();
    assert_eq!(
        home.sessions.last("/repo").unwrap().unwrap().cost,
        None,
        "one price is unknown"
    );
}

#[test]
fn newest_first_filtered_and_limited() {
    let home = home();
    for (n, seconds) in [(1, 30), (2, 10), (3, 20)] {
        written_at(&home, &home.filled(n, 0), seconds);
    }
    let listed = |filter: &Filter| -> Vec<SessionId> {
        home.sessions
            .list(filter)
            .unwrap()
            .sessions
            .into_iter()
            .map(|s| s.id)
            .collect()
    };
    assert_eq!(listed(&Filter::default()), [id(1), id(3), id(2)]);
    assert_eq!(
        listed(&Filter {
            limit: Some(2),
            ..Filter::default()
        }),
        [id(1), id(3)]
    );
    assert_eq!(
        listed(&Filter {
            mode: Some(Mode::Ask),
            ..Filter::default()
        }),
        []
    );
}

#[test]
fn damaged_and_foreign_entries() {
    let home = home();
    let good = home.filled(1, 0);
    let bad = home.filled(2, 0);
    fs::write(home.log_path(&bad), "nonsense\n").unwrap();
    fs::create_dir(home.dir.path().join("sessions/notes")).unwrap();
    fs::write(home.dir.path().join("sessions/x"), "").unwrap();
    let listing = home.sessions.list(&Filter::default()).unwrap();
    assert_eq!(listing.sessions.len(), 1);
    assert_eq!(listing.sessions[0].id, good);
    assert_eq!(listing.damaged, [bad]);
}

#[test]
fn a_large_log_is_listed_by_its_ends() {
    let home = home();
    let id = home.filled(1, 0);
    let mut log = home.resume(&id);
    log.append_now(vec![
        turn_started(1, "large"),
        turn_ended(1, Some(Micros(1))),
    ])
    .unwrap();
    let big = "x".repeat(1 << 20);
    for _ in 0..6 {
        log.append_now(vec![note(&big)]).unwrap();
    }
    log.append_now(vec![turn_started(2, "b"), turn_ended(2, Some(Micros(1)))])
        .unwrap();
    let summary = home.sessions.last("/repo").unwrap().unwrap();
    assert_eq!((summary.title.as_str(), summary.turns), ("large", 2));
    assert!(summary.outcome.is_some());
    assert_eq!((summary.usage, summary.cost), (None, None));
}
