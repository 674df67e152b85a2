//! PostgreSQL alone: several processes, connections that are cut, a server that crashes.

use std::collections::HashSet;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use recto_protocol::WorkerId;
use recto_protocol::ports::tasks::{AppendError, Change, Claim};
use recto_store::{OpenError, Tasks};

use crate::cluster::Cluster;
use crate::common::{Store, asking, attempt, log, look, note, submit, task, text, worker};
use crate::place::Place;

const URL: &str = "RECTO_STORE_TEST_URL";

#[tokio::test]
#[ignore = "played by a child process"]
async fn child_claims() {
    let Some(url) = std::env::var_os(URL) else {
        return;
    };
    let url = url.into_string().unwrap();
    let store: Store = Arc::new(Tasks::postgres(&url).await.unwrap());
    let me = WorkerId(format!("process-{}", std::process::id()));
    store.join(&me, 1).await.unwrap();
    println!();
    loop {
        let claims = store.claim(&me, 3).await.unwrap();
        if claims.is_empty() {
            break;
        }
        for Claim { lease, .. } in claims {
            println!("claimed {}", lease.attempt);
        }
    }
}

#[tokio::test]
async fn processes_share_the_queue() {
    let Some(place) = Place::postgres().await else {
        return;
    };
    let store = place.open().await;
    let mut new = asking("x");
    new.spec.attempts = 4;
    for n in 0..125 {
        store.submit(&task(n), &new, 1).await.unwrap();
    }
    let play = || {
        Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "server::child_claims",
                "--ignored",
                "--nocapture",
            ])
            .env(URL, place.url())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..8).map(|_| play()).collect();
    let mut claimed = Vec::new();
    for mut child in children {
        let mut told = String::new();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_to_string(&mut told).unwrap();
        assert!(child.wait().unwrap().success());
        let lines = told
            .lines()
            .filter_map(|line| line.strip_prefix("claimed "));
        claimed.extend(lines.map(str::to_owned));
    }
    assert_eq!(claimed.len(), 500);
    assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), 500);
}

#[tokio::test]
async fn an_address_that_leads_nowhere_is_told_without_its_password() {
    let no_url = Tasks::postgres("tasks.db").await.map(drop).unwrap_err();
    assert!(matches!(no_url, OpenError::Address(_)), "{no_url:?}");
    // Nobody listens on the port of a listener that was closed.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("postgres://ada:hunter2@127.0.0.1:{port}/tasks");
    let error = Tasks::postgres(&url).await.map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Failed { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "cannot open the task store tasks on 127.0.0.1"
    );
    assert!(!format!("{error:?}").contains("hunter2"));
}

/// Appends a number of records, one after the other, over failures: after each it reads what there
/// is, as the port demands.
async fn append_patiently(store: &Store, claim: &Claim, count: u64, done: &AtomicU32) -> u32 {
    let mut failures = 0;
    let mut expect = claim.records;
    let target = claim.records + count;
    while expect < target {
        let bodies = vec![note(&expect.to_string())];
        let lease = &claim.lease;
        match store
            .append(lease, expect, bodies, &Change::default(), 2)
            .await
        {
            Ok(_) => expect += 1,
            Err(AppendError::Store(_)) => {
                failures += 1;
                expect = loop {
                    match store.task(&claim.task.id).await {
                        Ok(task) => break task.unwrap().attempts[0].records,
                        Err(_) => tokio::task::yield_now().await,
                    }
                };
            }
            Err(error) => panic!("{error}"),
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    failures
}

/// Runs eight writers and a sender while `break_it` breaks something, round after round.
async fn write_while(place: &Place, rounds: u32, break_it: impl AsyncFn()) {
    const WRITERS: u32 = 8;
    const COUNT: u64 = 150;
    let store = place.open().await;
    for n in 0..WRITERS {
        submit(&store, n).await;
    }
    store.join(&worker(1), 0).await.unwrap();
    let claims = store.claim(&worker(1), WRITERS).await.unwrap();
    let done = Arc::new(AtomicU32::new(0));
    let mut running = Vec::new();
    for claim in claims {
        let (store, done) = (store.clone(), done.clone());
        running.push(tokio::spawn(async move {
            append_patiently(&store, &claim, COUNT, &done).await
        }));
    }
    let sender = {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..100 {
                // The same again until it is taken, under one key.
                let mut message = text(&n.to_string());
                message.key = Some(n.to_string());
                while store.send(&attempt(1), &message, 3).await.is_err() {}
            }
        })
    };
    let each = WRITERS * u32::try_from(COUNT).unwrap() / (rounds + 1);
    for round in 1..=rounds {
        while done.load(Ordering::Relaxed) < round * each {
            tokio::task::yield_now().await;
        }
        break_it().await;
    }
    let mut failures = 0;
    for one in running {
        failures += one.await.unwrap();
    }
    sender.await.unwrap();
    assert!(failures > 0, "nothing broke");
    for n in 0..WRITERS {
        let records = log(&store, &attempt(n)).await;
        assert_eq!(records.len() as u64, COUNT + 1);
        for record in &records[1..] {
            assert_eq!(
                record.body,
                note(&record.seq.to_string()),
                "nothing stands twice"
            );
        }
        assert_eq!(look(&store, &attempt(n)).await.records, COUNT + 1);
    }
    assert_eq!(store.inbox(&attempt(1), 1).await.unwrap().len(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_leave_nothing_half() {
    let Some(place) = Place::postgres().await else {
        return;
    };
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity \
        where datname = current_database() and pid <> pg_backend_pid()";
    write_while(&place, 10, async || place.execute(cut).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_server_leaves_nothing_half() {
    let Some(cluster) = Cluster::own() else {
        return;
    };
    let place = Place::on(cluster).await;
    write_while(&place, 3, async || {
        tokio::task::block_in_place(|| place.crash())
    })
    .await;
}

/// Somebody else locks in another order: the database gives the store's transaction up, and the store
/// begins it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_for_a_deadlock_is_done_again() {
    let Some(place) = Place::postgres().await else {
        return;
    };
    // The store looks for deadlocks first, and not before there is one.
    place
        .execute(
            "do $$ begin execute format('alter database %I set deadlock_timeout = ''3s''', \
             current_database()); end $$",
        )
        .await;
    let store = place.open().await;
    let mut new = asking("x");
    new.spec.attempts = 2;
    store.submit(&task(1), &new, 1).await.unwrap();
    let mut other = place.connection().await;
    let run = async |on: &mut sqlx::PgConnection, sql: String| {
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::raw_sql(sql).fetch_all(on).await.unwrap().len()
    };
    let lock = |n| format!("select 1 from attempt where number = {n} for update");
    run(
        &mut other,
        format!("set deadlock_timeout = '60s'; begin; {}", lock(2)),
    )
    .await;
    let removing = tokio::spawn({
        let store = store.clone();
        async move { store.remove(&task(1)).await }
    });
    let mut watch = place.connection().await;
    let waiting = "select 1 from pg_stat_activity where datname = current_database() \
        and wait_event_type = 'Lock'";
    while run(&mut watch, waiting.to_owned()).await == 0 {
        tokio::task::yield_now().await;
    }
    // Granted once the store's transaction is given up.
    assert_eq!(run(&mut other, lock(1)).await, 1);
    assert!(!removing.is_finished());
    run(&mut other, "rollback".to_owned()).await;
    assert!(removing.await.unwrap().unwrap());
    assert_eq!(store.task(&task(1)).await.unwrap(), None);
}
