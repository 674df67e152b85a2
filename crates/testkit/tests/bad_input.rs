//! Bad input: each case gives one clear message and the right exit code, loses nothing, and shows
//! no panic.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use recto_testkit::{Home, Repository, Script, User};
use serde_json::json;

/// How long a refusal may take, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A home, a repository and a model that answers at once.
struct Case {
    home: Home,
    repo: Repository,
    script: Script,
}

/// How a bounded run ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Case {
    fn new() -> Self {
        Self::with(Script::new().answer("Done."))
    }

    fn with(script: Script) -> Self {
        let repo = Repository::new(&[("a.txt", "a\n")]);
        let mut home = Home::new();
        // What users have set when they are asked for a bug report; it must not change messages.
        home.set("RUST_BACKTRACE", "1");
        Self { home, repo, script }
    }

    /// `recto exec` with these arguments before the prompt.
    fn exec(&self, args: &[&str]) -> Ended {
        self.exec_in(self.repo.path(), args)
    }

    fn exec_in(&self, cwd: &Path, args: &[&str]) -> Ended {
        let model = self.script.model();
        let mut all = vec!["exec", "-m", &model];
        all.extend(args);
        all.push("do it");
        bounded(self.home.command(cwd, &all))
    }

    /// Runs with arguments as they are.
    fn run(&self, args: &[&str]) -> Ended {
        bounded(self.home.command(self.repo.path(), args))
    }

    /// A file beside the repository, not in it.
    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.script.dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    fn fifo(&self, name: &str) -> String {
        let path = self.script.dir().join(name);
        fifo(&path);
        path.display().to_string()
    }

    fn log(&self) -> String {
        let session = self.home.sessions().pop().unwrap();
        std::fs::read_to_string(session.join("log.jsonl")).unwrap()
    }
}

impl Ended {
    /// Asserts the code and a part of the message, and that there is nothing of a panic.
    #[track_caller]
    fn check(self, code: i32, message: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(
            self.stderr.contains(message),
            "{message:?} is not in {self:#?}"
        );
        for noise in ["panicked", "backtrace", "RUST_BACKTRACE", "thread 'main'"] {
            assert!(!self.stderr.contains(noise), "{self:#?}");
        }
        self
    }

    /// A refusal: one message, and nothing on standard output.
    #[track_caller]
    fn refused(self, code: i32, message: &str) {
        let ended = self.check(code, message);
        assert!(ended.stderr.starts_with("error: "), "{ended:#?}");
        assert_eq!(ended.stdout, "");
    }
}

