//! What a session survives besides `kill -9`: signals, a second process, a torn log, a full disk.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed step fails the test"
)]

use std::path::Path;
use std::process::Command;

use recto_testkit::{
    Home, Live, Repository, Script, eventually, open_files_and_children, processes_with,
};
use rustix::process::Signal;
use serde_json::{Value, json};

const A: &[(&str, &str)] = &[("a.txt", "a\n")];

fn log(home: &Home) -> String {
    std::fs::read_to_string(home.sessions().pop().unwrap().join("log.jsonl")).unwrap()
}

fn has_run(event: &Value, command: &str) -> bool {
    event["item"]["command"]
        .as_str()
        .is_some_and(|shown| shown.contains(command))
}

#[test]
fn interrupts_keep_everything_and_a_resume_goes_on() {
    for (signal, code, by) in [(Signal::INT, 130, "SIGINT"), (Signal::TERM, 143, "SIGTERM")] {
        let (home, repo) = (Home::new(), Repository::new(A));
        let script = Script::new()
            .exec("echo one > one.txt")
            .exec("echo said before; echo half > two.txt; sleep 1000; echo over > two.txt")
            .exec("cat one.txt two.txt")
            .answer("went on");
        let args = ["exec", "--json", "-m", &script.model(), "do it"];
        let mut live = Live::start(home.command(repo.path(), &args));
        assert!(live.wait_for(|event| has_run(event, "sleep 1000")));
        let half =
            || std::fs::read_to_string(repo.path().join("two.txt")).is_ok_and(|t| t == "half\n");
        assert!(eventually(half));
        live.signal(signal);
        live.finish().expect(code);
        let mark = home.path().to_str().unwrap().to_owned();
        assert!(eventually(|| processes_with(&[&mark]).is_empty()));

        let before = log(&home);
        let records = home.records();
        let last = records.last().unwrap();
        assert_eq!(
            last["body"]["outcome"],
            json!({"kind": "interrupted", "by": by})
        );
        let stopped = records
            .iter()
            .find(|record| record["body"]["status"] == "interrupted");
        let told = stopped.expect("the command's end is recorded")["body"]["item"].to_string();
        assert!(told.contains("said before"), "{told}");

        let run = home
            .run(repo.path(), &["exec", "resume", "--last", "go on"])
            .expect(0);
        assert_eq!(run.stdout, "went on\n");
        assert!(log(&home).starts_with(&before));
        assert_eq!(
            (repo.read("one.txt"), repo.read("two.txt")),
            ("one\n".into(), "half\n".into())
        );
    }
}

#[test]
fn a_second_interrupt_ends_the_program_at_once() {
    let (home, repo) = (Home::new(), Repository::new(A));
    // Deaf to whatever may be tried before it is killed.
    let script = Script::new()
        .exec("trap '' INT TERM HUP; touch begun; sleep 1000")
        .answer("on");
    let args = ["exec", "--json", "-m", &script.model(), "do it"];
    let live = Live::start(home.command(repo.path(), &args));
    assert!(eventually(|| repo.path().join("begun").exists()));
    live.signal(Signal::INT);
    live.signal(Signal::INT);
    live.finish().expect(130);
    let marks = [home.path().to_str().unwrap(), repo.path().to_str().unwrap()];
    assert!(
        eventually(|| processes_with(&marks).is_empty()),
        "{:?}",
        processes_with(&marks)
    );
    let run = home
        .run(repo.path(), &["exec", "resume", "--last", "go on"])
        .expect(0);
    assert_eq!(run.stdout, "on\n");
}

#[test]
fn a_second_process_is_refused() {
    let (home, repo) = (Home::new(), Repository::new(A));
    let script = Script::new()
        .exec("until [ -e gate ]; do sleep 0.02; done")
        .answer("done");
    let args = ["exec", "--json", "-m", &script.model(), "do it"];
    let mut first = Live::start(home.command(repo.path(), &args));
    assert!(first.wait_for(|event| has_run(event, "gate")));
    // Nothing is written between the end of the response and that of the command.
    assert!(eventually(|| log(&home).contains("step.finished")));
    let before = log(&home);
    let pid = first.pid().to_string();
    for args in [
        &["exec", "resume", "--last"][..],
        &["exec", "resume", "--last", "something else"],
        &["exec", "--json", "resume", "--last"],
    ] {
        let second = home.run(repo.path(), args).expect(4);
        assert!(second.stderr.contains("in use"), "{}", second.stderr);
        assert!(
            second.stderr.contains(&pid),
            "it names the process: {}",
            second.stderr
        );
        assert_eq!(log(&home), before, "{args:?} changed the log");
    }
    let id = home.sessions()[0]
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    assert_ne!(
        home.run(repo.path(), &["sessions", "rm", &id]).code,
        Some(0)
    );
    repo.write("gate", "");
    first.finish().expect(0);
}

