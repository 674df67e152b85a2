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

/// A tool that hides why a proxy refuses: it prints the status alone.
const HIDES: &str = "import os, socket, sys, urllib.parse
proxy = urllib.parse.urlsplit(os.environ['https_proxy'])
for target in sys.argv[1:]:
    asked = socket.create_connection((proxy.hostname, proxy.port))
    asked.sendall(b'CONNECT ' + target.encode() + b' HTTP/1.1\\r\\n\\r\\n')
    print('status', asked.makefile('rb').readline().split()[1].decode())
sys.exit(5)
";

/// What the model is told of each call.
fn outputs(home: &Home) -> Vec<String> {
    let records = home.records();
    let finished = records
        .iter()
        .filter(|record| record["kind"] == "tool.finished");
    finished
        .map(|record| {
            record["body"]["item"]["output"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[test]
fn the_model_is_told_why_a_request_was_refused_whatever_the_tool_says() {
    for user in User::all() {
        for flags in [&[][..], &["--allow", "allowed.example.com"]] {
            let (home, repo) = place(user);
            repo.write("hides.py", HIDES);
            let many: Vec<String> = (0..30).map(|n| format!("h{n}.example.com:443")).collect();
            let script = Script::new()
                .exec("/usr/bin/python3 hides.py pypi.org:443 pypi.org:443 db.example.com:5432")
                .exec(&format!("/usr/bin/python3 hides.py {}", many.join(" ")))
                .exec("echo quiet")
                .answer("Done.");
            user.take(script.dir());
            let model = script.model();
            let mut args = vec!["exec", "-m", &model];
            args.extend(flags);
            args.push("do it");
            let run = home.run(repo.path(), &args).expect(0);
            let outputs = outputs(&home);
            let told = |output: &str, host: &str, rule: &str| {
                let remark = format!("[recto: refused CONNECT {host}: ");
                let lines = output.lines().filter(|line| line.starts_with(&remark));
                let lines: Vec<&str> = lines.collect();
                assert_eq!(lines.len(), 1, "{user:?}: {output}");
                assert!(
                    lines[0].ends_with(&format!("the rule \"{rule}\"]")),
                    "{output}"
                );
                assert_eq!(
                    lines[0].contains("policy none"),
                    flags.is_empty(),
                    "{output}"
                );
            };
            assert!(outputs[0].contains("status 403"), "{}", outputs[0]);
            told(&outputs[0], "pypi.org:443", "pypi.org");
            told(&outputs[0], "db.example.com:5432", "db.example.com:5432");
            // Not more than anybody reads.
            assert_eq!(outputs[1].matches("[recto: refused").count(), 12);
            assert_eq!(outputs[1].matches("[recto: further requests").count(), 1);
            // What is over is not told again.
            assert!(!outputs[2].contains("recto:"), "{}", outputs[2]);
            // The user is told which flags help.
            assert!(
                run.stderr
                    .contains("hint: what was refused needs --preset python --allow ")
            );
        }
    }
}

#[test]
fn a_command_in_a_kept_cell_is_told_why_it_was_refused() {
    let (home, repo) = place(User::all()[0]);
    repo.write("hides.py", HIDES);
    let recto = |args: &[&str]| home.run(repo.path(), args);
    recto(&["cell", "new", "--name", "kept"]).expect(0);
    let command = ["/usr/bin/python3", "hides.py", "far.example.com:443"];
    let told = recto(&[&["cell", "run", "--in", "kept", "--"][..], &command].concat()).expect(5);
    let remark = "recto: refused CONNECT far.example.com:443: this cell has no network";
    assert!(told.stderr.contains(remark), "{told:?}");
    assert_eq!(told.stdout, "status 403\n");
    recto(&["cell", "rm", "kept"]).expect(0);
}

#[test]
fn what_a_background_process_is_refused_is_told_to_the_command_that_runs() {
    let (home, repo) = place(User::all()[0]);
    repo.write("hides.py", HIDES);
    let recto = |args: &[&str]| home.run(repo.path(), args);
    recto(&["cell", "new", "--name", "kept"]).expect(0);
    let run = |script: &str| recto(&["cell", "run", "--in", "kept", "--", "sh", "-c", script]);
    let began = run("mkfifo go done; \
        (read x < go; python3 hides.py late.example.com:443; echo > done) >/dev/null 2>&1 &")
    .expect(0);
    assert!(!began.stderr.contains("refused"), "{began:?}");
    let told = run("echo > go; read x < done").expect(0);
    let remark = "recto: refused CONNECT late.example.com:443: this cell has no network";
    assert!(told.stderr.contains(remark), "{told:?}");
    recto(&["cell", "rm", "kept"]).expect(0);
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
