//! Starts git: fixed environment, no shell, bounded output and time.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::call::Call;

/// Switched off for every call. The trusted directory's own configuration would do; these hold
/// even where a mistake made git read another one.
const CONFIG: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.pager=cat",
    "core.editor=false",
    "core.attributesFile=/dev/null",
    "core.alternateRefsCommand=true",
    "core.commitGraph=false",
    "diff.ignoreSubmodules=all",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "log.showSignature=false",
    "commit.gpgSign=false",
];

/// Switched off besides where no remote is to be reached.
const NO_REMOTES: &[&str] = &[
    "core.askPass=",
    "core.sshCommand=false",
    "credential.helper=",
    "protocol.allow=never",
];

/// Variables of the operator that git needs to reach a remote: where keys and credentials are, and
/// what proxies there are.
#[derive(Clone, Debug, Default)]
pub struct Reach(pub Vec<(String, OsString)>);

/// The git program of this machine.
#[derive(Clone, Debug)]
pub struct Git {
    program: PathBuf,
    path: OsString,
    scratch: PathBuf,
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

impl Git {
    /// Finds git in a search path, for repositories in trees that a cell may write: the
    /// `forbidden` ones. Entries that lie in one are passed over, since a cell can put programs
    /// there (an activated `.venv/bin`, `node_modules/.bin`), and so are relative ones. What is
    /// left is where entries really lead to, and it is all that git's children get.
    ///
    /// `scratch` are directories for temporary files, of which the first is taken that no cell can
    /// write either. None when there is none, or no git.
    pub fn find(path: &OsStr, forbidden: &[&Path], scratch: &[PathBuf]) -> Option<Self> {
        let forbidden: Vec<PathBuf> = forbidden
            .iter()
            .map(|root| root.canonicalize().unwrap_or_else(|_| root.to_path_buf()))
            .collect();
        let is_free = |real: &Path| !forbidden.iter().any(|root| real.starts_with(root));
        // A link in a tree that leads out of it could lead elsewhere when it is next followed.
        let trusted: Vec<PathBuf> = std::env::split_paths(path)
            .filter(|dir| dir.is_absolute())
            .filter_map(|dir| dir.canonicalize().ok())
            .filter(|real| is_free(real))
            .collect();
        let program = trusted.iter().map(|dir| dir.join("git")).find(|file| {
            let real = file.canonicalize();
            real.is_ok_and(|real| real.is_file() && is_free(&real))
        })?;
        let path = std::env::join_paths(trusted).ok()?;
        let mut scratch = scratch.iter().filter_map(|dir| dir.canonicalize().ok());
        let scratch = scratch.find(|real| real.is_dir() && is_free(real))?;
        Some(Self {
            program,
            path,
            scratch,
            time_limit: Duration::from_secs(120),
        })
    }

    /// Where its temporary files lie.
    pub(super) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// The same git with another limit on the time that a call takes.
    #[must_use]
    pub fn with_time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// A call of git that reads no configuration but the trusted directory's, and starts nothing.
    pub(super) fn call(&self, command: &'static str) -> Call {
        let mut process = self.process();
        process.env("GIT_ALLOW_PROTOCOL", "");
        for setting in CONFIG.iter().chain(NO_REMOTES) {
            process.arg("-c").arg(setting);
        }
        Call::new(command, process, self.time_limit)
    }

    /// A call of git that may reach remotes, as the operator's own configuration and these variables
    /// say. What it fetches is only ever stored.
    pub(super) fn reaching(&self, command: &'static str, reach: &Reach) -> Call {
        let mut process = self.process();
        process
            .env_remove("GIT_CONFIG_GLOBAL")
            .env_remove("XDG_CONFIG_HOME")
            .env("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh")
            .envs(reach.0.iter().map(|(name, value)| (name, value)));
        if !reach.0.iter().any(|(name, _)| name == "GIT_SSH_COMMAND") {
            // Nobody is there to be asked for a password.
            process.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes");
        }
        for setting in CONFIG {
            process.arg("-c").arg(setting);
        }
        Call::new(command, process, self.time_limit)
    }

    /// Git in an environment of its own.
    fn process(&self) -> Command {
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
            .env("GIT_PAGER", "cat")
            .env("GIT_EDITOR", "false")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        process
    }
}
