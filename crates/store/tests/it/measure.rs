//! Speed. The bounds are loose, for slow machines; `--nocapture` shows the numbers.

use std::time::Instant;

use recto_protocol::ports::log::Log;
use recto_store::Filter;

use crate::common::{clock, home, id, note, started};

#[test]
fn ten_thousand_records() {
    let home = home();
    let created = Instant::now();
    let mut log = home.sessions.create(&id(1), clock()).unwrap();
    println!("create: {:?}", created.elapsed());
    log.append(vec![started(&id(1))]).unwrap();
    let text = "x".repeat(1000);
    let mut times: Vec<_> = (0..200)
        .map(|_| {
            let started = Instant::now();
            log.append(vec![note(&text), note(&text)]).unwrap();
            started.elapsed()
        })
        .collect();
    times.sort();
    println!(
        "append of two records: p50 {:?}, p99 {:?}",
        times[100], times[198]
    );
    for _ in 0..96 {
        log.append((0..100).map(|_| note(&text)).collect()).unwrap();
    }
    drop(log);

    let reading = Instant::now();
    let records = home.sessions.read(&id(1)).unwrap();
    let took = reading.elapsed();
    println!("read of {} records: {took:?}", records.len());
    assert_eq!(records.len(), 10_001);
    assert!(took.as_secs() < 5);

    let listing = Instant::now();
    assert_eq!(
        home.sessions
            .list(&Filter::default())
            .unwrap()
            .sessions
            .len(),
        1
    );
    println!("list of it: {:?}", listing.elapsed());
}
