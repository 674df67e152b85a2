//! Kept cells: cells that outlive the command that made them, each held by a keeper process.
//!
//! `$RECTO_HOME/cells` has one directory for each, with `cell.json`, the keeper's socket and its log.
//! The keeper holds a lock on `cell.json` for as long as it lives: who can have the lock knows that
//! the keeper is gone, whatever its process id means by now. Directories are made and removed under
//! a lock on `cells` itself.

mod claim;
mod kept;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::home::Home;
use crate::exit::Failure;

pub use claim::{Claim, NotClaimed, Watch};
pub use kept::Kept;

/// The file that says what a cell is.
const RECORD: &str = "cell.json";
/// The keeper's socket.
const SOCKET: &str = "socket";
/// Longest name.
const MAX_NAME: usize = 64;
/// More than any record has.
const MAX_RECORD: u64 = 1 << 20;

/// What a kept cell is, as its `cell.json` says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Eight hexadecimal digits.
    pub id: String,
    /// The name that the user gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The keeper.
    pub pid: u32,
    /// When it was made.
    pub created: jiff::Timestamp,
    /// The root of the work tree.
    pub work_tree: PathBuf,
    /// Where commands start.
    pub cwd: PathBuf,
    /// What commands may do.
    pub policy: recto_protocol::policy::Policy,
    /// How it is isolated.
    pub backend: String,
    /// Seconds without a command after which it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_secs: Option<u64>,
}

impl Record {
    /// What the user calls it.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }
}

/// The kept cells of one user.
#[derive(Clone, Debug)]
pub struct Cells {
    dir: PathBuf,
}

impl Cells {
    /// Those below the program's own directory.
    pub fn of(home: &Home) -> Self {
        Self::below(&home.recto)
    }

    /// Those below a directory like it.
    pub fn below(recto: &Path) -> Self {
        Self {
            dir: recto.join("cells"),
        }
    }

    /// Those whose keeper lives, oldest first.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub fn list(&self) -> Result<Vec<Kept>, Failure> {
        let mut kept: Vec<Kept> = self
            .directories()
            .with_context(|| format!("cannot look into {}", self.dir.display()))?
            .into_iter()
            .filter(|dir| is_held(dir))
            // Without a record it is being made or removed.
            .filter_map(|dir| Some(Kept::new(read(&dir)?, dir)))
            .collect();
        kept.sort_by_key(|kept| kept.record.created);
        Ok(kept)
    }

    /// The cell that the user means: by its name, else by the beginning of its id.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn find(&self, given: &str) -> Result<Kept, Failure> {
        let mut list = self.list()?;
        if let Some(at) = list
            .iter()
            .position(|kept| kept.record.name.as_deref() == Some(given))
        {
            return Ok(list.swap_remove(at));
        }
        list.retain(|kept| !given.is_empty() && kept.record.id.starts_with(given));
        match list.pop() {
            Some(kept) if list.is_empty() => Ok(kept),
            Some(_) => Err(Failure::usage(anyhow!(
                "the ids of several cells begin with {given:?}"
            ))
            .hint("give more of the id")),
            None => Err(Failure::usage(anyhow!("there is no cell {given:?}"))
                .hint("`recto cell ls` shows what there is, `recto cell new` makes one")),
        }
    }

    /// Removes what cells have left whose keeper is gone, and tells which. Does nothing while
    /// another process does it.
    pub fn reap(&self) -> Vec<Record> {
        let registry = self.lock(FlockOperation::NonBlockingLockExclusive);
        registry.map_or_else(|_| Vec::new(), |registry| self.reap_with(&registry))
    }

    fn reap_with(&self, _registry: &File) -> Vec<Record> {
        let mut reaped = Vec::new();
        for dir in self.directories().unwrap_or_default() {
            if is_held(&dir) {
                continue;
            }
            let record = read(&dir);
            // What can't be removed now is tried again the next time.
            if remove(&dir).is_ok() {
                reaped.extend(record);
            }
        }
        reaped
    }

    fn directories(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let dirs = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        Ok(dirs.map(|entry| entry.path()).collect())
    }

    /// Locks the making and removing of directories until the file is dropped.
    fn lock(&self, how: FlockOperation) -> io::Result<File> {
        let file = File::open(&self.dir)?;
        rustix::fs::flock(&file, how)?;
        Ok(file)
    }
}

/// Whether a keeper holds the directory.
fn is_held(dir: &Path) -> bool {
    // Shared, so that two who ask don't take each other for a keeper.
    File::open(dir.join(RECORD)).is_ok_and(|file| {
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared)
            == Err(rustix::io::Errno::WOULDBLOCK)
    })
}

fn read(dir: &Path) -> Option<Record> {
    use std::io::Read as _;
    let mut text = Vec::new();
    let file = super::home::open_regular(&dir.join(RECORD)).ok()?;
    file.take(MAX_RECORD).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Removes a cell's directory. Somebody else may be removing it too.
fn remove(dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A name as the command line gives it.
///
/// # Errors
/// What a name may be.
pub fn name(given: &str) -> Result<String, String> {
    let is_lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = given.bytes().next().is_some_and(is_lower)
        && given.len() <= MAX_NAME
        && given
            .bytes()
            .all(|byte| is_lower(byte) || b"._-".contains(&byte));
    if fits {
        return Ok(given.to_owned());
    }
    Err(format!(
        "a name has 1 to {MAX_NAME} small letters, digits, dots, hyphens and underscores, and \
         begins with a letter or a digit"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_paths_or_options_are_refused() {
        for good in ["a", "web-1", "9.x_y", &"a".repeat(64)] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            ".",
            "..",
            "-a",
            "_a",
            "a/b",
            "A",
            "ä",
            "a b",
            "a\n",
            &"a".repeat(65),
        ] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_nobody_holds_is_reaped_and_what_is_being_made_is_not() {
        let home = tempfile::tempdir().unwrap();
        let cells = Cells::below(home.path());
        assert!(cells.reap().is_empty());
        let left = cells.dir.join("0badf00d");
        std::fs::create_dir_all(left.join("layer/deep")).unwrap();
        std::os::unix::fs::symlink("/etc", left.join("layer/link")).unwrap();
        let making = cells
            .lock(FlockOperation::NonBlockingLockExclusive)
            .unwrap();
        cells.reap();
        assert!(left.exists());
        drop(making);
        cells.reap();
        assert!(!left.exists() && Path::new("/etc/passwd").exists());
    }
}