#[test]
fn a_torn_line_is_cut_off_kept_and_told() {
    let (home, repo) = (Home::new(), Repository::new(A));
    let script = Script::new().exec("echo x > x.txt").answer("done");
    home.run(repo.path(), &["exec", "-m", &script.model(), "do it"])
        .expect(0);
    let session = home.sessions().pop().unwrap();
    let whole = log(&home);
    let cut = whole.rfind("{\"v\"").unwrap() + 40;
    std::fs::write(session.join("log.jsonl"), &whole[..cut]).unwrap();

    let run = home
        .run(repo.path(), &["exec", "resume", "--last"])
        .expect(0);
    assert_eq!(run.stdout, "done\n");
    assert!(
        run.stderr.contains("40 bytes"),
        "it says so: {}",
        run.stderr
    );
    let records = home.records();
    let attached = records
        .iter()
        .find(|record| record["kind"] == "driver.attached")
        .unwrap();
    assert_eq!(attached["body"]["torn_bytes"], 40);
    let kept = std::fs::read_to_string(session.join("log.torn-1")).unwrap();
    assert_eq!(kept, whole[cut - 40..cut]);
}

#[test]
fn damage_in_the_middle_is_never_mended_by_guessing() {
    let (home, repo) = (Home::new(), Repository::new(A));
    let script = Script::new().exec("echo x > x.txt").answer("done");
    home.run(repo.path(), &["exec", "-m", &script.model(), "do it"])
        .expect(0);
    let path = home.sessions().pop().unwrap().join("log.jsonl");
    let whole = log(&home);
    let mut lines: Vec<&str> = whole.lines().collect();
    lines[4] = "{\"v\":1,\"seq\":4,";
    let damaged = lines.join("\n") + "\n";
    std::fs::write(&path, &damaged).unwrap();
    let run = home.run(repo.path(), &["exec", "resume", "--last", "more"]);
    assert!(matches!(run.code, Some(2 | 4)), "{run:?}");
    assert!(run.stderr.contains("log.jsonl"), "{}", run.stderr);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged);
}

/// A file system of its own, as large as it must be to become full; unmounted when dropped.
struct Small(tempfile::TempDir);

impl Small {
    /// None without the right to mount; said loudly.
    fn mount(kilobytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={kilobytes}k,mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "recto-test"])
            .arg(dir.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(dir)),
            other => {
                assert!(std::env::var_os("CI").is_none(), "CI can mount: {other:?}");
                eprintln!("NOT TESTED: a full disk. This needs the right to mount ({other:?}).");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.unwrap().success());
    }
}

