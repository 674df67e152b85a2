//! SQLite alone: the file, the disk under it, and processes that are killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use recto_protocol::ports::tasks::{AppendError, Change, StoreError};
use recto_store::{OpenError, Tasks};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use sqlx::Row as _;

use crate::common::{Store, attempt, log, look, note, submit, task, text, worker};

const FILE: &str = "RECTO_STORE_TEST_TASKS";

async fn open(path: &Path) -> Store {
    Arc::new(Tasks::sqlite(path).await.unwrap())
}

async fn refused(path: &Path) -> OpenError {
    Tasks::sqlite(path).await.map(drop).unwrap_err()
}

async fn run(path: &Path, sql: &'static str) -> Vec<String> {
    use sqlx::ConnectOptions as _;
    let options = sqlx::sqlite::SqliteConnectOptions::new();
    let options = options.filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    let rows = sqlx::raw_sql(sql).fetch_all(&mut connection).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("tasks.db")).await;
    submit(&store, 1).await;
    let mut names = Vec::new();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["tasks.db", "tasks.db-shm", "tasks.db-wal"]);
}

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    let notes = "not a database at all\n".repeat(1000);
    fs::write(&path, &notes).unwrap();
    let error = refused(&path).await;
    assert!(matches!(error, OpenError::NoDatabase { .. }), "{error:?}");
    assert!(error.to_string().contains("notes.txt is no database"));
    assert_eq!(fs::read_to_string(&path).unwrap(), notes);

    let path = dir.path().join("other.db");
    run(&path, "create table zebra (stripes text)").await;
    let error = refused(&path).await;
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    let tables = run(&path, "select name from sqlite_master").await;
    assert_eq!(tables, ["zebra"]);

    let error = refused(&dir.path().join("missing/tasks.db")).await;
    assert!(matches!(error, OpenError::Create { .. }), "{error:?}");
    let error = refused(dir.path()).await;
    assert!(matches!(error, OpenError::Create { .. }), "{error:?}");
}

#[tokio::test]
async fn a_damaged_store_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tasks.db");
    Tasks::sqlite(&path).await.unwrap().close().await;
    let mut bytes = fs::read(&path).unwrap();
    // All pages but the header of the first.
    bytes[100..].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let error = refused(&path).await;
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tasks.db");
    let store = open(&path).await;
    submit(&store, 1).await;
    run(
        &path,
        "update record set line = '{\"v\":99}'; update task set spec = '{'",
    )
    .await;
    for error in [
        store.records(&attempt(1), 0, 1).await.unwrap_err(),
        store.task(&task(1)).await.unwrap_err(),
    ] {
        let StoreError::Unreadable { what } = error else {
            panic!("{error:?}");
        };
        assert!(what.contains(task(1).as_str()), "{what}");
    }
    // An operation that meets it half-way changes nothing.
    store.join(&worker(1), 0).await.unwrap();
    assert!(store.claim(&worker(1), 1).await.is_err());
    let held = "select count(*) || '' from attempt where worker is not null";
    assert_eq!(run(&path, held).await, ["0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_in_a_group_is_one_operations_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tasks.db");
    let store = open(&path).await;
    for n in 1..=20 {
        submit(&store, n).await;
    }
    store.join(&worker(1), 0).await.unwrap();
    let claims = store.claim(&worker(1), 20).await.unwrap();
    // Writing this attempt's log fails half-way through the operation.
    let trigger = "create trigger broken before insert on record when new.line like '%poison%' \
        begin select raise(rollback, 'poisoned'); end";
    run(&path, trigger).await;
    let mut running = Vec::new();
    for (n, claim) in claims.iter().enumerate() {
        let (store, claim) = (store.clone(), claim.clone());
        running.push(tokio::spawn(async move {
            let word = if n % 7 == 3 { "poison" } else { "fine" };
            let change = Change {
                taken: Some(1),
                ..Change::default()
            };
            let bodies = vec![note("first"), note(word)];
            store.append(&claim.lease, 1, bodies, &change, 2).await
        }));
    }
    for (n, one) in running.into_iter().enumerate() {
        let outcome = one.await.unwrap();
        let records = look(&store, &claims[n].lease.attempt).await.records;
        match n % 7 == 3 {
            true => {
                assert!(matches!(outcome, Err(AppendError::Store(_))), "{outcome:?}");
                assert_eq!(records, 1);
            }
            false => assert_eq!((outcome.unwrap().len(), records), (2, 3)),
        }
    }
    // Beats tell the same: what failed was not taken in either.
    assert_eq!(store.beat(&worker(1), 1).await.unwrap().mail.len(), 3);
}

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = unmount(self.0, UnmountFlags::DETACH);
    }
}

