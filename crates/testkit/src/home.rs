//! A user's home for one test, and the program run in it.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A home directory with nothing in it, and no variables but what a test sets.
pub struct Home {
    dir: TempDir,
    env: Vec<(String, String)>,
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
        Self { dir: tempfile::tempdir().unwrap(), env: Vec::new() }
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
        std::fs::create_dir_all(self.recto()).unwrap();
        std::fs::write(self.recto().join("config.toml"), toml).unwrap();
        self
    }

    /// A command of the program, in a directory, with this home.
    pub fn command<S: AsRef<OsStr>>(&self, cwd: &Path, args: &[S]) -> Command {
        let mut command = Command::new(crate::binary());
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
        for name in ["RUSTUP_HOME", "CARGO_HOME", "PYENV_ROOT"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
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
        self.command(cwd, args).stdin(Stdio::piped()).spawn().unwrap()
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
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
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
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
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
