//! `recto task`, `recto repo` and `recto token`: the service from the command line.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::PathBuf;

use recto_testkit::{Home, Live, Repository, Run, Script, Service, eventually, processes_with};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A home, a repository, and a shell in it.
struct Desk {
    home: Home,
    repo: Repository,
}

impl Desk {
    fn new() -> Self {
        Self {
            home: Home::new(),
            repo: Repository::new(&[("a.txt", "one\n")]),
        }
    }

    fn run(&self, words: &[&str]) -> Run {
        self.home.run(self.repo.path(), words)
    }

    fn json(&self, words: &[&str]) -> Value {
        let run = self.run(&[words, &["--json"]].concat()).expect(0);
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
    }

    fn new_task(&self, script: &Script, more: &[&str]) -> Run {
        let model = script.model();
        let words = ["task", "new", "Do it", "--model", &model];
        self.run(&[&words, more].concat())
    }

    /// Hands a task in without waiting and gives its id. There must be a server.
    fn submit(&self, script: &Script, more: &[&str]) -> String {
        let run = self
            .new_task(script, &[more, &["--json"]].concat())
            .expect(0);
        let task: Value = serde_json::from_str(&run.stdout).unwrap();
        task["id"].as_str().unwrap().to_owned()
    }

    fn start(&self, words: &[&str]) -> Live {
        Live::start(self.home.command(self.repo.path(), words))
    }

    fn tree(&self, attempt: &str) -> PathBuf {
        let attempts = self.home.recto().join("service/attempts");
        attempts.join(attempt).join("tree")
    }

    /// What the server has announced: where it is, and its token.
    fn announced(&self) -> (String, String) {
        let text = std::fs::read_to_string(self.home.recto().join("server.json")).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let text = |name: &str| value[name].as_str().unwrap().to_owned();
        (text("url"), text("token"))
    }
}

/// Works until a file is there.
fn patient() -> Script {
    Script::new()
        .exec("echo two >> a.txt; touch begun; while [ ! -e go ]; do sleep 0.05; done; rm begun go")
        .answer("It is done.")
}

#[test]
fn the_first_task_needs_nothing_else() {
    let desk = Desk::new();
    let script = Script::new()
        .exec("echo two >> a.txt; printf 'said\\033[31m so'; exit 3")
        .answer("It is \u{1b}[1mdone.");
    // One that is gone has left its file.
    desk.home.write(
        ".recto/server.json",
        r#"{"url":"http://127.0.0.1:1","token":"t"}"#,
    );
    let run = desk.new_task(&script, &[]).expect(0);
    assert_eq!(run.stdout, "It is done.\n");
    assert!(run.stderr.contains("no server is running"), "{run:?}");
    assert!(!desk.home.recto().join("server.json").exists());

    let list = desk.json(&["task", "list"]);
    let task = &list["tasks"][0];
    assert_eq!(task["attempts"][0]["state"], "done");
    assert_eq!(task["spec"]["reference"], "main");
    let id = task["id"].as_str().unwrap();
    let diff = desk.run(&["task", "diff", &id[..6], "--binary"]).expect(0);
    assert!(diff.stdout.contains("+two"), "{diff:?}");
    let logs = desk.run(&["task", "logs", id]).expect(0);
    assert!(logs.stdout.contains("$ echo two >> a.txt"), "{logs:?}");
    // Not on a terminal: as it is.
    assert!(
        logs.stdout.contains("said\u{1b}[31m so\n[exit 3]"),
        "{logs:?}"
    );
    let watched = desk.run(&["task", "watch", id]).expect(0);
    assert!(watched.stdout.contains("queued"), "{watched:?}");
    assert!(!watched.stdout.contains('\u{1b}'), "{watched:?}");
    // The same repository is known from now on.
    desk.new_task(&Script::new().answer("again"), &[]).expect(0);
    let repositories = desk.json(&["repo", "list"]);
    assert_eq!(repositories.as_array().unwrap().len(), 1);
}

