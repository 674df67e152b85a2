//! What patches and checkpoints take. `cargo xtask bench parts` runs it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

#[path = "../tests/git/common.rs"]
#[allow(dead_code, reason = "shared with the tests, each using a part")]
mod common;
#[path = "../tests/git/import.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the tests, which it holds"
)]
mod import;
#[path = "../tests/common/mod.rs"]
mod scene;

use std::time::{Duration, Instant};

use common::Fixture;
use scene::Scene;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    one_file();
    a_thousand_files().await;
    imports().await;
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{what:<40} median {median:?}, worst {worst:?}");
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn one_file() {
    let scene = Scene::new();
    scene.write("f", "zero\n".to_owned() + &"line\n".repeat(500));
    let patch = |n: usize| {
        let (old, new) = [("zero", "one"), ("one", "zero")][n % 2];
        scene.apply_body(&format!("*** Update File: f\n@@\n-{old}\n+{new}\n"))
    };
    let times = (0..40).map(|n| timed(|| patch(n))).collect();
    show("a patch of one file", times);
}

async fn a_thousand_files() {
    let fixture = Fixture::new();
    for n in 0..1000 {
        let name = format!("dir{}/file{n}.txt", n % 40);
        fixture.write(name, format!("{n}\n").repeat(100));
    }
    fixture.commit("base");
    let head = || fixture.repository().head_commit().unwrap().unwrap();
    show(
        "a repository and its head are found",
        (0..100).map(|_| timed(head)).collect(),
    );
    let mut trusted = fixture.trusted();
    let began = Instant::now();
    trusted.work_tree_tree().await.unwrap();
    println!(
        "{:<40} {:?}",
        "first checkpoint of 1,000 files",
        began.elapsed()
    );
    let (mut one, mut none) = (Vec::new(), Vec::new());
    for n in 0..20 {
        fixture.write("dir3/new", format!("{n}"));
        for times in [&mut one, &mut none] {
            let began = Instant::now();
            trusted.work_tree_tree().await.unwrap();
            times.push(began.elapsed());
        }
    }
    show("checkpoint with one changed file", one);
    show("checkpoint with none", none);
}

async fn imports() {
    let mut session = import::Session::simple().await;
    let (mut none, mut one) = (Vec::new(), Vec::new());
    for n in 0..20 {
        let began = Instant::now();
        assert!(session.bring_home().await.unwrap().is_none());
        none.push(began.elapsed());
        session.commit("a.txt", &format!("{n}"));
        let began = Instant::now();
        session.home().await;
        one.push(began.elapsed());
    }
    show("an import of nothing", none);
    show("an import of one commit", one);
}