#[test]
fn a_full_disk_is_told_and_the_session_goes_on_once_there_is_room() {
    let Some(disk) = Small::mount(256) else {
        return;
    };
    let mut home = Home::new();
    std::fs::create_dir_all(home.recto().parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(disk.path(), home.recto()).unwrap();
    home.set("RECTO_HOME", disk.path().to_str().unwrap());
    let repo = Repository::new(A);
    // Outputs are shown at their full length, so that each step writes about 20 KiB into the log.
    let mut script = Script::new();
    for n in 0..40 {
        script = script.exec(&format!(
            "echo {n} >> log.txt; head -c 10000 /dev/zero | tr '\\0' x"
        ));
    }
    let script = script.answer("done");
    let run = home
        .run(repo.path(), &["exec", "-m", &script.model(), "fill it"])
        .expect(4);
    assert!(
        run.stderr.contains("No space left on device"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("hint: "), "{}", run.stderr);
    let before = log(&home);
    let whole = before[..before.rfind('\n').unwrap() + 1].to_owned();
    let done = repo.read("log.txt").lines().count();

    // Still full: the same again, and nothing is lost.
    let again = home.run(repo.path(), &["exec", "resume", "--last"]);
    assert_eq!(again.code, Some(4), "{again:?}");
    assert!(log(&home).starts_with(&whole));

    let larger = Command::new("mount")
        .args(["-o", "remount,size=8m"])
        .arg(disk.path())
        .status();
    assert!(larger.unwrap().success());
    let run = home
        .run(repo.path(), &["exec", "resume", "--last"])
        .expect(0);
    assert_eq!(run.stdout, "done\n");
    assert!(log(&home).starts_with(&whole));
    let numbers: Vec<u32> = repo
        .read("log.txt")
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert!(
        numbers.is_sorted_by(|a, b| a < b),
        "run twice or out of order: {numbers:?}"
    );
    assert!(
        numbers.len() > done && numbers.len() >= 37,
        "{} of 40",
        numbers.len()
    );
}

#[test]
fn a_disk_that_is_full_from_the_start() {
    let Some(disk) = Small::mount(64) else { return };
    let filler = vec![0u8; 1 << 20];
    let _ = std::fs::write(disk.path().join("filler"), filler);
    let mut home = Home::new();
    home.set("RECTO_HOME", disk.path().to_str().unwrap());
    let repo = Repository::new(A);
    let script = Script::new().exec("touch begun").answer("done");
    let run = home
        .run(repo.path(), &["exec", "-m", &script.model(), "do it"])
        .expect(4);
    assert!(
        run.stderr.contains("No space left on device"),
        "{}",
        run.stderr
    );
    assert!(!repo.path().join("begun").exists());
    std::fs::remove_file(disk.path().join("filler")).unwrap();
    home.run(repo.path(), &["exec", "-m", &script.model(), "do it"])
        .expect(0);
}

#[test]
fn nothing_piles_up_over_thirty_steps() {
    let (home, repo) = (Home::new(), Repository::new(A));
    let mut script = Script::new();
    for step in 1..=30 {
        let wait = if step == 5 || step == 25 {
            format!("until [ -e gate{step} ]; do sleep 0.02; done")
        } else {
            "(sleep 0.01 &) ; seq 1 2000".to_owned()
        };
        let exec = |cmd: &str| json!({"call": "exec_command", "arguments": {"cmd": cmd}});
        script = script.reply(json!({"events": [exec(&wait), exec("ls | cat"), {"custom":
            "apply_patch", "input":
            format!("*** Begin Patch\n*** Add File: f{step}\n+x\n*** End Patch\n")}]}));
    }
    let script = script.answer("done");
    let args = ["exec", "--json", "-m", &script.model(), "do it"];
    let mut live = Live::start(home.command(repo.path(), &args));
    let mut counts = Vec::new();
    for step in [5, 25] {
        let gate = format!("gate{step}");
        assert!(live.wait_for(|event| has_run(event, &gate)));
        // The other two calls of this step end by themselves.
        for _ in 0..2 {
            assert!(live.wait_for(|event| event["type"] == "item.completed"));
        }
        counts.push(open_files_and_children(live.pid()));
        repo.write(&gate, "");
    }
    live.finish().expect(0);
    let ((files, children), (files_later, children_later)) = (counts[0], counts[1]);
    assert!(files_later <= files + 2, "open files grew: {counts:?}");
    assert!(children_later <= children, "children grew: {counts:?}");
}

#[test]
fn a_budget_stays_when_a_session_is_resumed() {
    let (home, repo) = (Home::new(), Repository::new(A));
    let usage = json!({"input_tokens": 5000, "output_tokens": 10});
    let script = Script::new().reply(json!({"events": [{"call": "exec_command", "arguments":
        {"cmd": "echo x >> x.txt"}}], "usage": usage, "times": 30}));
    let begin = [
        "exec",
        "-m",
        &script.model(),
        "--max-tokens",
        "12000",
        "do it",
    ];
    home.run(repo.path(), &begin).expect(3);
    let lines = repo.read("x.txt");
    // What the command line said stays until it says something else.
    home.run(repo.path(), &["exec", "resume", "--last", "more"])
        .expect(3);
    assert_eq!(repo.read("x.txt"), lines);
    let more = ["exec", "--max-tokens", "22000", "resume", "--last", "more"];
    home.run(repo.path(), &more).expect(3);
    assert!(repo.read("x.txt").len() > lines.len());
}
