//! Appending, reading, resuming, torn ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use recto_protocol::SessionId;
use recto_protocol::ports::log::{Chunks as _, LogError};
use recto_store::{CreateError, ReadError, Recovered, ResumeError, check_id};

use crate::common::{AppendNow as _, clock, home, id, note, started};

#[test]
fn what_is_appended_is_read() {
    let home = home();
    let id = id(1);
    let mut log = home.sessions.create(&id, clock()).unwrap();
    let mut written = log.append_now(vec![started(&id)]).unwrap();
    written.extend(log.append_now(vec![note("a\nb"), note("ü\u{0}")]).unwrap());
    assert_eq!(log.append_now(Vec::new()).unwrap(), []);
    assert_eq!(written.iter().map(|r| r.seq).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(written[1].at, 1_800_000_000_000);
    assert_eq!(home.sessions.read(&id).unwrap(), written);
    drop(log);
    let (mut log, records, recovered) = home.sessions.resume(&id, clock()).unwrap();
    assert_eq!((records, recovered), (written, Recovered::default()));
    assert_eq!(log.append_now(vec![note("more")]).unwrap()[0].seq, 3);
}

#[test]
fn only_the_owner_may_read() {
    let home = home();
    let id = home.filled(1, 1);
    home.resume(&id)
        .chunks()
        .create()
        .unwrap()
        .write(b"x")
        .unwrap();
    let dir = home.sessions.dir_of(&id).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.parent().unwrap()), 0o700);
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join("chunks")), 0o700);
    assert_eq!(mode(&dir.join("log.jsonl")), 0o600);
    assert_eq!(mode(&dir.join("lock")), 0o600);
    let chunk = fs::read_dir(dir.join("chunks"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(mode(&chunk.path()), 0o600);
}

#[test]
fn only_uuids_of_version_7_become_paths() {
    for text in [
        "",
        ".",
        "..",
        "../x",
        "019a0000-0000-7000-8000-00000000000",
        "019a0000-0000-4000-8000-000000000001",
        "019A0000-0000-7000-8000-000000000001",
        "019a0000-0000-7000-8000-0000000000/1",
        "019a0000_0000-7000-8000-000000000001",
        "019a0000-0000-7000-8000-000000000001\0",
    ] {
        let id = SessionId(text.to_owned());
        assert!(check_id(&id).is_err(), "{text:?}");
        assert!(matches!(
            home().sessions.create(&id, clock()),
            Err(CreateError::Id(_))
        ));
        assert!(matches!(home().sessions.read(&id), Err(ReadError::Id(_))));
    }
    check_id(&id(1)).unwrap();
}

#[test]
fn a_session_is_created_once() {
    let home = home();
    let id = home.filled(1, 0);
    assert!(matches!(
        home.sessions.create(&id, clock()),
        Err(CreateError::Exists(_))
    ));
}

#[test]
fn a_missing_session_is_said_so() {
    let home = home();
    let resumed = home.sessions.resume(&id(1), clock()).map(|_| ());
    assert!(matches!(
        resumed,
        Err(ResumeError::Read(ReadError::NotFound(_)))
    ));
}

#[test]
fn torn_at_every_byte_of_the_last_line() {
    let home = home();
    let id = home.filled(1, 2);
    let path = home.log_path(&id);
    let whole = fs::read(&path).unwrap();
    let before = whole[..whole.len() - 1]
        .iter()
        .rposition(|b| *b == b'\n')
        .unwrap()
        + 1;
    let mut kept = 0;
    for cut in before..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        assert!(home.sessions.read(&id).unwrap().len() >= 2, "cut at {cut}");
        let (mut log, records, recovered) = home.sessions.resume(&id, clock()).unwrap();
        if cut == whole.len() - 1 {
            // Only the line break is missing: the record is whole and stays.
            assert_eq!((records.len(), recovered), (3, Recovered::default()));
        } else {
            assert_eq!(records.len(), 2, "cut at {cut}");
            assert_eq!(recovered.torn_bytes, (cut - before) as u64);
            if let Some(path) = &recovered.kept {
                kept += 1;
                assert!(path.ends_with(format!("log.torn-{kept}")));
                assert_eq!(fs::read(path).unwrap(), &whole[before..cut]);
            } else {
                assert_eq!(cut, before);
            }
        }
        log.append_now(vec![note("after")]).unwrap();
        drop(log);
        let records = home.sessions.read(&id).unwrap();
        assert_eq!(records.last().unwrap().body, note("after"), "cut at {cut}");
    }
    assert!(kept > 10);
}