#[test]
fn waiting_exits_by_the_outcome() {
    let desk = Desk::new();
    let _service = Service::start(&desk.home, &[]);
    let change = || Script::new().exec("echo two >> a.txt");
    for (script, more, code) in [
        (change().answer("ok"), vec![], 0),
        (
            change().answer("ok").answer("it can't be"),
            vec!["--check", "false"],
            1,
        ),
        (
            change().exec("true").exec("true").answer("ok"),
            vec!["--max-steps", "1"],
            3,
        ),
        (change().answer("ok"), vec!["--ref", "nowhere"], 1),
    ] {
        let more = [&["--wait"], more.as_slice()].concat();
        desk.new_task(&script, &more).expect(code);
    }
    // Stopped by somebody else.
    let script = patient();
    let id = desk.submit(&script, &[]);
    let watching = desk.start(&["task", "watch", &id]);
    assert!(eventually(|| desk
        .tree(&format!("{id}.1"))
        .join("begun")
        .exists()));
    let stopped = desk.json(&["task", "stop", &id]);
    assert_eq!(stopped, json!({ "stopped": [format!("{id}.1")] }));
    watching.finish().expect(130);
    let again = desk.run(&["task", "stop", &format!("{id}.1")]).expect(0);
    assert_eq!(again.stdout, "nothing ran\n");
}

#[test]
fn a_watcher_misses_nothing_when_the_server_dies() {
    let desk = Desk::new();
    let service = Service::start(&desk.home, &[]);
    let script = Script::new()
        .exec("touch begun; while [ ! -e go ]; do sleep 0.05; done")
        .exec("echo two >> a.txt")
        .answer("It is done.");
    let id = desk.submit(&script, &[]);
    let attempt = format!("{id}.1");
    let mut watching = desk.start(&["task", "watch", &id, "--json"]);
    assert!(watching.wait_for(|line| line["record"]["kind"] == "step.item"));
    service.kill();
    // Another port, another token.
    let service = Service::start(&desk.home, &[]);
    assert!(watching.wait_for(|line| line["record"]["kind"] == "driver.attached"));
    std::fs::write(desk.tree(&attempt).join("go"), "").unwrap();
    let run = watching.finish().expect(0);
    let events = run.events();
    let records: Vec<&Value> = events
        .iter()
        .filter(|event| event["kind"] == "record")
        .map(|event| &event["record"])
        .collect();
    let log = service.log(&attempt);
    assert_eq!(records, log.iter().collect::<Vec<_>>());
    let last = events.last().unwrap();
    assert_eq!(last["kind"], "ended");
    assert_eq!(last["task"]["attempts"][0]["state"], "done");
}

#[test]
fn a_signal_ends_the_watching_and_not_the_work() {
    let desk = Desk::new();
    let _service = Service::start(&desk.home, &[]);
    let script = patient();
    let id = desk.submit(&script, &[]);
    let tree = desk.tree(&format!("{id}.1"));
    let watching = desk.start(&["task", "watch", &id]);
    assert!(eventually(|| tree.join("begun").exists()));
    watching.signal(Signal::INT);
    let run = watching.finish().expect(130);
    assert!(run.stderr.contains("not stopped"), "{run:?}");
    std::fs::write(tree.join("go"), "").unwrap();
    desk.run(&["task", "watch", &id]).expect(0);
}

#[test]
fn an_interrupted_first_task_goes_on_later() {
    let desk = Desk::new();
    let script = patient();
    let model = script.model();
    let running = desk.start(&["task", "new", "Do it", "--model", &model]);
    let attempts = desk.home.recto().join("service/attempts");
    let begun = || {
        let entry = std::fs::read_dir(&attempts).ok()?.next()?.ok()?;
        let tree = entry.path().join("tree");
        tree.join("begun").exists().then_some(tree)
    };
    assert!(eventually(|| begun().is_some()));
    // Others find the server while it runs.
    let list = desk.json(&["task", "list"]);
    assert_eq!(list["tasks"][0]["attempts"][0]["state"], "running");
    let tree = begun().unwrap();
    running.signal(Signal::INT);
    // The step that runs is finished first.
    std::fs::write(tree.join("go"), "").unwrap();
    running.finish().expect(130);
    let id = list["tasks"][0]["id"].as_str().unwrap();
    let run = desk.run(&["task", "watch", id]).expect(0);
    assert!(run.stdout.contains("It is done."), "{run:?}");
}

