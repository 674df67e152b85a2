//! Other processes: refused while one writes, and killed at any moment.
//!
//! A child process is this test binary again, told by environment variables what to play.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use recto_store::{LockError, ResumeError, Sessions};

use crate::common::{AppendNow as _, clock, home, id, note, started};

const HOME: &str = "RECTO_STORE_TEST_HOME";

fn play(part: &str, home: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            part,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(HOME, home)
        .stdout(Stdio::piped())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap()
}

fn child_home() -> Option<Sessions> {
    Some(Sessions::open(Path::new(&std::env::var_os(HOME)?)))
}

#[test]
#[ignore = "played by a child process"]
fn child_holds() {
    let Some(sessions) = child_home() else { return };
    let _log = sessions.resume(&id(1), clock()).unwrap();
    println!("\nholding");
    // Until the parent closes its end.
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_second_process_is_refused_and_told_who_writes() {
    let home = home();
    let id = home.filled(1, 0);
    let mut child = play("processes::child_holds", home.dir.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "holding"));

    let refused = home.sessions.resume(&id, clock()).map(|_| ()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("the session is in use by process {}", child.id())
    );
    let pid = Some(child.id());
    assert!(matches!(refused, ResumeError::Lock(LockError::Held { pid: p }) if p == pid));
    assert!(home.sessions.remove(&id).is_err());
    assert_eq!(
        home.sessions.read(&id).unwrap().len(),
        1,
        "reading needs no lock"
    );

    child.kill().unwrap();
    child.wait().unwrap();
    home.resume(&id);
}

#[test]
#[ignore = "played by a child process"]
fn child_appends() {
    let Some(sessions) = child_home() else { return };
    let (mut log, records, _) = sessions.resume(&id(1), clock()).unwrap();
    let text = "x".repeat(700);
    println!("\nfrom {}", records.len());
    loop {
        let written = log
            .append_now(vec![note(&text), note("y"), note(&text)])
            .unwrap();
        println!("ack {}", written[2].seq);
    }
}

#[test]
fn a_kill_at_any_moment_loses_no_acknowledged_record() {
    let home = home();
    let mut log = home.sessions.create(&id(1), clock()).unwrap();
    log.append_now(vec![started(&id(1))]).unwrap();
    drop(log);
    let mut acknowledged = 0;
    for round in 0..25_u64 {
        let mut child = play("processes::child_appends", home.dir.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().starts_with("from ")));
        // The kill's moment is what is tested: it must not wait for anything.
        std::thread::sleep(Duration::from_micros(round * 737 % 9001));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines {
            if let Some(seq) = line.unwrap().strip_prefix("ack ") {
                // The kill may cut the last number short, to a smaller one.
                acknowledged = acknowledged.max(seq.parse::<u64>().unwrap_or(0));
            }
        }
        let (_log, records, _) = home.sessions.resume(&id(1), clock()).unwrap();
        let last = records.last().unwrap().seq;
        assert!(
            last >= acknowledged,
            "round {round}: {last} < {acknowledged}"
        );
    }
    assert!(
        acknowledged > 30,
        "the children wrote too little to prove anything: {acknowledged}"
    );
}
