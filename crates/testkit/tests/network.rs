//! What cells reach, what is recorded of it, what a command with a secret leaves, and commits that
//! outlive the program.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use recto_testkit::{Home, Live, Repository, Script, User, eventually, processes_with};
use serde_json::Value;

/// Fetches an address through whatever proxy the environment names, and says what came of it.
const FETCH: &str = "import os, sys, urllib.request, urllib.error
# The server outside is on the loopback of this machine, not of the cell.
for name in ('no_proxy', 'NO_PROXY'): os.environ.pop(name, None)
try:
    print('got', urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())
except urllib.error.HTTPError as error:
    print('refused', error.code, error.reason)
";

fn fetch(address: &str) -> Vec<String> {
    ["/usr/bin/python3", "-c", FETCH, address]
        .map(str::to_owned)
        .into()
}

/// A web server outside that answers everybody. It ends with the test's process.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut head = [0; 4096];
            let _ = connection.read(&mut head);
            let _ = connection.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\noutside",
            );
        }
    });
    at
}

fn place(user: User) -> (Home, Repository) {
    let home = Home::of(user);
    let repo = Repository::new(&[("a.txt", "a\n")]);
    repo.give_to(user);
    (home, repo)
}

#[test]
fn what_rules_allow_is_reached_and_nothing_else() {
    let outside = server();
    for user in User::all() {
        let (home, repo) = place(user);
        let run = |flags: &[&str], address: &str| {
            let mut args = ["cell", "run"].map(str::to_owned).to_vec();
            args.extend(flags.iter().map(|flag| (*flag).to_owned()));
            args.push("--".to_owned());
            args.extend(fetch(address));
            home.run(repo.path(), &args).expect(0).stdout
        };
        let address = format!("http://{outside}/");
        // An address of this machine takes a rule that names it.
        let rule = outside.to_string();
        assert_eq!(
            run(&["--allow", &rule], &address),
            "got outside\n",
            "{user:?}"
        );
        let refused = run(&["--network", "allow"], &address);
        let expected = format!("add the rule \"{rule}\"");
        assert!(
            refused.starts_with("refused 403") && refused.contains(&expected),
            "{refused}"
        );
        let refused = run(&[], "http://example.com/");
        assert!(
            refused.starts_with("refused 403") && refused.contains("no network"),
            "{refused}"
        );
    }
}

#[test]
fn each_request_of_a_session_is_a_record_and_an_event() {
    let (home, repo) = place(User::all()[0]);
    repo.write("fetch.py", FETCH);
    let script = Script::new()
        .exec("/usr/bin/python3 fetch.py 'http://example.com/path?token=secret'")
        .answer("Done.");
    let run = home
        .run(
            repo.path(),
            &["exec", "--json", "-m", &script.model(), "do it"],
        )
        .expect(0);
    let is_request = |event: &&Value| event["type"] == "network.request";
    let events: Vec<Value> = run.events().iter().filter(is_request).cloned().collect();
    let records = home.records();
    let records: Vec<&Value> = records
        .iter()
        .filter(|record| record["kind"] == "network.requested")
        .collect();
    assert_eq!((events.len(), records.len()), (1, 1), "{run:?}");
    let request = &records[0]["body"]["request"];
    assert_eq!(&events[0]["request"], request);
    assert_eq!(request["host"], "example.com");
    assert_eq!(request["path"], "/path");
    assert!(
        request["verdict"]["refused"]["reason"]
            .as_str()
            .unwrap()
            .contains("no network")
    );
    // Queries may hold secrets.
    assert!(!request.to_string().contains("secret"));
}

#[test]
fn a_command_that_leaves_its_secret_behind_fails() {
    for user in User::all() {
        let (mut home, repo) = place(user);
        home.set("TOKEN", "hunter22-hunter22");
        let run = |script: &str, code: i32| {
            let args = ["cell", "run", "--secret", "TOKEN", "--", "sh", "-c", script];
            home.run(repo.path(), &args).expect(code)
        };
        let clean = run(
            "test \"$TOKEN\" = hunter22-hunter22 && sleep 1000 & echo used > b.txt",
            0,
        );
        assert!(clean.stderr.is_empty(), "{user:?}: {clean:?}");
        let mark = repo.path().to_str().unwrap();
        assert!(eventually(|| processes_with(&[mark]).is_empty()));
        let left = run("printf %s \"$TOKEN\" | base64 > deep.txt", 1);
        assert!(left.stderr.contains("TOKEN (base64) in") && left.stderr.contains("deep.txt"));
        assert!(!left.stderr.contains("hunter22"), "{left:?}");
        // Without the flag a command gets nothing of the environment.
        let args = ["cell", "run", "--", "sh", "-c", "echo ${TOKEN-unset}"];
        assert_eq!(home.run(repo.path(), &args).expect(0).stdout, "unset\n");
    }
}

#[test]
fn a_commit_outlives_a_killed_program() {
    for user in User::all() {
        let (home, repo) = place(user);
        let script = Script::new()
            .exec("echo b > b.txt; git add b.txt; git commit -qm inside; echo committed")
            .exec("sleep 1000")
            .answer("Done.");
        user.take(script.dir());
        let model = script.model();
        let args = ["exec", "--json", "-m", &model, "do it"];
        let mut live = Live::start(home.command(repo.path(), &args));
        let is_second = |event: &Value| {
            event["type"] == "item.started"
                && event["item"]["command"]
                    .as_str()
                    .is_some_and(|c| c.contains("sleep"))
        };
        assert!(live.wait_for(is_second));
        live.kill();
        assert_eq!(repo.git(&["log", "--format=%s"]), "first", "{user:?}");
        let id = home.sessions()[0]
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let again = Script::new().answer("Done.");
        user.take(again.dir());
        let model = again.model();
        let args = ["exec", "resume", &id, "-m", &model, "go on"];
        home.run(repo.path(), &args).expect(0);
        assert_eq!(
            repo.git(&["log", "--format=%s"]),
            "inside\nfirst",
            "{user:?}"
        );
        // What has come home is kept nowhere else.
        let layers = std::fs::read_dir(home.recto().join("layers")).unwrap();
        assert_eq!(layers.count(), 0, "{user:?}");
    }
}
