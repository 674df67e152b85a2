//! `recto demo` as somebody sees it who has just built the program.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use recto_testkit::{Home, User};

fn entries(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn it_works_twice_in_a_row_and_leaves_only_its_log() {
    for user in User::all() {
        let mut home = Home::of(user);
        let scratch = tempfile::tempdir().unwrap();
        user.take(scratch.path());
        home.set("TMPDIR", &scratch.path().display().to_string());
        for round in 1..=2 {
            let run = home.run(Path::new("/"), &["demo", "--script"]).expect(0);
            let last = run.stdout.lines().last().unwrap();
            assert_eq!(
                last,
                "The check `sh tests/run.sh`: failed before, passed after."
            );
            assert!(
                run.stdout
                    .contains("Model: the bundled script. No model is asked")
            );
            assert!(
                run.stdout.contains("(the work tree is clean)"),
                "{}",
                run.stdout
            );
            let citations: Vec<&str> = run
                .stdout
                .split("== Its citations ==\n")
                .nth(1)
                .unwrap()
                .lines()
                .take_while(|line| !line.is_empty())
                .collect();
            assert!(!citations.is_empty() && citations.iter().all(|line| line.ends_with(" holds")));
            assert_eq!(home.sessions().len(), round);
            assert_eq!(entries(scratch.path()), BTreeSet::new());
        }
    }
}

#[test]
fn without_a_key_it_takes_the_script_by_itself() {
    let home = Home::new();
    let run = home.run(Path::new("/"), &["demo"]).expect(0);
    assert!(
        run.stdout.starts_with("Model: the bundled script."),
        "{}",
        run.stdout
    );
}

#[test]
fn with_keep_it_says_where_the_repository_lies() {
    let mut home = Home::new();
    let scratch = tempfile::tempdir().unwrap();
    home.set("TMPDIR", &scratch.path().display().to_string());
    let run = home
        .run(Path::new("/"), &["demo", "--script", "--keep"])
        .expect(0);
    let repository = run.stdout.lines().last().unwrap();
    let repository = repository
        .strip_prefix("The repository is kept in ")
        .unwrap();
    let log = Command::new("git")
        .args(["log", "--format=%s"])
        .current_dir(repository)
        .output();
    assert_eq!(
        String::from_utf8(log.unwrap().stdout)
            .unwrap()
            .lines()
            .count(),
        2
    );
    let check = Command::new("sh")
        .arg("tests/run.sh")
        .current_dir(repository)
        .output()
        .unwrap();
    assert!(check.status.success());
    assert_eq!(entries(scratch.path()).len(), 1);
}