#[test]
fn an_attempt_is_spoken_to() {
    let desk = Desk::new();
    let _service = Service::start(&desk.home, &[]);
    let script = Script::new()
        .exec("touch begun; while [ ! -e go ]; do sleep 0.05; done")
        .reply(json!({ "match": "use blue", "text": "blue it is" }))
        .reply(json!({ "match": "now red", "text": "red it is" }));
    let id = desk.submit(&script, &[]);
    let tree = desk.tree(&format!("{id}.1"));
    assert!(eventually(|| tree.join("begun").exists()));
    let told = desk.json(&["task", "steer", &id, "use blue", "--key", "k"]);
    let again = desk.json(&["task", "steer", &id, "use blue", "--key", "k"]);
    assert_eq!(told, again);
    std::fs::write(tree.join("go"), "").unwrap();
    let first = desk.run(&["task", "watch", &id]).expect(0);
    assert!(first.stdout.contains("blue it is"), "{first:?}");
    let words = ["task", "follow-up", &id, "-", "--wait"];
    let second = desk.home.run_with(desk.repo.path(), &words, b"now red");
    assert_eq!(second.expect(0).stdout, "red it is\n");
}

#[test]
fn tasks_are_tried_again_put_away_and_removed() {
    let desk = Desk::new();
    let _service = Service::start(&desk.home, &[]);
    let script = Script::new().answer("first");
    let id = desk.submit(
        &script,
        &["--attempts", "2", "--label", "x", "--title", "T"],
    );
    desk.run(&["task", "watch", &id]).expect(0);
    let several = desk.run(&["task", "diff", &id]).expect(2);
    assert!(several.stderr.contains("has 2 attempts"), "{several:?}");
    let nothing = desk.run(&["task", "diff", &format!("{id}.2")]).expect(0);
    assert!(nothing.stderr.contains("changed nothing"), "{nothing:?}");
    let retried = desk.run(&["task", "retry", &id, "--wait"]).expect(0);
    assert_eq!(retried.stdout, "first\n");
    let shown = desk.run(&["task", "show", &id]).expect(0).stdout;
    for part in ["T\n", "labels: x", &format!("{id}.3  done")] {
        assert!(shown.contains(part), "{shown}");
    }
    let found = |words: &[&str]| {
        let list = desk.json(&[&["task", "list"], words].concat());
        list["tasks"].as_array().unwrap().len()
    };
    assert_eq!(found(&["--label", "x", "--search", "FIRST"]), 1);
    assert_eq!(found(&["--state", "failed"]), 0);
    desk.run(&["task", "archive", &id]).expect(0);
    assert_eq!([found(&[]), found(&["--archived"])], [0, 1]);
    desk.run(&["task", "archive", "--undo", &id]).expect(0);
    assert_eq!(found(&[]), 1);
    desk.run(&["task", "rm", &id, "zzzzzz"]).expect(2);
    assert_eq!(found(&[]), 1);
    desk.run(&["task", "rm", &id]).expect(0);
    assert_eq!(found(&[]), 0);
    assert!(!desk.tree(&format!("{id}.1")).exists());
}

#[test]
fn handing_in_twice_under_one_key_gives_one_task() {
    let desk = Desk::new();
    let _service = Service::start(&desk.home, &[]);
    let script = Script::new().answer("ok");
    let first = desk.submit(&script, &["--key", "k"]);
    assert_eq!(desk.submit(&script, &["--key", "k"]), first);
}