/// Runs a command to its end; one that hangs fails the test.
#[track_caller]
fn bounded(mut command: Command) -> Ended {
    let child = command.spawn().unwrap();
    let id = child.id().to_string();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(PATIENCE) else {
        Command::new("kill").args(["-9", &id]).status().unwrap();
        panic!("still running after {PATIENCE:?}: {command:?}");
    };
    let output = output.unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn shell(command: &Command, script: &str) -> Ended {
    let mut shell = Command::new("bash");
    shell
        .args(["-c", script, "bash"])
        .arg(command.get_program())
        .args(command.get_args());
    shell
        .current_dir(command.get_current_dir().unwrap())
        .env_clear();
    shell.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    shell
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    bounded(shell)
}

// Prompts

#[test]
fn a_prompt_that_cannot_be_used_is_refused() {
    let case = Case::new();
    let model = case.script.model();
    let repo = case.repo.path();
    let huge = case.file("huge.txt", &vec![b'a'; 2 << 20]);
    let pipe = |bytes: &[u8]| {
        let run = case
            .home
            .run_with(repo, &["exec", "-m", &model, "-"], bytes);
        Ended {
            code: run.code,
            stdout: run.stdout,
            stderr: run.stderr,
        }
    };
    pipe(&vec![b'a'; 2 << 20]).refused(2, "the prompt is longer than 1024 KiB");
    pipe(b"\xff\xfe").refused(2, "standard input is not valid UTF-8 text");
    pipe(b" \n").refused(2, "there is no prompt on standard input");
    case.run(&["exec", "-m", &model])
        .refused(2, "there is no prompt on standard input");
    case.run(&["exec", "-m", &model, ""])
        .refused(2, "the prompt is empty");
    let exec = case.home.command(repo, &["exec", "-m", &model, "-"]);
    shell(&exec, r#""$@" < ."#).refused(2, "cannot read standard input: Is a directory");
    shell(&exec, r#""$@" <&-"#).refused(2, "there is no prompt on standard input");
    shell(&exec, &format!(r#""$@" < {huge}"#)).refused(2, "the prompt is longer than 1024 KiB");
    assert_eq!(case.home.sessions().len(), 0, "nothing was begun");
}

#[test]
fn a_closed_standard_input_is_no_trouble_when_the_prompt_is_given() {
    let case = Case::new();
    let exec = case.home.command(
        case.repo.path(),
        &["exec", "-m", &case.script.model(), "do it"],
    );
    assert_eq!(shell(&exec, r#""$@" <&-"#).check(0, "").stdout, "Done.\n");
}

#[test]
fn a_standard_input_that_stays_open_and_silent_is_an_error_after_a_while() {
    let case = Case::new();
    let args = ["exec", "-m", &case.script.model(), "do it"];
    let mut child = case.home.spawn_with(case.repo.path(), &args);
    let open = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(open);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "reading standard input…\n\
         error: standard input is open, but nothing came for 30 seconds\n\
         hint: if nothing is to be read from it, add `< /dev/null`\n"
    );
}

#[test]
fn a_slow_writer_of_standard_input_is_waited_for() {
    let case = Case::new();
    let exec = case.home.command(
        case.repo.path(),
        &["exec", "-m", &case.script.model(), "do it"],
    );
    shell(&exec, r#"(sleep 3; echo late) | "$@""#).check(0, "reading standard input…");
    let records = case.home.records();
    assert!(records.iter().any(|r| r.to_string().contains("late")));
}

#[test]
fn flags_that_can_have_no_effect_on_an_earlier_session_are_refused() {
    let case = Case::new();
    case.exec(&[]).check(0, "");
    for command in ["resume", "fork"] {
        let session = case.home.sessions().pop().unwrap();
        let id = session.file_name().unwrap().to_str().unwrap();
        case.run(&["exec", command, id, "on", "--ephemeral"])
            .check(2, "--ephemeral can't be used with resume and fork");
    }
}

// Images and schemas

#[test]
fn an_image_that_cannot_be_used_is_refused() {
    let case = Case::new();
    let text = case.file("text.png", b"no image");
    let directory = case.script.dir().display().to_string();
    let huge = case.file("huge.png", &vec![0; 33 << 20]);
    for (path, message) in [
        (
            "nowhere.png",
            "cannot read image nowhere.png: No such file or directory",
        ),
        (&text, "invalid or unsupported image data"),
        (&directory, "it is not a regular file"),
        (&case.fifo("fifo"), "it is not a regular file"),
        (&huge, "it is larger than 32768 KiB"),
        (&case.file("bomb.png", BOMB), "Image size exceeds limit"),
        ("/dev/zero", "it is not a regular file"),
    ] {
        case.exec(&["-i", path]).refused(2, message);
    }
    assert_eq!(case.home.sessions().len(), 0, "nothing was begun");
}

/// A PNG of a few bytes that says that it is 65,535 pixels wide and high.
const BOMB: &[u8] = b"\
\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\xff\xff\x00\x00\xff\xff\
\x08\x06\x00\x00\x00\xb6\x05\xd9\x50\x00\x00\x00\x09\x49\x44\x41\x54\x78\x9c\x63\x00\x00\x00\x01\
\x00\x01\x5e\xff\x7d\xf9\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";

#[test]
fn a_schema_that_cannot_be_used_is_refused() {
    let case = Case::new();
    let huge = case.file("huge.json", &vec![b' '; 2 << 20]);
    for (path, message) in [
        (
            "nowhere.json",
            "cannot read output schema nowhere.json: No such file or directory",
        ),
        (
            &case.file("broken.json", b"{"),
            "the output schema is not valid JSON",
        ),
        (
            &case.file("none.json", b"{\"type\": \"nonsense\"}"),
            "not a valid JSON schema",
        ),
        (
            &case.file("list.json", b"[1]"),
            "the output schema must be a JSON object",
        ),
        (
            &case.file("binary.json", b"\xff"),
            "is not valid UTF-8 text",
        ),
        (&huge, "it is larger than 1024 KiB"),
        (&case.fifo("fifo"), "it is not a regular file"),
    ] {
        case.exec(&["--output-schema", path]).refused(2, message);
    }
    assert_eq!(case.home.sessions().len(), 0, "nothing was begun");
}

// Configuration

#[test]
fn a_configuration_that_cannot_be_used_is_refused_with_its_place() {
    let case = Case::new();
    for (text, message) in [
        (
            "modle = \"x\"\n",
            "config.toml:1:1: unknown key `modle`\n  hint: did you mean `model`?",
        ),
        ("\nmodel = 3\n", "config.toml:2:9: `model` must be a string"),
        ("model = \"x", "config.toml:1:"),
        (
            &" ".repeat(2 << 20),
            "bytes are more than the 1048576 that are read",
        ),
    ] {
        case.home.configure(text);
        case.exec(&[]).refused(2, message);
    }
    let path = case.home.recto().join("config.toml");
    std::fs::write(&path, b"\xff").unwrap();
    case.exec(&[]).refused(2, "it is not valid UTF-8");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    case.exec(&[]).refused(2, "it is not a regular file");
    std::fs::remove_dir(&path).unwrap();
    fifo(&path);
    case.exec(&[]).refused(2, "it is not a regular file");
}

#[test]
fn a_configuration_that_may_not_be_read_is_refused() {
    // Root may read everything, so somebody else is needed.
    let user = *User::all().last().unwrap();
    let (home, repo) = (Home::of(user), Repository::new(&[("a.txt", "a\n")]));
    repo.give_to(user);
    home.configure("model = \"x\"\n");
    let path = home.recto().join("config.toml");
    Command::new("chmod").arg("0").arg(&path).status().unwrap();
    bounded(home.command(repo.path(), &["exec", "do it"])).refused(2, "Permission denied");
}

#[test]
fn a_value_of_the_command_line_that_cannot_be_used_is_refused() {
    let case = Case::new();
    for (args, message) in [
        (["--max-steps", "0"], "--max-steps"),
        (["--max-cost", "nan"], "--max-cost"),
        (
            ["-s", "nonsense"],
            "--sandbox: `sandbox_mode` must be \"read-only\"",
        ),
        (["-p", "nobody"], "nobody"),
        (["-c", "modle=3"], "unknown key `modle`"),
        (
            ["--add-dir", "/nowhere"],
            "cannot add the directory /nowhere",
        ),
        (
            ["-o", "/nowhere/answer.md"],
            "cannot write /nowhere/answer.md: its directory does not",
        ),
        (["-o", "/tmp"], "cannot write /tmp: it is a directory"),
        (["-C", "/nowhere"], "cannot work in /nowhere"),
        (["-m", "script:/nowhere"], "cannot read the script /nowhere"),
    ] {
        let (model, [flag, value]) = (case.script.model(), args);
        let mut all = vec!["exec", flag, value, "do it"];
        if flag != "-m" {
            all.splice(1..1, ["-m", &model]);
        }
        case.run(&all).refused(2, message);
    }
    case.run(&["exec", "do it"])
        .refused(2, "OPENAI_API_KEY is not set\nhint: set OPENAI_API_KEY");
}

// AGENTS.md

#[test]
fn instructions_that_are_no_files_of_the_repository_are_not_read() {
    let case = Case::new();
    let outside = case.file("outside.md", b"words from outside");
    let agents = case.repo.path().join("AGENTS.md");
    for target in [
        "AGENTS.md",
        &outside,
        "/etc/passwd",
        "../../../etc/passwd",
        "/dev/zero",
    ] {
        std::os::unix::fs::symlink(target, &agents).unwrap();
        assert_eq!(case.exec(&[]).check(0, "").stdout, "Done.\n");
        let log = case.log();
        assert!(
            !log.contains("words from outside") && !log.contains("root:x:0"),
            "{log}"
        );
        std::fs::remove_file(&agents).unwrap();
    }
    fifo(&agents);
    assert_eq!(case.exec(&[]).check(0, "").stdout, "Done.\n");
    std::fs::remove_file(&agents).unwrap();
    std::fs::create_dir(&agents).unwrap();
    assert_eq!(case.exec(&[]).check(0, "").stdout, "Done.\n");
}

#[test]
fn instructions_behind_a_linked_directory_are_not_read() {
    let look = json!({"cmd": "ls", "workdir": "link"});
    let patch = "*** Begin Patch\n*** Add File: link/new.txt\n+x\n*** End Patch\n";
    let case = Case::with(
        Script::new()
            .call("exec_command", look)
            .exec("cat link/x")
            .patch(patch)
            .answer("Done."),
    );
    case.file("AGENTS.md", b"words from outside");
    std::os::unix::fs::symlink(case.script.dir(), case.repo.path().join("link")).unwrap();
    assert_eq!(case.exec(&[]).check(0, "").stdout, "Done.\n");
    assert!(!case.log().contains("words from outside"));
    assert!(
        !case.script.dir().join("new.txt").exists(),
        "a patch left the work tree"
    );
}

#[test]
fn instructions_of_a_megabyte_are_cut_with_a_notice() {
    let case = Case::new();
    case.repo
        .write("AGENTS.md", &"0123456789abcde\n".repeat(1 << 16));
    case.exec(&[]).check(0, "");
    let log = case.log();
    assert!(log.len() < 64 << 10, "{} bytes", log.len());
    assert!(log.contains("instructions_cut"), "{log}");
}

// Repositories and directories

#[test]
fn a_place_where_no_work_can_be_done_is_refused() {
    let case = Case::new();
    let at = |name: &str| case.script.dir().join(name);
    case.repo
        .git(&["init", "-q", "--bare", at("bare").to_str().unwrap()]);
    case.exec_in(&at("bare"), &[])
        .refused(2, "is a bare repository\nhint: clone it");
    std::fs::create_dir(at("plain")).unwrap();
    case.exec_in(&at("plain"), &[])
        .refused(2, "is not inside a git repository\nhint: ");
    for (name, text) in [
        ("gone", "gitdir: /nowhere/x\n"),
        ("garbage", "garbage\n"),
        ("empty", ""),
    ] {
        std::fs::create_dir(at(name)).unwrap();
        std::fs::write(at(name).join(".git"), text).unwrap();
        case.exec_in(&at(name), &[])
            .refused(2, ".git does not lead to a repository");
    }
    std::fs::create_dir(at("deleted")).unwrap();
    let exec = case.home.command(
        &at("deleted"),
        &["exec", "-m", &case.script.model(), "do it"],
    );
    shell(&exec, r#"rmdir "$PWD"; "$@""#).refused(2, "cannot work in .: No such file or directory");
    assert_eq!(case.home.sessions().len(), 0, "nothing was begun");
}

#[test]
fn an_unusual_repository_is_worked_in() {
    let command = "echo b > b.txt && git add b.txt && git commit -qm b && git status --porcelain";
    let case = Case::with(Script::new().exec(command).reply(json!({
        "expect": {"contains": "Process exited with code 0"},
        "text": "Done.",
    })));
    let at = |name: &str| case.script.dir().join(name);
    let source = format!("file://{}", case.repo.path().display());
    for name in ["a b", "ü 漢字", "new\nline", "quo'te\"s", "-dash"] {
        let place = at("place").join(name);
        case.repo
            .git(&["clone", "-q", &source, "--", place.to_str().unwrap()]);
        assert_eq!(
            case.exec_in(&place, &[]).check(0, "").stdout,
            "Done.\n",
            "{name:?}"
        );
    }
    let shallow = at("shallow");
    case.repo
        .git(&["commit", "-q", "--allow-empty", "-m", "second"]);
    case.repo.git(&[
        "clone",
        "-q",
        "--depth=1",
        &source,
        shallow.to_str().unwrap(),
    ]);
    case.exec_in(&shallow, &[]).check(0, "");
    let empty = at("empty");
    case.repo.git(&["init", "-q", empty.to_str().unwrap()]);
    case.exec_in(&empty, &[]).check(0, "");
}

#[test]
fn a_merge_or_rebase_in_progress_stays_as_it_is() {
    for begin in ["merge", "rebase"] {
        let case = Case::new();
        let repo = &case.repo;
        repo.git(&["checkout", "-q", "-b", "other"]);
        repo.write("a.txt", "other\n");
        repo.git(&["commit", "-qam", "other"]);
        repo.git(&["checkout", "-q", "main"]);
        repo.write("a.txt", "main\n");
        repo.git(&["commit", "-qam", "main"]);
        let stopped = Command::new("git")
            .args([
                "-c",
                "user.name=T",
                "-c",
                "user.email=t@localhost",
                begin,
                "other",
            ])
            .current_dir(repo.path())
            .output()
            .unwrap();
        assert!(!stopped.status.success(), "{begin} met no conflict");
        let before = repo.git(&["status"]);
        assert_eq!(case.exec(&[]).check(0, "").stdout, "Done.\n");
        assert_eq!(repo.git(&["status"]), before);
        assert!(
            before.contains("in progress") || before.contains("unmerged"),
            "{before}"
        );
    }
}

// The program's own directory, PATH, missing programs

#[test]
fn a_home_that_cannot_be_written_is_refused_before_any_work() {
    let user = *User::all().last().unwrap();
    let (mut home, repo) = (Home::of(user), Repository::new(&[("a.txt", "a\n")]));
    let script = Script::new().answer("Done.");
    repo.give_to(user);
    user.take(script.dir());
    Command::new("chmod")
        .arg("500")
        .arg(home.path())
        .status()
        .unwrap();
    let model = script.model();
    let args = ["exec", "-m", &model, "do it"];
    bounded(home.command(repo.path(), &args)).refused(4, "Permission denied");
    // Nothing has to be kept for this one.
    let ephemeral = ["exec", "--ephemeral", "-m", &model, "do it"];
    let ended = bounded(home.command(repo.path(), &ephemeral));
    assert!([Some(0), Some(4)].contains(&ended.code), "{ended:?}");
    home.set("RECTO_HOME", &script.path().display().to_string());
    bounded(home.command(repo.path(), &args)).refused(4, "a file is in its place");
    let mut command = home.command(repo.path(), &args);
    command.env_remove("RECTO_HOME").env_remove("HOME");
    bounded(command).refused(2, "neither RECTO_HOME nor HOME is set\nhint: ");
    Command::new("chmod")
        .arg("700")
        .arg(home.path())
        .status()
        .unwrap();
}

#[test]
fn an_empty_path_is_no_trouble_and_missing_git_is_told_where_it_is_needed() {
    let mut case = Case::with(Script::new().exec("ls").reply(json!({
        "expect": {"contains": "a.txt"}, "text": "Done.",
    })));
    case.home.set("PATH", "");
    assert_eq!(case.exec(&[]).check(0, "").stdout, "Done.\n");
    case.run(&["demo", "--script"])
        .check(4, "error: git is not installed");
    let doctor = case.run(&["doctor", "--offline"]).check(4, "");
    assert!(
        doctor.stdout.contains("failed   git: git is not"),
        "{}",
        doctor.stdout
    );
}

// Models

#[test]
fn a_model_that_calls_nonsense_is_told_and_goes_on() {
    let said = |text: &str| json!({"contains": text});
    let script = Script::new()
        .call("nonsense", json!({"a": 1}))
        .reply(json!({
            "expect": said("there is no tool \"nonsense\""),
            "events": [{"call": "exec_command", "arguments": "{broken"}],
        }))
        .reply(json!({
            "expect": said("failed to parse function arguments"),
            "events": [{"call": "exec_command", "arguments": {"cmd": ["a", "list"]}}],
        }))
        .reply(json!({
            "expect": said("failed to parse function arguments"),
            "events": [{"call": "apply_patch", "arguments": {"input": "no patch"}}],
        }))
        .reply(json!({
            "expect": said("patch"),
            "events": [{"call": "write_stdin", "arguments": {"session_id": 99, "chars": "x"}}],
        }))
        .reply(json!({"expect": said("99"), "text": "Done."}));
    let case = Case::with(script);
    assert_eq!(case.exec(&[]).check(0, "").stdout, "Done.\n");
    // Every refused call is an event that users can see.
    let run = case
        .run(&["exec", "--json", "-m", &case.script.model(), "do it"])
        .check(0, "");
    assert!(run.stdout.contains("\"rejected\"") && run.stdout.contains("nonsense"));
}

#[test]
fn a_model_that_says_nothing_ends_the_turn_with_a_reason() {
    for reply in [
        json!({"events": []}),
        json!({"text": ""}),
        json!({"text": " \n"}),
    ] {
        let case = Case::with(Script::new().reply(reply));
        let ended = case.exec(&[]).check(1, "failed: ");
        assert_eq!(ended.stdout, "");
        assert!(case.log().contains("turn.ended"));
    }
}

#[test]
fn a_model_that_repeats_a_failing_call_is_stopped() {
    let reply = json!({
        "events": [{"call": "exec_command", "arguments": {"cmd": "false"}}], "times": 100,
    });
    let case = Case::with(Script::new().reply(reply));
    case.exec(&[])
        .check(1, "repeated the same failing call of exec_command");
    assert!(case.log().matches("\"kind\":\"tool.finished\"").count() < 20);
}

#[test]
fn a_model_that_loops_without_failing_is_stopped_by_its_budget() {
    let reply = json!({
        "events": [{"call": "exec_command", "arguments": {"cmd": "date +%N"}}], "times": 100,
    });
    let case = Case::with(Script::new().reply(reply));
    case.exec(&["--max-steps", "5"]).check(3, "");
}

#[test]
fn a_command_without_end_is_cut_and_killed_with_the_cell() {
    let script = Script::new().call("exec_command", json!({"cmd": "yes", "yield_time_ms": 1000}));
    let case = Case::with(script.reply(json!({
        "expect": {"contains": "Process running with session ID"}, "text": "Done.",
    })));
    assert_eq!(case.exec(&[]).check(0, "").stdout, "Done.\n");
    let kept = Command::new("du")
        .arg("-sk")
        .arg(case.home.recto())
        .output()
        .unwrap();
    let kept: u64 = String::from_utf8_lossy(&kept.stdout)
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(kept < 20_000, "{kept} KiB are kept of an endless output");
}

#[test]
fn a_reply_without_end_is_given_up() {
    let reply = json!({"events": [{"deltas": {"text": "x".repeat(4096), "count": 100_000}}]});
    Case::with(Script::new().reply(reply))
        .exec(&[])
        .check(1, "the response is larger than");
}

// Standard output and standard error

#[test]
fn a_reader_that_goes_away_ends_nothing_badly() {
    let case = Case::with(Script::new().exec("echo b > b.txt").answer("Done."));
    for (args, script) in [
        (
            vec!["exec", "--json"],
            r#""$@" | head -1; exit "${PIPESTATUS[0]}""#,
        ),
        (vec!["exec"], r#""$@" >&-"#),
        (vec!["exec", "--json"], r#""$@" >&-"#),
        (vec!["exec"], r#""$@" 2>&-"#),
        (vec!["exec"], r#""$@" 2>/dev/full"#),
        (vec!["exec"], r#""$@" 2> >(exit)"#),
        (vec!["exec"], r#""$@" >&- 2>&- <&-"#),
        (
            vec!["config", "schema"],
            r#""$@" | head -1; exit "${PIPESTATUS[0]}""#,
        ),
        (
            vec!["completion", "bash"],
            r#""$@" | head -1; exit "${PIPESTATUS[0]}""#,
        ),
        (vec!["--help"], r#""$@" | head -1; exit "${PIPESTATUS[0]}""#),
    ] {
        let model = case.script.model();
        let mut args = args;
        let is_turn = args[0] == "exec";
        if is_turn {
            args.extend(["-m", &model, "do it"]);
        }
        let _ = std::fs::remove_file(case.repo.path().join("b.txt"));
        shell(&case.home.command(case.repo.path(), &args), script).check(0, "");
        if is_turn {
            assert_eq!(
                case.repo.read("b.txt"),
                "b\n",
                "the turn went on to its end"
            );
            assert!(case.log().contains("turn.ended"));
        }
    }
}

#[test]
fn an_answer_that_cannot_be_printed_is_an_error_and_kept_in_the_log() {
    let case = Case::new();
    let exec = case.home.command(
        case.repo.path(),
        &["exec", "-m", &case.script.model(), "do it"],
    );
    shell(&exec, r#""$@" > /dev/full"#).check(4, "error: No space left on device");
    assert!(case.log().contains("\"answer\":\"Done.\""));
    let ended = case
        .exec(&["-o", "/dev/full"])
        .check(4, "error: cannot write /dev/full: No space");
    assert_eq!(ended.stdout, "Done.\n");
}

// The command line itself

#[test]
fn a_command_line_that_means_nothing_is_refused_with_usage() {
    let case = Case::new();
    for (args, message) in [
        (vec![], "Usage: recto <COMMAND>"),
        (vec!["frobnicate"], "unrecognized subcommand 'frobnicate'"),
        (vec!["exec", "--nope"], "unexpected argument '--nope'"),
        (vec!["sessions"], "Usage: recto sessions <COMMAND>"),
        (vec!["completion", "tcsh"], "invalid value 'tcsh'"),
        (vec!["cell"], "Usage: recto cell <COMMAND>"),
        (vec!["cell", "run"], "required"),
        (vec!["cell", "new", "--name=-x"], "a name has"),
        (vec!["cell", "new", "--name", "../x"], "a name has"),
        (vec!["cell", "new", "--idle", "soon"], "a number of seconds"),
        (
            vec!["cell", "run", "--in", "x", "-s", "read-only", "ls"],
            "cannot be used with",
        ),
        (vec!["cell", "rm"], "required"),
    ] {
        let ended = case.run(&args).check(2, message);
        assert_eq!(ended.stdout, "", "{args:?}");
    }
    case.run(&["sessions", "show", "nobody"])
        .refused(2, "there is no session \"nobody\"");
    case.run(&["exec", "resume", "--last", "x"])
        .refused(2, "there is no session");
    case.run(&["script", "check", "/nowhere"])
        .refused(2, "cannot read the script");
}

#[test]
fn every_command_explains_itself() {
    let case = Case::new();
    for command in [
        "",
        "exec",
        "exec resume",
        "exec fork",
        "ask",
        "ask resume",
        "demo",
        "sessions",
        "sessions list",
        "sessions show",
        "sessions export",
        "sessions rm",
        "cell",
        "cell run",
        "cell shell",
        "cell new",
        "cell ls",
        "cell rm",
        "cell stats",
        "cell policy",
        "cell policy explain",
        "apply-patch",
        "config",
        "config show",
        "config schema",
        "doctor",
        "script",
        "script serve",
        "script check",
        "completion",
    ] {
        let mut args: Vec<&str> = command.split_whitespace().collect();
        args.push("--help");
        let ended = case.run(&args).check(0, "");
        assert_eq!(ended.stderr, "");
        assert!(
            ended
                .stdout
                .contains(&format!("Usage: {}", format!("recto {command}").trim()))
        );
    }
    let version = case.run(&["--version"]).check(0, "").stdout;
    assert!(
        version.starts_with("recto ") && version.lines().count() == 1,
        "{version}"
    );
}

#[test]
fn completion_scripts_can_be_read_by_their_shells() {
    let case = Case::new();
    for (name, check) in [
        ("bash", "bash -n"),
        ("zsh", "zsh -n"),
        ("fish", "fish --no-execute"),
    ] {
        let text = case.run(&["completion", name]).check(0, "").stdout;
        assert!(
            text.contains("recto") && text.contains("apply-patch"),
            "{name}"
        );
        let file = case.file(name, text.as_bytes());
        let program = check.split(' ').next().unwrap();
        if Command::new(program).arg("--version").output().is_err() {
            println!("{program} is not installed: its completion script was not parsed");
            continue;
        }
        let parsed = Command::new("sh")
            .args(["-c", &format!("{check} {file}")])
            .output()
            .unwrap();
        assert!(
            parsed.status.success(),
            "{}",
            String::from_utf8_lossy(&parsed.stderr)
        );
    }
}
