//! Who commits: name and address from the user's and the repository's configuration.

use std::path::{Path, PathBuf};

use super::discover::Repository;
use super::run::{Git, RunError};

/// Most bytes of a configuration that are looked at before git is asked.
const MOST_CONFIG: u64 = 64 << 10;

/// Who commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `user.name`.
    pub name: Option<String>,
    /// `user.email`.
    pub email: Option<String>,
}

/// Where the user's own configuration is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConfig {
    /// The home directory.
    pub home: PathBuf,
    /// `XDG_CONFIG_HOME`, where set.
    pub xdg_config_home: Option<PathBuf>,
}

/// Reads who commits: the repository's word before the user's.
///
/// The user's own configuration is trusted and read with what it includes. Of the repository's,
/// the two values are taken without following any include, as plain text and nothing more.
///
/// # Errors
/// Git's reason. A configuration that is not there or cannot be read is no error.
pub async fn identity(
    git: &Git,
    user: &UserConfig,
    repository: Option<&Repository>,
) -> Result<Identity, RunError> {
    let xdg = user
        .xdg_config_home
        .clone()
        .unwrap_or_else(|| user.home.join(".config"));
    // One call per file, since `--global` passes over one where the other exists.
    let files = [xdg.join("git/config"), user.home.join(".gitconfig")];
    let mut found = Identity::default();
    for file in files {
        found = read(git, user, &file, "--includes").await?.over(found);
    }
    if let Some(repository) = repository {
        let file = repository.common_dir.join("config");
        found = read(git, user, &file, "--no-includes").await?.over(found);
    }
    Ok(found)
}

/// Whether a configuration certainly names no user: most repositories' do not, and a process less
/// is milliseconds less before the first request.
fn says_nothing_of_users(file: &Path) -> bool {
    let Ok(bytes) = super::discover::limited_file(file, MOST_CONFIG) else {
        return false;
    };
    let text = bytes.to_ascii_lowercase();
    let holds = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
    (bytes.len() as u64) < MOST_CONFIG && !holds(b"user") && !holds(b"include")
}

async fn read(
    git: &Git,
    user: &UserConfig,
    file: &Path,
    includes: &str,
) -> Result<Identity, RunError> {
    // Else git would wait on a FIFO for good, and call a missing file a failure.
    if !file.is_file() || says_nothing_of_users(file) {
        return Ok(Identity::default());
    }
    let call = git
        .call("config")
        // No repository is looked for; `~` in the user's includes is the user's home.
        .env("GIT_DIR", "/dev/null")
        .env("HOME", &user.home)
        .args(["--file".as_ref(), file.as_os_str()])
        .args([includes, "--null", "--get-regexp", "^user\\.(name|email)$"])
        .limit(64 << 10);
    // 1: no such key. 3 and 128: a file that git cannot read, which decides nothing.
    let output = call.read_some(&[0, 1, 3, 128]).await?;
    let mut identity = Identity::default();
    for entry in String::from_utf8_lossy(&output.bytes).split('\0') {
        match entry.split_once('\n') {
            Some(("user.name", value)) => identity.name = plain(value),
            Some(("user.email", value)) => identity.email = plain(value),
            _ => {}
        }
    }
    Ok(identity)
}

/// A value without what could end a header of a commit or an environment variable.
fn plain(value: &str) -> Option<String> {
    let value: String = value
        .chars()
        .filter(|char| !char.is_control() && !matches!(char, '<' | '>'))
        .take(256)
        .collect();
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

impl Identity {
    fn over(self, other: Self) -> Self {
        Self {
            name: self.name.or(other.name),
            email: self.email.or(other.email),
        }
    }
}
