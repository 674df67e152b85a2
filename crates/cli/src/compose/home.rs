//! The user's environment, read in this one place.

use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// What the environment says about the user.
#[derive(Clone, Debug)]
pub struct Home {
    /// Where configuration and sessions live: `$RECTO_HOME`, else `~/.recto`.
    pub recto: PathBuf,
    /// The user's home directory.
    pub user: PathBuf,
    /// `PATH`.
    pub path: String,
}

impl Home {
    /// Reads `RECTO_HOME`, `HOME` and `PATH`.
    ///
    /// # Errors
    /// When there is neither `RECTO_HOME` nor `HOME`.
    pub fn find() -> Result<Self, Failure> {
        let user = variable("HOME").map(PathBuf::from);
        let recto = match (variable("RECTO_HOME"), &user) {
            (Some(home), _) => std::path::absolute(home)?,
            (None, Some(user)) => user.join(".recto"),
            (None, None) => {
                return Err(Failure::usage(anyhow::anyhow!("neither RECTO_HOME nor HOME is set"))
                    .hint("set RECTO_HOME to a directory for configuration and sessions"));
            }
        };
        Ok(Self {
            user: user.unwrap_or_else(|| recto.clone()),
            recto,
            path: variable("PATH").unwrap_or_default(),
        })
    }

    /// A file below the program's own directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.recto.join(name)
    }

    /// Where patches keep their journals.
    pub fn journals(&self) -> PathBuf {
        self.recto.join("journals")
    }

    /// Makes the program's own directory, readable by the user alone.
    ///
    /// # Errors
    /// The system's reason.
    pub fn make(&self) -> std::io::Result<()> {
        make_private(&self.recto)?;
        make_private(&self.journals())
    }
}

/// Makes a directory that only the user can read; parents too.
pub fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// An environment variable that is set, not empty, and text.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
