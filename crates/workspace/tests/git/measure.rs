//! Speed. The bounds are loose, for slow machines; `--nocapture` shows the numbers.

use std::time::{Duration, Instant};

use crate::common::Fixture;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::test]
async fn a_repository_of_a_thousand_files() {
    let fixture = Fixture::new();
    for n in 0..1000 {
        fixture.write(
            format!("dir{}/file{n}.txt", n % 40),
            format!("{n}\n").repeat(100),
        );
    }
    fixture.commit("base");
    let head = median(
        (0..100)
            .map(|_| {
                let started = Instant::now();
                fixture.repository().head_commit().unwrap().unwrap();
                started.elapsed()
            })
            .collect(),
    );
    println!("discover + head_commit: {head:?}");
    let started = Instant::now();
    let mut trusted = fixture.trusted();
    println!("open: {:?}", started.elapsed());
    let started = Instant::now();
    trusted.work_tree_tree().await.unwrap();
    println!("first checkpoint: {:?}", started.elapsed());
    let mut times = (Vec::new(), Vec::new());
    for n in 0..20 {
        fixture.write("dir3/new", format!("{n}"));
        let started = Instant::now();
        trusted.work_tree_tree().await.unwrap();
        times.0.push(started.elapsed());
        let started = Instant::now();
        trusted.work_tree_tree().await.unwrap();
        times.1.push(started.elapsed());
    }
    let (one, none) = (median(times.0), median(times.1));
    println!("checkpoint: {one:?} with one changed file, {none:?} with none");
    assert!(one < Duration::from_secs(2));
}

#[tokio::test]
async fn an_import_of_one_commit_and_of_none() {
    let mut session = super::import::Session::simple().await;
    let (mut none, mut one) = (Vec::new(), Vec::new());
    for n in 0..20 {
        let started = Instant::now();
        assert!(session.bring_home().await.unwrap().is_none());
        none.push(started.elapsed());
        session.commit("a.txt", &format!("{n}"));
        let started = Instant::now();
        session.home().await;
        one.push(started.elapsed());
    }
    let (none, one) = (median(none), median(one));
    println!("import: {none:?} of nothing, {one:?} of one commit");
    assert!(none < Duration::from_secs(1) && one < Duration::from_secs(5));
}
