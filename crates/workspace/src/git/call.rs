//! One call of git: its arguments, what it reads, what is taken of what it writes.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::run::RunError;

/// Most bytes of git's messages that are kept.
const STDERR: u64 = 16 << 10;

/// What a call wrote.
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    /// Whether more came than was asked for.
    pub(super) cut: bool,
}

/// One call of git, being put together.
pub(super) struct Call {
    time_limit: Duration,
    command: &'static str,
    process: Command,
    /// Whether the command's name is among the arguments already; options of git itself go first.
    named: bool,
    input: Option<Vec<u8>>,
    limit: u64,
}

impl Call {
    /// A call of `command`, whose environment and settings stand in `process`.
    pub(super) fn new(command: &'static str, process: Command, time_limit: Duration) -> Self {
        Self {
            time_limit,
            command,
            process,
            named: false,
            input: None,
            limit: 256 << 20,
        }
    }

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

    /// Lets the call read a file itself, from where the file stands.
    pub(super) fn input_file(mut self, file: std::fs::File) -> Self {
        self.process.stdin(Stdio::from(file));
        self
    }

    /// Runs as another user, who has no further groups.
    pub(super) fn owner(mut self, owner: Option<(u32, u32)>) -> Self {
        if let Some((user, group)) = owner {
            self.process.uid(user).gid(group);
        }
        self
    }

    /// Allows the call another time.
    pub(super) fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
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
        let limit = self.time_limit;
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
