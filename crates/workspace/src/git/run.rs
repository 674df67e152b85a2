//! Starts git: fixed environment, no shell, bounded output and time.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// Most bytes of git's messages that are kept.
const STDERR: u64 = 16 << 10;

/// Switched off for every call. The trusted directory's own configuration would do; these hold
/// even where a mistake made git read another one.
const CONFIG: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.pager=cat",
    "core.editor=false",
    "core.askPass=",
    "core.sshCommand=false",
    "core.attributesFile=/dev/null",
    "core.alternateRefsCommand=true",
    "core.commitGraph=false",
    "credential.helper=",
    "diff.ignoreSubmodules=all",
    "submodule.recurse=false",
    "protocol.allow=never",
    "gc.auto=0",
    "maintenance.auto=false",
    "log.showSignature=false",
    "commit.gpgSign=false",
];

/// The git program of this machine.
#[derive(Clone, Debug)]
pub struct Git {
    program: PathBuf,
    path: OsString,
    time_limit: Duration,
}

/// Why a call of git failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not be started, or talked to.
    #[error("cannot run git {command}")]
    Start {
        /// Git's command.
        command: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It took too long and was killed.
    #[error("git {command} took longer than {limit:?}")]
    TimeLimit {
        /// Git's command.
        command: String,
        /// How long it may take.
        limit: Duration,
    },
    /// It wrote more than is taken.
    #[error("git {command} wrote more than {limit} bytes")]
    TooMuch {
        /// Git's command.
        command: String,
        /// How much it may write.
        limit: u64,
    },
    /// It refused.
    #[error("git {command} failed: {message}")]
    Failed {
        /// Git's command.
        command: String,
        /// Its exit code; none when a signal ended it.
        code: Option<i32>,
        /// What it said.
        message: String,
    },
    /// It wrote something else than it should.
    #[error("git {command} wrote something unexpected")]
    Output {
        /// Git's command.
        command: String,
    },
}

/// What a call wrote.
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    /// Whether more came than was asked for.
    pub(super) cut: bool,
}

impl Git {
    /// Finds git in a search path. Relative entries are passed over: what they lead to depends on
    /// a directory that a cell may write.
    pub fn find(path: &OsStr) -> Option<Self> {
        let absolute: Vec<PathBuf> = std::env::split_paths(path)
            .filter(|dir| dir.is_absolute())
            .collect();
        let program = absolute
            .iter()
            .map(|dir| dir.join("git"))
            .find(|file| file.is_file())?;
        let path = std::env::join_paths(absolute).ok()?;
        Some(Self {
            program,
            path,
            time_limit: Duration::from_secs(120),
        })
    }

    /// The same git with another limit on the time that a call takes.
    #[must_use]
    pub fn with_time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// A call of git that reads no configuration but the trusted directory's, and starts nothing.
    pub(super) fn call(&self, command: &'static str) -> Call<'_> {
        let mut process = Command::new(&self.program);
        process
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", "/nonexistent")
            .env("XDG_CONFIG_HOME", "/nonexistent")
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_ALLOW_PROTOCOL", "")
            .env("GIT_PAGER", "cat")
            .env("GIT_EDITOR", "false")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for setting in CONFIG {
            process.arg("-c").arg(setting);
        }
        Call {
            git: self,
            command,
            process,
            named: false,
            input: None,
            limit: 256 << 20,
        }
    }
}

/// One call of git, being put together.
pub(super) struct Call<'a> {
    git: &'a Git,
    command: &'static str,
    process: Command,
    /// Whether the command's name is among the arguments already; options of git itself go first.
    named: bool,
    input: Option<Vec<u8>>,
    limit: u64,
}

impl Call<'_> {
    /// Adds an option of git itself, such as `--git-dir`.
    pub(super) fn option(mut self, name: &str, value: &Path) -> Self {
        let mut option = OsString::from(name);
        option.push("=");
        option.push(value);
        self.process.arg(option);
        self
    }

    /// Adds a setting.
    pub(super) fn config(mut self, setting: impl AsRef<OsStr>) -> Self {
        self.process.arg("-c").arg(setting);
        self
    }

    /// Adds an environment variable.
    pub(super) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.process.env(name, value);
        self
    }

    /// Runs in a directory that only we write.
    pub(super) fn dir(mut self, dir: &Path) -> Self {
        self.process.current_dir(dir);
        self
    }

    /// Adds the command's arguments.
    pub(super) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.name();
        self.process.args(args);
        self
    }

    /// Gives the call something to read.
    pub(super) fn input(mut self, input: Vec<u8>) -> Self {
        self.input = Some(input);
        self
    }

    /// Takes at most this many bytes.
    pub(super) fn limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// Runs and returns all it wrote.
    pub(super) async fn read(self) -> Result<Vec<u8>, RunError> {
        let (command, limit) = (self.command.to_owned(), self.limit);
        let output = self.read_some(&[0]).await?;
        if output.cut {
            Err(RunError::TooMuch { command, limit })
        } else {
            Ok(output.bytes)
        }
    }

    /// Runs and returns the one line it wrote.
    pub(super) async fn read_oid(self) -> Result<super::Oid, RunError> {
        let command = self.command.to_owned();
        let bytes = self.read().await?;
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        super::Oid::parse(text.trim_end()).ok_or(RunError::Output { command })
    }

    /// Runs and returns what it wrote up to the limit, accepting these exit codes. A call that
    /// writes more is ended there.
    pub(super) async fn read_some(mut self, codes: &[i32]) -> Result<Output, RunError> {
        self.name();
        let limit = self.git.time_limit;
        let command = self.command.to_owned();
        match tokio::time::timeout(limit, self.run(codes)).await {
            Ok(result) => result,
            // Dropping the process has killed it.
            Err(_) => Err(RunError::TimeLimit { command, limit }),
        }
    }

    fn name(&mut self) {
        if !self.named {
            self.process.arg(self.command);
            self.named = true;
        }
    }

    async fn run(mut self, codes: &[i32]) -> Result<Output, RunError> {
        let command = self.command.to_owned();
        let failed = |source| RunError::Start {
            command: command.clone(),
            source,
        };
        if self.input.is_some() {
            self.process.stdin(Stdio::piped());
        }
        let mut child = self.process.spawn().map_err(failed)?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let (Some(mut stdin), Some(input)) = (stdin, self.input) {
                // Git may end without reading all; its exit code tells why.
                let _ = stdin.write_all(&input).await;
            }
        };
        let limit = self.limit;
        let ((), out, message) = tokio::join!(
            feed,
            take(stdout, limit.saturating_add(1)),
            messages(stderr)
        );
        let mut bytes = out.map_err(failed)?;
        let cut = bytes.len() as u64 > limit;
        if cut {
            // More than the limit was read, so the limit fits.
            bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            // It would wait forever for somebody to read the rest.
            let _ = child.start_kill();
        }
        let status = child.wait().await.map_err(failed)?;
        if cut || status.code().is_some_and(|code| codes.contains(&code)) {
            return Ok(Output { bytes, cut });
        }
        let message = String::from_utf8_lossy(&message).trim().to_owned();
        Err(RunError::Failed {
            command,
            code: status.code(),
            message,
        })
    }
}

async fn take(pipe: Option<impl AsyncRead + Unpin>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(limit).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// Keeps the beginning and reads on, since a closed pipe would end git at its next warning.
async fn messages(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = (&mut pipe).take(STDERR).read_to_end(&mut bytes).await;
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
    bytes
}
