//! Whom the program runs as: the tester, or somebody without any rights.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A user and group that own nothing on the machine.
const ORDINARY: &str = "12345";

/// Whom the program runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Whoever runs the tests.
    Tester,
    /// An ordinary user; only root can become one.
    Ordinary,
}

impl User {
    /// All that can be had: root tests as an ordinary user too.
    pub fn all() -> Vec<Self> {
        let id = Command::new("id").arg("-u").output().unwrap();
        match id.stdout.trim_ascii() {
            b"0" => vec![Self::Tester, Self::Ordinary],
            _ => vec![Self::Tester],
        }
    }

    /// Makes this user the owner of a directory and everything below.
    pub fn take(self, path: &Path) {
        if self == Self::Ordinary {
            let owner = format!("{ORDINARY}:{ORDINARY}");
            let status = Command::new("chown")
                .args(["-R", "-h", &owner])
                .arg(path)
                .status();
            assert!(status.unwrap().success());
        }
    }

    /// A command of this program, run as this user.
    pub(crate) fn command(self, program: &Path) -> Command {
        match self {
            Self::Tester => Command::new(program),
            Self::Ordinary => {
                let mut command = Command::new("setpriv");
                command
                    .args([
                        "--reuid",
                        ORDINARY,
                        "--regid",
                        ORDINARY,
                        "--clear-groups",
                        "--",
                    ])
                    .arg(program);
                command
            }
        }
    }

    /// The binary under test, where this user can reach it.
    pub(crate) fn program(self) -> (PathBuf, Option<TempDir>) {
        let binary = crate::binary();
        if self == Self::Tester {
            return (binary, None);
        }
        let dir = tempfile::tempdir().unwrap();
        let reachable = dir.path().join("recto");
        std::fs::copy(&binary, &reachable).unwrap();
        self.take(dir.path());
        (reachable, Some(dir))
    }
}