#[test]
fn zeros_at_the_end_are_a_torn_tail() {
    let home = home();
    let id = home.filled(1, 1);
    for zeros in [&[0_u8; 300][..], b"{\"v\":1\0\0\0\n"] {
        let mut bytes = fs::read(home.log_path(&id)).unwrap();
        bytes.extend(zeros);
        fs::write(home.log_path(&id), &bytes).unwrap();
        let (_log, records, recovered) = home.sessions.resume(&id, clock()).unwrap();
        assert_eq!(
            (records.len(), recovered.torn_bytes),
            (2, zeros.len() as u64)
        );
    }
}

/// The error of reading a log whose lines `damage` changed.
fn error_of(damage: impl FnOnce(&mut Vec<String>)) -> String {
    let home = home();
    let id = home.filled(1, 3);
    let path = home.log_path(&id);
    let mut lines: Vec<String> = fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(Into::into)
        .collect();
    damage(&mut lines);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    let read = home.sessions.read(&id).unwrap_err().to_string();
    let resumed = home
        .sessions
        .resume(&id, clock())
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert_eq!(read, resumed);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        lines.join("\n") + "\n",
        "damage is left alone"
    );
    read.rsplit('/').next().unwrap().to_owned()
}

#[test]
fn damage_in_the_middle_is_an_error_with_its_place() {
    assert_eq!(error_of(|l| l[1].truncate(20)), "log.jsonl:2: damaged log");
    assert_eq!(error_of(|l| l[3] = "x".into()), "log.jsonl:4: damaged log");
    assert_eq!(
        error_of(|l| l[2] = String::new()),
        "log.jsonl:3: damaged log"
    );
    assert_eq!(
        error_of(|l| drop(l.remove(1))),
        "log.jsonl:2: record 2 where 1 should be"
    );
    assert_eq!(
        error_of(|l| l.insert(1, l[0].clone())),
        "log.jsonl:2: record 0 where 1 should be"
    );
}

#[test]
fn an_empty_log_resumes_empty() {
    let home = home();
    drop(home.sessions.create(&id(1), clock()).unwrap());
    assert_eq!(home.sessions.resume(&id(1), clock()).unwrap().1, []);
}

#[test]
fn chunks_are_written_read_and_numbered_on_after_a_resume() {
    let home = home();
    let id = home.filled(1, 0);
    let mut ids = Vec::new();
    for round in 0..3 {
        let log = home.resume(&id);
        let mut chunk = log.chunks().create().unwrap();
        chunk.write(b"head ").unwrap();
        chunk.write(format!("{round}").as_bytes()).unwrap();
        assert_eq!(
            log.chunks().read(&chunk.id(), 0, u64::MAX).unwrap(),
            format!("head {round}").as_bytes()
        );
        assert_eq!(log.chunks().read(&chunk.id(), 2, 3).unwrap(), b"ad ");
        assert_eq!(log.chunks().read(&chunk.id(), 99, 3).unwrap(), b"");
        ids.push(chunk.id());
    }
    // Decided by the session's id alone.
    let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    assert_eq!(ids, ["3063e7", "720730", "b4d2f6"]);
    for missing in ["ffffff", "../log.jsonl", "", "FFFFFF"] {
        let read = home.resume(&id).chunks().read(&missing.into(), 0, 1);
        assert!(matches!(read, Err(LogError::NoChunk(_))), "{missing:?}");
    }
}

#[test]
fn a_removed_session_is_gone_and_one_in_use_is_not_removed() {
    let home = home();
    let id = home.filled(1, 1);
    let log = home.resume(&id);
    let refused = home.sessions.remove(&id).unwrap_err().to_string();
    assert_eq!(
        refused,
        format!("the session is in use by process {}", std::process::id())
    );
    drop(log);
    home.sessions.remove(&id).unwrap();
    assert!(matches!(
        home.sessions.read(&id),
        Err(ReadError::NotFound(_))
    ));
    assert_eq!(
        fs::read_dir(home.dir.path().join("sessions"))
            .unwrap()
            .count(),
        0
    );
    assert!(home.sessions.remove(&id).is_err());
}
