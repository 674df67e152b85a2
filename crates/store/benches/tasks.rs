//! What the store of tasks takes, on SQLite in TMPDIR. `cargo xtask bench parts` runs it.
//!
//! With `RECTO_BENCH_POSTGRES=URL` on an empty database it measures that one, too.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use recto_protocol::ports::tasks::{Change, Claim, TaskStore};
use recto_protocol::record::{Body, StateChanged, Warning};
use recto_protocol::task::{Filter, NewTask, State, TaskSpec};
use recto_protocol::{TaskId, WorkerId};
use recto_store::Tasks;

type Store = Arc<dyn TaskStore>;

/// Attempts that wait, and that are written to at once.
const ATTEMPTS: u32 = 32;
/// How long each line is measured.
const TIME: Duration = Duration::from_secs(2);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let tasks = Tasks::sqlite(&dir.path().join("tasks.db")).await.unwrap();
        measure("SQLite", Arc::new(tasks)).await;
        if let Ok(url) = std::env::var("RECTO_BENCH_POSTGRES") {
            let tasks = Tasks::postgres(&url).await.unwrap();
            measure("PostgreSQL", Arc::new(tasks)).await;
        }
    });
}

async fn measure(name: &str, store: Store) {
    let worker = WorkerId::from("bench");
    store.join(&worker, 0).await.unwrap();
    let began = Instant::now();
    for n in 0..ATTEMPTS {
        submit(&store, n).await;
    }
    let rate = f64::from(ATTEMPTS) / began.elapsed().as_secs_f64();
    line(name, "tasks handed in, one after the other", rate, &mut []);
    let claims = store.claim(&worker, ATTEMPTS).await.unwrap();
    assert_eq!(claims.len(), ATTEMPTS as usize);
    let mut lengths: Vec<u64> = claims.iter().map(|claim| claim.records).collect();
    for (writers, records) in [(1, 1), (1, 20), (32, 1), (32, 20)] {
        let what = format!("appends of {records} × 0.5 KB, {writers} writers");
        let (rate, mut times) = append(&store, &claims, &mut lengths, writers, records).await;
        line(name, &what, rate, &mut times);
    }
    for (claim, length) in claims.iter().zip(&lengths) {
        give_back(&store, claim, *length).await;
    }
    let began = Instant::now();
    let mut rounds = 0;
    let mut times = Vec::new();
    while began.elapsed() < TIME {
        let began = Instant::now();
        let claim = store.claim(&worker, 1).await.unwrap().pop().unwrap();
        give_back(&store, &claim, claim.records).await;
        times.push(began.elapsed());
        rounds += 1;
    }
    let rate = f64::from(rounds) / began.elapsed().as_secs_f64();
    line(
        name,
        "claim, append and release, one worker",
        rate,
        &mut times,
    );
    read(name, &store, &claims[0]).await;
}

async fn submit(store: &Store, n: u32) {
    let new = NewTask {
        spec: TaskSpec {
            repository: "bench".into(),
            prompt: format!("do {n}"),
            attempts: 1,
            ..TaskSpec::default()
        },
        title: None,
        labels: Vec::new(),
        key: None,
    };
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    let id = TaskId::from_random(bytes);
    store.submit(&id, &new, i64::from(n)).await.unwrap();
}

/// Appends from some writers at once, each to its own log and waiting for each append.
async fn append(
    store: &Store,
    claims: &[Claim],
    lengths: &mut [u64],
    writers: usize,
    records: usize,
) -> (f64, Vec<Duration>) {
    let began = Instant::now();
    let mut running = Vec::new();
    for (claim, length) in claims.iter().zip(lengths.iter()).take(writers) {
        let (store, lease, mut length) = (store.clone(), claim.lease.clone(), *length);
        running.push(tokio::spawn(async move {
            let none = Change::default();
            let mut times = Vec::new();
            while began.elapsed() < TIME {
                let began = Instant::now();
                let bodies = vec![note(); records];
                store
                    .append(&lease, length, bodies, &none, 1)
                    .await
                    .unwrap();
                length += records as u64;
                times.push(began.elapsed());
            }
            (length, times)
        }));
    }
    let mut all = Vec::new();
    for (one, length) in running.into_iter().zip(lengths) {
        let (end, times) = one.await.unwrap();
        *length = end;
        all.extend(times);
    }
    (all.len() as f64 / began.elapsed().as_secs_f64(), all)
}

fn note() -> Body {
    Body::from(Warning {
        code: "bench".into(),
        message: "x".repeat(440),
    })
}

async fn give_back(store: &Store, claim: &Claim, length: u64) {
    let body = Body::from(StateChanged {
        state: State::Queued,
        reason: "given back".into(),
    });
    let change = Change {
        state: Some((State::Queued, "given back".into())),
        release: recto_protocol::ports::tasks::Release::Done,
        ..Change::default()
    };
    let lease = &claim.lease;
    store
        .append(lease, length, vec![body], &change, 1)
        .await
        .unwrap();
}

async fn read(name: &str, store: &Store, claim: &Claim) {
    let attempt = &claim.lease.attempt;
    let mut times: Vec<_> = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        store.records(attempt, 100, 10).await.unwrap();
        times.push(began.elapsed());
    }
    line(name, "10 records of a log are read", 0.0, &mut times);
    let mut times: Vec<_> = Vec::new();
    for _ in 0..50 {
        let began = Instant::now();
        store.tasks(&Filter::default()).await.unwrap();
        times.push(began.elapsed());
    }
    line(name, "32 tasks are listed", 0.0, &mut times);
}

fn line(name: &str, what: &str, rate: f64, times: &mut [Duration]) {
    times.sort();
    let rate = match rate {
        0.0 => String::new(),
        rate => format!("{rate:.0}/s  "),
    };
    let spread = match times {
        [] => String::new(),
        times => format!(
            "median {:?}, p99 {:?}",
            times[times.len() / 2],
            times[times.len() * 99 / 100]
        ),
    };
    println!("{:<52} {rate}{spread}", format!("{name}: {what}"));
}