#[test]
fn repositories_are_named_in_any_way() {
    let desk = Desk::new();
    let _service = Service::start(&desk.home, &[]);
    let other = Repository::new(&[("b.txt", "b\n")]);
    let path = other.path().to_str().unwrap();
    let added = desk.json(&["repo", "add", path, "--name", "team/other", "--ref", "main"]);
    assert_eq!(added["default_reference"], "main");
    let script = Script::new().exec("ls").answer("ok");
    for repo in ["team/other", path] {
        let run = desk
            .new_task(&script, &["--repo", repo, "--wait"])
            .expect(0);
        assert!(run.stderr.contains("team/other"), "{run:?}");
    }
    let unknown = desk.new_task(&script, &["--repo", "nowhere"]).expect(2);
    assert!(
        unknown.stderr.contains("no repository nowhere"),
        "{unknown:?}"
    );
    let gone = desk.run(&["repo", "add", "/nowhere/at/all"]);
    assert_ne!(gone.code, Some(0), "{gone:?}");
    desk.run(&["repo", "rm", "team/other"]).expect(0);
    desk.run(&["repo", "rm", "team/other"]).expect(2);

    let outside = tempfile::tempdir().unwrap();
    let words = ["task", "new", "x"];
    let run = desk.home.run(outside.path(), &words).expect(2);
    assert!(
        run.stderr.contains("not inside a git repository"),
        "{run:?}"
    );
    let empty = tempfile::tempdir().unwrap();
    let init = std::process::Command::new("git")
        .args(["init", "-q"])
        .current_dir(empty.path())
        .status();
    assert!(init.unwrap().success());
    let run = desk.home.run(empty.path(), &words).expect(2);
    assert!(run.stderr.contains("no commit yet"), "{run:?}");
}

#[test]
fn tokens_let_in_as_far_as_they_go() {
    let mut desk = Desk::new();
    let _service = Service::start(&desk.home, &[]);
    let made = desk.json(&["token", "create", "ci", "--scope", "read", "--days", "1"]);
    let id = made["token"]["id"].as_str().unwrap();
    let secret = made["secret"].as_str().unwrap();
    let (url, _) = desk.announced();
    let far = Home::new();
    let no_token = ["task", "list", "--server", &url];
    let run = far.run(desk.repo.path(), &no_token).expect(2);
    assert!(run.stderr.contains("RECTO_TOKEN is not set"), "{run:?}");
    desk.home
        .set("RECTO_SERVER", &url)
        .set("RECTO_TOKEN", secret);
    desk.run(&["task", "list"]).expect(0);
    let refused = desk.run(&["token", "list"]).expect(2);
    assert!(
        refused.stderr.contains("lacks the scope admin"),
        "{refused:?}"
    );
    desk.home.set("RECTO_SERVER", "");
    let listed = desk.run(&["token", "list"]).expect(0);
    assert!(listed.stdout.contains(id) && !listed.stdout.contains(secret));
    desk.run(&["token", "revoke", id]).expect(0);
    desk.home.set("RECTO_SERVER", &url);
    let revoked = desk.run(&["task", "list"]).expect(2);
    assert!(
        revoked.stderr.contains("hint: set RECTO_TOKEN"),
        "{revoked:?}"
    );
    assert!(!revoked.stderr.contains(secret));
}

#[test]
fn what_is_no_server_is_told_so() {
    let mut desk = Desk::new();
    desk.home.set("RECTO_TOKEN", "recto_secret");
    for (url, code) in [
        ("nonsense", 2),
        ("file:///etc/passwd", 2),
        ("http://127.0.0.1:1", 4),
    ] {
        let run = desk.run(&["task", "list", "--server", url]).expect(code);
        assert!(!run.stderr.contains("recto_secret"), "{run:?}");
    }
    let _service = Service::start(&desk.home, &[]);
    for name in ["zzzzzz", "../x", "a.1", ""] {
        desk.run(&["task", "show", name]).expect(2);
        desk.run(&["task", "watch", name]).expect(2);
    }
    desk.run(&["task", "new", " "]).expect(2);
    desk.run(&["task", "new", "x", "--attempts", "5"]).expect(2);
}