#[tokio::test]
async fn a_full_disk_refuses_what_does_not_fit_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let size = c"size=10m";
    if let Err(error) = mount("none", dir.path(), "tmpfs", MountFlags::empty(), size) {
        assert!(
            std::env::var_os("CI").is_none(),
            "cannot mount a tmpfs: {error}"
        );
        return eprintln!("SKIPPED: cannot mount a tmpfs ({error})");
    }
    let mounted = Mounted(dir.path());
    let ballast = dir.path().join("ballast");
    fs::write(&ballast, vec![0; 6 << 20]).unwrap();
    let path = dir.path().join("tasks.db");
    let store = open(&path).await;
    submit(&store, 1).await;
    submit(&store, 2).await;
    store.join(&worker(1), 0).await.unwrap();
    let claims = store.claim(&worker(1), 2).await.unwrap();
    let large = note(&"x".repeat(5 << 20));
    let none = Change::default();
    let (too_much, fits) = tokio::join!(
        store.append(&claims[0].lease, 1, vec![large.clone()], &none, 2),
        store.append(&claims[1].lease, 1, vec![note("small")], &none, 2),
    );
    assert!(
        matches!(too_much, Err(AppendError::Store(_))),
        "{too_much:?}"
    );
    assert_eq!(fits.unwrap().len(), 1);
    let mut written = 1;
    let error = loop {
        let bodies = vec![note(&"y".repeat(20_000))];
        match store
            .append(&claims[0].lease, written, bodies, &none, 3)
            .await
        {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "the disk does not fill");
    };
    assert!(matches!(error, AppendError::Store(_)), "{error:?}");
    assert_eq!(log(&store, &attempt(1)).await.len() as u64, written);
    fs::remove_file(&ballast).unwrap();
    store
        .append(&claims[0].lease, written, vec![note("room")], &none, 4)
        .await
        .unwrap();
    assert_eq!(run(&path, "pragma integrity_check").await, ["ok"]);
    drop(store);
    drop(mounted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_that_writes_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tasks.db");
    let store = open(&path).await;
    submit(&store, 1).await;
    use sqlx::ConnectOptions as _;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut other = options.connect().await.unwrap();
    sqlx::raw_sql("begin immediate; delete from message")
        .execute(&mut other)
        .await
        .unwrap();
    let sending = {
        let store = store.clone();
        tokio::spawn(async move { store.send(&attempt(1), &text("x"), 2).await })
    };
    // Readers do not wait, and see what was committed.
    assert_eq!(store.inbox(&attempt(1), 0).await.unwrap().len(), 1);
    let opening = tokio::spawn({
        let path = path.clone();
        async move { Tasks::sqlite(&path).await.map(drop) }
    });
    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    assert_eq!(sending.await.unwrap().unwrap(), Some(2));
    opening.await.unwrap().unwrap();
}

fn play(part: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", part, "--ignored", "--nocapture"])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Four writers and a sender, each telling what was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "played by a child process"]
async fn child_appends() {
    let Some(path) = std::env::var_os(FILE) else {
        return;
    };
    let store = open(Path::new(&path)).await;
    // Whoever was killed before holds all attempts.
    for (worker, beat) in store.workers().await.unwrap() {
        store.expire(&worker, beat, "killed", 1).await.unwrap();
    }
    let me = recto_protocol::WorkerId(format!("w{}", std::process::id()));
    store.join(&me, 1).await.unwrap();
    let claims = store.claim(&me, 10).await.unwrap();
    assert_eq!(claims.len(), 4);
    println!("\nbegin");
    let sender = store.clone();
    tokio::spawn(async move {
        loop {
            let number = sender.send(&attempt(1), &text("m"), 3).await.unwrap();
            println!("mail {}", number.unwrap());
        }
    });
    let mut running = tokio::task::JoinSet::new();
    for claim in claims {
        let store = store.clone();
        running.spawn(async move {
            let mut expect = claim.records;
            loop {
                let bodies = vec![note(&"x".repeat(700)), note("y"), note("z")];
                let written = store
                    .append(&claim.lease, expect, bodies, &Change::default(), 2)
                    .await
                    .unwrap();
                expect += written.len() as u64;
                println!("ack {} {expect}", claim.lease.attempt);
            }
        });
    }
    running.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tasks.db");
    let store = open(&path).await;
    let attempts: Vec<_> = (1..=4).map(attempt).collect();
    for n in 1..=4 {
        submit(&store, n).await;
    }
    drop(store);
    let mut acknowledged = std::collections::HashMap::new();
    let mut mail = 0;
    for round in 0..15_u64 {
        let mut child = play("files::child_appends", &path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "begin"), "round {round}");
        let mut told: Vec<String> = (&mut lines)
            .take(usize::try_from(10 + round * 7 % 40).unwrap())
            .map(Result::unwrap)
            .collect();
        // The kill's moment is what is tested: it must not wait for anything.
        std::thread::sleep(Duration::from_micros(round * 737 % 5001));
        child.kill().unwrap();
        child.wait().unwrap();
        told.extend(lines.map(Result::unwrap));
        for line in told {
            // The kill may cut the last number short, to a smaller one.
            let mut words = line.split(' ');
            match (words.next(), words.next(), words.next()) {
                (Some("ack"), Some(id), Some(count)) => {
                    let count: u64 = count.parse().unwrap_or(0);
                    let known: &mut u64 = acknowledged.entry(id.to_owned()).or_default();
                    *known = count.max(*known);
                }
                (Some("mail"), Some(number), None) => {
                    mail = mail.max(number.parse().unwrap_or(0));
                }
                _ => {}
            }
        }
        let store = open(&path).await;
        for id in &attempts {
            let records = log(&store, id).await.len() as u64;
            let known = acknowledged.get(id.as_str()).copied().unwrap_or(0);
            assert!(records >= known, "round {round}: {records} < {known}");
            assert_eq!(look(&store, id).await.records, records, "never half");
        }
        let inbox = store.inbox(&attempts[0], 0).await.unwrap();
        assert!(inbox.last().unwrap().number >= mail);
        assert_eq!(run(&path, "pragma integrity_check").await, ["ok"]);
    }
    let all: u64 = acknowledged.values().sum();
    assert!(
        all > 200 && mail > 20,
        "the children wrote too little to prove anything: {all}, {mail}"
    );
}
