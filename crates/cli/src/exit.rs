//! Exit codes and how an error is told, decided in this one place.

use std::process::ExitCode;

use crate::output::safe::safe;
use crate::output::tell;

/// The work is done.
pub const DONE: u8 = 0;
/// The turn failed.
pub const FAILED: u8 = 1;
/// The command line, the configuration or the input can't be used.
pub const USAGE: u8 = 2;
/// A budget was used up.
pub const BUDGET: u8 = 3;
/// The machine lacks something: no cell, no disk, a locked session.
pub const UNAVAILABLE: u8 = 4;
/// Stopped by SIGINT; other signals add their number to 128 likewise.
pub const INTERRUPTED: u8 = 130;

/// An error that ends a command, with its exit code and what the user can do.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What happened and why.
    pub error: anyhow::Error,
    /// What the user can do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// The command line, the configuration or the input can't be used.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: USAGE,
            error: error.into(),
            hint: None,
        }
    }

    /// The machine lacks something.
    pub fn unavailable(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: UNAVAILABLE,
            error: error.into(),
            hint: None,
        }
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What happened and why, on one line.
    pub fn message(&self) -> String {
        let mut message = String::new();
        for cause in self.error.chain().map(ToString::to_string) {
            // Some errors have the text of their cause in their own.
            if message.ends_with(&cause) {
                continue;
            }
            if !message.is_empty() {
                message.push_str(": ");
            }
            message.push_str(&cause);
        }
        safe(&message)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            code: UNAVAILABLE,
            error,
            hint: None,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self {
            code: UNAVAILABLE,
            error: error.into(),
            hint: None,
        }
    }
}

/// Tells of a failure, and gives the process its exit code.
pub fn finish(result: Result<u8, Failure>) -> ExitCode {
    match result {
        Ok(code) => code.into(),
        Err(failure) => {
            tell(&format!("error: {}\n", failure.message()));
            if let Some(hint) = &failure.hint {
                tell(&format!("hint: {}\n", safe(hint)));
            }
            failure.code.into()
        }
    }
}
