//! The user's environment, read in this one place.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
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
        let user = variable("HOME")
            .map(PathBuf::from)
            .or_else(home_of_this_user);
        let recto = match (variable("RECTO_HOME"), &user) {
            (Some(home), _) => std::path::absolute(home)?,
            (None, Some(user)) => user.join(".recto"),
            (None, None) => {
                return Err(
                    Failure::usage(anyhow::anyhow!("neither RECTO_HOME nor HOME is set"))
                        .hint("set RECTO_HOME to a directory for configuration and sessions"),
                );
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
        if self.recto.metadata().is_ok_and(|meta| !meta.is_dir()) {
            return Err(std::io::Error::other(
                "a file is in its place; move it, or set RECTO_HOME",
            ));
        }
        make_private(&self.recto)?;
        make_private(&self.journals())
    }
}

/// The home directory that the system's user table names, for programs that start this one with
/// hardly any environment.
fn home_of_this_user() -> Option<PathBuf> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let table = std::fs::read_to_string("/etc/passwd").ok()?;
    let home = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(2) == Some(&uid.as_str()))
            .then(|| fields.get(5).copied())
            .flatten()
    })?;
    Some(PathBuf::from(home)).filter(|home| home.is_absolute())
}

/// Makes a directory that only the user can read; parents too.
pub fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Opens a regular file for reading. Anything else is refused at once: opening a pipe would wait for
/// a writer, and a device may never end.
///
/// # Errors
/// The system's reason, or that it is no regular file.
pub fn open_regular(path: &Path) -> std::io::Result<File> {
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = File::options()
        .read(true)
        .custom_flags(nonblock)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    Ok(file)
}

/// An environment variable that is set, not empty, and text.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
