//! A user's home for one test, and the program run in it.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::User;

/// Variables that say where tools lie, and where below a home they lie without it.
const TOOLS: [(&str, &str); 3] = [
    ("RUSTUP_HOME", ".rustup"),
    ("CARGO_HOME", ".cargo"),
    ("PYENV_ROOT", ".pyenv"),
];

/// A home directory with nothing in it, and no variables but what a test sets.
pub struct Home {
    dir: TempDir,
    env: Vec<(String, String)>,
    user: User,
    program: PathBuf,
    _copy: Option<TempDir>,
}

/// What a finished run left.
#[derive(Debug)]
pub struct Run {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Home {
    /// A fresh home.
    #[allow(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        Self::of(User::Tester)
    }

    /// A fresh home of somebody else, whom the program then runs as.
    pub fn of(user: User) -> Self {
        let dir = tempfile::tempdir().unwrap();
        user.take(dir.path());
        let (program, copy) = user.program();
        Self {
            dir,
            env: Vec::new(),
            user,
            program,
            _copy: copy,
        }
    }

    /// The home directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The program's own directory in it.
    pub fn recto(&self) -> PathBuf {
        self.path().join(".recto")
    }

    /// Sets a variable for all runs.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes the user's configuration.
    pub fn configure(&self, toml: &str) -> &Self {
        self.write(".recto/config.toml", toml)
    }

    /// Writes a file below the home.
    pub fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self.user.take(self.path());
        self
    }

    /// A command of the program, in a directory, with this home.
    pub fn command<S: AsRef<OsStr>>(&self, cwd: &Path, args: &[S]) -> Command {
        let mut command = self.user.command(&self.program);
        command
            .args(args)
            .current_dir(cwd)
            .env_clear()
            .env("HOME", self.path())
            .env("RECTO_HOME", self.recto())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Toolchains stay where they are, though the home is another one.
        for (name, directory) in TOOLS {
            let usual = std::env::var_os("HOME").map(|home| Path::new(&home).join(directory));
            let place = std::env::var_os(name).map(PathBuf::from).or(usual);
            if let Some(place) = place.filter(|place| place.is_dir()) {
                command.env(name, place);
            }
        }
        for (name, value) in &self.env {
            command.env(name, value);
        }
        command
    }

    /// Runs the program to its end.
    pub fn run<S: AsRef<OsStr>>(&self, cwd: &Path, args: &[S]) -> Run {
        Run::of(self.command(cwd, args).output().unwrap())
    }

    /// Runs the program with something on standard input.
    pub fn run_with<S: AsRef<OsStr>>(&self, cwd: &Path, args: &[S], input: &[u8]) -> Run {
        let mut child = self.spawn_with(cwd, args);
        // The program may end before it has read all.
        let _ = child.stdin.take().unwrap().write_all(input);
        Run::of(child.wait_with_output().unwrap())
    }

    /// Starts the program with an open standard input.
    pub fn spawn_with<S: AsRef<OsStr>>(&self, cwd: &Path, args: &[S]) -> Child {
        self.command(cwd, args)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// The sessions on disk, oldest first.
    pub fn sessions(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.recto().join("sessions")) else {
            return Vec::new();
        };
        let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        found.sort();
        found
    }

    /// The records of the newest session's log.
    pub fn records(&self) -> Vec<Value> {
        let session = self.sessions().pop().expect("a session");
        let log = std::fs::read_to_string(session.join("log.jsonl")).unwrap();
        log.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Run {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts the exit code, showing everything otherwise.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Standard output as JSON lines.
    pub fn events(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }
}