#[test]
fn nothing_that_is_shown_harms_a_terminal() {
    let desk = Desk::new();
    let _service = Service::start(&desk.home, &[]);
    let hostile = "do\u{1b}]52;c;ZXZpbA==\u{7} it \u{202e}now\u{1b}[2J";
    let script = Script::new()
        .exec("printf '\\033[2J'; echo '\u{1b}[2J'")
        .answer(hostile);
    let model = script.model();
    let words = ["task", "new", hostile, "--model", &model, "--wait"];
    let run = desk.run(&words).expect(0);
    let list = desk.run(&["task", "list"]).expect(0);
    let id = list.stdout.split_whitespace().next().unwrap().to_owned();
    let show = desk.run(&["task", "show", &id]).expect(0);
    let watch = desk.run(&["task", "watch", &id, "--output"]).expect(0);
    for run in [run, list, show, watch] {
        for text in [&run.stdout, &run.stderr] {
            let bad = |c: char| c == '\u{1b}' || c == '\u{7}' || c == '\u{202e}';
            assert!(!text.contains(bad), "{text:?}");
        }
    }
}

#[test]
fn commands_that_come_at_once_share_a_server() {
    let desk = Desk::new();
    let script = Script::new().answer("ok");
    let model = script.model();
    let running: Vec<Live> = (0..4)
        .map(|_| desk.start(&["task", "new", "Do it", "--model", &model, "--wait"]))
        .collect();
    for one in running {
        assert_eq!(one.finish().expect(0).stdout, "ok\n");
    }
    let list = desk.json(&["task", "list"]);
    assert_eq!(list["tasks"].as_array().unwrap().len(), 4);
}

#[test]
fn a_second_signal_ends_a_first_task_at_once() {
    let desk = Desk::new();
    let script = patient();
    let model = script.model();
    let running = desk.start(&["task", "new", "Do it", "--model", &model]);
    let attempts = desk.home.recto().join("service/attempts");
    let begun = || {
        let entry = std::fs::read_dir(&attempts).ok()?.next()?.ok()?;
        entry.path().join("tree/begun").exists().then_some(())
    };
    assert!(eventually(|| begun().is_some()));
    running.signal(Signal::INT);
    // Whenever the second one comes: the step never ends by itself.
    assert!(eventually(|| {
        running.signal(Signal::INT);
        processes_with(&[attempts.to_str().unwrap()]).is_empty()
    }));
    running.finish().expect(130);
}

#[test]
fn who_still_waits_becomes_the_server() {
    let desk = Desk::new();
    let attempts = desk.home.recto().join("service/attempts");
    let begun = || -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&attempts).into_iter().flatten();
        let trees = entries.map(|entry| entry.unwrap().path().join("tree"));
        trees.filter(|tree| tree.join("begun").exists()).collect()
    };
    let script = patient();
    let model = script.model();
    let words = ["task", "new", "Do it", "--model", &model];
    let first = desk.start(&words);
    assert!(eventually(|| begun().len() == 1));
    let trees = begun();
    let second = desk.start(&[&words[..], &["--wait"]].concat());
    assert!(eventually(|| begun().len() == 2));
    let (url, _) = desk.announced();
    let address = url.strip_prefix("http://").unwrap();
    // The first one has what it waited for, and takes its server along.
    std::fs::write(trees[0].join("go"), "").unwrap();
    assert!(eventually(|| std::net::TcpStream::connect(address).is_err()));
    let other = begun().into_iter().find(|tree| *tree != trees[0]).unwrap();
    std::fs::write(other.join("go"), "").unwrap();
    assert_eq!(first.finish().expect(0).stdout, "It is done.\n");
    let second = second.finish().expect(0);
    assert_eq!(second.stdout, "It is done.\n");
    assert!(second.stderr.contains("resumed"), "{second:?}");
}
