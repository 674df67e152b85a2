//! What a session's log takes. `cargo xtask bench parts` runs it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

#[path = "../tests/it/common.rs"]
#[allow(dead_code, reason = "shared with the tests, each using a part")]
mod common;

use std::time::Instant;

use common::{AppendNow as _, clock, home, id, note, started};
use recto_store::Filter;

fn main() {
    let home = home();
    let began = Instant::now();
    let mut log = home.sessions.create(&id(1), clock()).unwrap();
    println!("{:<40} {:?}", "a session is created", began.elapsed());
    log.append_now(vec![started(&id(1))]).unwrap();
    let text = "x".repeat(1000);
    let mut times: Vec<_> = (0..200)
        .map(|_| {
            let began = Instant::now();
            log.append_now(vec![note(&text), note(&text)]).unwrap();
            began.elapsed()
        })
        .collect();
    times.sort();
    let what = "two records are appended";
    println!("{what:<40} median {:?}, p99 {:?}", times[100], times[198]);
    for _ in 0..96 {
        log.append_now((0..100).map(|_| note(&text)).collect())
            .unwrap();
    }
    drop(log);
    let began = Instant::now();
    let records = home.sessions.read(&id(1)).unwrap().len();
    println!(
        "{:<40} {:?}",
        format!("{records} records are read"),
        began.elapsed()
    );
    let began = Instant::now();
    home.sessions.list(&Filter::default()).unwrap();
    println!("{:<40} {:?}", "the session is listed", began.elapsed());
}
