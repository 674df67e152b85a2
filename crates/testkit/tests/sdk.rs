//! The unmodified npm package `@openai/codex-sdk` drives the program. Each test starts one of the
//! scenarios in `sdk/`, where the assertions are.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

use recto_testkit::{Home, Repository, Script, binary, test_environment, workspace};
use serde_json::{Value, json};

/// A scenario in a fresh home.
struct Scenario {
    home: Home,
    repo: Repository,
}

impl Scenario {
    fn new() -> Self {
        Self {
            home: Home::new(),
            repo: Repository::new(&[("a.txt", "a\n")]),
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.home.path())
            .env_clear()
            .env("HOME", self.home.path())
            .env("RECTO_HOME", self.home.recto())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("RECTO_BIN", binary())
            .env("TEST_SDK", test_environment("sdk"))
            .stdin(Stdio::null());
        for name in ["RUSTUP_HOME", "CARGO_HOME", "PYENV_ROOT"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    /// Runs a scenario's file with what it is to know, and gives what it reports.
    fn run(&self, file: &str, given: Value) -> Value {
        self.run_by(self.command("node"), file, given)
    }

    fn run_by(&self, mut command: Command, file: &str, mut given: Value) -> Value {
        given["repo"] = self.repo.path().to_str().unwrap().into();
        let path = workspace().join("crates/testkit/tests/sdk").join(file);
        let output = command
            .arg(path)
            .arg(given.to_string())
            .output()
            .expect("node is installed");
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{}\n{stdout}\n{stderr}",
            output.status
        );
        stdout
            .lines()
            .last()
            .map_or(Value::Null, |line| serde_json::from_str(line).unwrap())
    }
}

/// Ends a scripted answer's `expect`: the earlier conversation must be in the request.
fn after(texts: &[&str], answer: &str) -> Value {
    json!({"expect": {"anywhere": texts}, "text": answer,
           "usage": {"input_tokens": 100, "output_tokens": 10}})
}

#[test]
fn start_and_run() {
    let scenario = Scenario::new();
    let script = Script::new()
        .exec("echo hello")
        .answer("The first answer.")
        .reply(after(
            &["first task", "second task\n\nin two parts"],
            "The second answer.",
        ));
    scenario.run("run.mjs", json!({"model": script.model()}));
    assert_eq!(scenario.home.sessions().len(), 1);
}

#[test]
fn run_streamed() {
    let scenario = Scenario::new();
    let plan = |first: &str| {
        json!({"call": "update_plan", "arguments": {"plan": [
            {"step": "one", "status": first}, {"step": "two", "status": "pending"},
        ]}})
    };
    let patch = "*** Begin Patch\n*** Add File: new.txt\n+new\n*** End Patch\n";
    let script = Script::new()
        .reply(json!({"events": [
            {"reasoning": "**Looking**"},
            {"item": {"type": "web_search_call", "id": "ws_1", "status": "completed",
                      "action": {"type": "search", "query": "weather"}}},
            plan("in_progress"),
        ]}))
        .reply(json!({"events": [plan("completed")]}))
        .exec(r"printf 'a\342\200\250b\302\205c\033[31m\n'")
        .patch(patch)
        .call("fly", json!({}))
        .reply(json!({"text": "line\u{2028}separated", "usage": {
            "input_tokens": 50, "cached_input_tokens": 30, "cache_write_input_tokens": 5,
            "output_tokens": 20, "reasoning_output_tokens": 7,
        }}));
    // Only the last response tells its tokens.
    let text = std::fs::read_to_string(script.path()).unwrap();
    let usage = r#","usage":{"input_tokens":100,"output_tokens":10}"#;
    std::fs::write(script.path(), text.replace(usage, "")).unwrap();
    scenario.run("streamed.mjs", json!({"model": script.model()}));
    assert_eq!(scenario.repo.read("new.txt"), "new\n");
}

#[test]
fn resume_in_a_new_process() {
    let scenario = Scenario::new();
    let script = Script::new()
        .exec("echo hello")
        .answer("The first answer.")
        .reply(after(&["first task", "second task"], "The second answer."))
        .reply(after(
            &["first task", "hello", "third task"],
            "The third answer.",
        ))
        .reply(after(&["third task", "fourth task"], "The fourth answer."));
    let begun = scenario.run("run.mjs", json!({"model": script.model()}));
    for (file, prompt, answer) in [
        ("resume.mjs", "third task", "The third answer."),
        ("run_resumed.mjs", "fourth task", "The fourth answer."),
    ] {
        let given = json!({
            "model": script.model(), "id": begun["id"], "prompt": prompt, "answer": answer,
        });
        scenario.run(file, given);
    }
    assert_eq!(scenario.home.sessions().len(), 1);
}

#[test]
fn resume_after_a_kill() {
    for file in ["resume.mjs", "run_resumed.mjs"] {
        let scenario = Scenario::new();
        let word = format!("sleep 5{}", std::process::id());
        let script = Script::new()
            .exec(&word)
            .reply(after(&["work for long", "go on"], "Went on."));
        let killed = scenario.run("killed.mjs", json!({"model": script.model(), "word": word}));
        let given = json!({
            "model": script.model(), "id": killed["id"], "prompt": "go on", "answer": "Went on.",
        });
        scenario.run(file, given);
    }
}

#[test]
fn structured_output() {
    let scenario = Scenario::new();
    let fits = r#"{"summary": "done", "status": "ok"}"#;
    let again = r#"{"summary": "again", "status": "bad"}"#;
    let schema_goes_along = json!({"/text/format/schema/required": ["summary", "status"]});
    let fitting = Script::new().reply(json!({"expect": {"at": schema_goes_along}, "text": fits}));
    let second = Script::new().answer("It is done.").answer(again);
    let never = Script::new()
        .answer(r#"{"summary": 1}"#)
        .answer("still no JSON")
        .answer(fits);
    let cut = Script::new()
        .reply(json!({"text": r#"{"summary": "in two "#, "finish": "output_limit"}))
        .answer(r#"pieces", "status": "ok"}"#);
    let given = json!({
        "fitting": fitting.model(), "second": second.model(), "never": never.model(),
        "cut": cut.model(),
    });
    let temporary = scenario.home.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = scenario.command("node");
    command.env("TMPDIR", temporary);
    scenario.run_by(command, "schema.mjs", given);
}

/// One red pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\0\0\
\0\x0cIDATx\x9cc\xf8\xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82";

#[test]
fn local_images() {
    let scenario = Scenario::new();
    let mut images = Vec::new();
    for name in ["one.png", "two, with a comma.png"] {
        let path = scenario.home.path().join(name);
        std::fs::write(&path, PNG).unwrap();
        images.push(path.to_str().unwrap().to_owned());
    }
    let script = Script::new().answer("Pictures.").answer("The same.");
    scenario.run(
        "images.mjs",
        json!({"model": script.model(), "images": images}),
    );
    let sent: Vec<usize> = scenario
        .home
        .records()
        .iter()
        .filter(|record| record["kind"] == "turn.started")
        .map(|record| record.to_string().matches("data:image/png;base64,").count())
        .collect();
    assert_eq!(sent, [2, 1]);
}

fn options(part: usize) {
    let scenario = Scenario::new();
    let directory = |name: &str| {
        let path = scenario.home.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let (extra, outside) = (directory("extra"), directory("outside"));
    let script = Script::new()
        .exec("true")
        .answer("done")
        .answer("done again");
    let given = json!({
        "model": script.model(), "extra": extra, "outside": outside, "part": part,
    });
    scenario.run("options.mjs", given);
}

#[test]
fn every_option_of_a_thread_first_quarter() {
    options(0);
}

#[test]
fn every_option_of_a_thread_second_quarter() {
    options(1);
}

#[test]
fn every_option_of_a_thread_third_quarter() {
    options(2);
}

#[test]
fn every_option_of_a_thread_fourth_quarter() {
    options(3);
}

#[test]
fn options_of_the_client() {
    let scenario = Scenario::new();
    let extra = scenario.home.path().join("extra");
    let outside = scenario.home.path().join("outside");
    std::fs::create_dir(&extra).unwrap();
    std::fs::create_dir(&outside).unwrap();
    let command = r#"touch written; echo "$FROM_CONFIG|$FROM_RAW|$SECRET$NOT_PASSED_ON""#;
    let script = Script::new().exec(command).answer("done");
    let given = json!({"model": script.model(), "extra": extra, "outside": outside});
    scenario.run("client_options.mjs", given);
}

#[test]
fn abort() {
    let scenario = Scenario::new();
    // The number makes the command's processes known among all others.
    let word = format!("6{}", std::process::id());
    let script = Script::new()
        .exec(&format!(
            "sleep {word} & (setsid sleep {word} &) ; sleep {word}"
        ))
        .reply(after(&["work for long", "go on"], "Went on."));
    scenario.run(
        "abort.mjs",
        json!({"model": script.model(), "word": format!("sleep {word}")}),
    );
}

#[test]
fn a_provider_over_http() {
    let scenario = Scenario::new();
    let script = Script::new()
        .exec("env")
        .answer("Printed.")
        .answer("Again.");
    // In a network namespace without any way out; the kernel counts what is tried.
    let up = "import fcntl, socket, struct; \
              fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sH14x', b'lo', 0x49))";
    let shell = format!("python3 -c \"{up}\" && exec node \"$@\"");
    let mut command = scenario.command("unshare");
    if !is_root() {
        command.args(["--map-current-user", "--keep-caps"]);
    }
    command.args(["--net", "--", "sh", "-c", &shell, "sh"]);
    let given = json!({"script": script.path(), "alone": true});
    scenario.run_by(command, "http.mjs", given);
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}
