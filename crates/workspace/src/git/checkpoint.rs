//! Checkpoints: the whole work tree as a tree object.
//!
//! Not `git add --all`: that starts `git status` inside nested repositories, with their own
//! configuration. The changed paths are listed, looked at here, and given to `update-index`.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::call::Call;
use super::oid::Oid;
use super::refs::Head;
use super::run::RunError;
use super::trusted::{Pending, Trusted};

const EMPTY: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
const EMPTY_SHA256: &str = "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321";

/// The whole work tree at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its tree; the object is in the trusted directory.
    pub tree: Oid,
    /// What the tree lacks. Of files that were tracked, it holds an older state.
    pub skipped: Vec<Skipped>,
}

/// A path that a checkpoint lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The path, relative to the work tree.
    pub path: PathBuf,
    /// Why.
    pub reason: SkipReason,
}

/// Why a checkpoint lacks a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// It is a repository of its own.
    Repository,
    /// It is larger than checkpoints take.
    TooLarge,
    /// It may not be read.
    Unreadable,
    /// It is a pipe, a socket or a device.
    Special,
}

/// Why a checkpoint could not be written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A bare repository has no work tree.
    #[error("a bare repository has no work tree")]
    Bare,
    /// The system refused.
    #[error("cannot look at the work tree")]
    Look(#[source] io::Error),
    /// Git refused.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Trusted {
    /// Writes the tree of the whole work tree, untracked files that are not ignored included.
    ///
    /// # Errors
    /// For a bare repository, or git's or the system's reason.
    pub async fn work_tree_tree(&mut self) -> Result<Checkpoint, CheckpointError> {
        // A cell may change files while they are read: what vanished between listing and reading
        // is gone from the next list.
        match self.attempt().await {
            Err(CheckpointError::Run(RunError::Failed { .. })) => self.attempt().await,
            result => result,
        }
    }

    /// Whether the work tree is what HEAD's commit holds, without further files.
    ///
    /// # Errors
    /// As [`Trusted::work_tree_tree`].
    pub async fn status_clean(&mut self, head: &Head) -> Result<bool, CheckpointError> {
        let checkpoint = self.work_tree_tree().await?;
        if !checkpoint.skipped.is_empty() {
            return Ok(false);
        }
        let tree = match head.commit() {
            Some(commit) => self.tree_of(commit).await?,
            None => self.empty_tree(),
        };
        Ok(tree == checkpoint.tree)
    }

    /// Whether the work tree differs from the index, by changed, removed or further files that are
    /// not ignored. Opened with [`Seed::Head`](super::Seed::Head), that is whether something is not
    /// committed. Writes no object and ends with the first difference.
    ///
    /// # Errors
    /// For a bare repository, or git's reason.
    pub async fn has_changes(&mut self) -> Result<bool, CheckpointError> {
        self.read_head().await?;
        let listed = self
            .on_tree("ls-files")?
            .args([
                "-z",
                "--modified",
                "--deleted",
                "--others",
                "--exclude-standard",
            ])
            .limit(0)
            .read_some(&[0])
            .await?;
        Ok(listed.cut)
    }

    /// The tree of nothing, which git knows without having it: the base of a first commit.
    pub fn empty_tree(&self) -> Oid {
        empty_tree(self.sha256)
    }

    async fn attempt(&mut self) -> Result<Checkpoint, CheckpointError> {
        // The index is used by this value alone: a lock is what a killed call left behind.
        let _ = fs::remove_file(self.dir().join("index.lock"));
        self.fill().await?;
        let root = self.root.clone().ok_or(CheckpointError::Bare)?;
        let listed = self
            .on_tree("ls-files")?
            .args(["-z", "-t", "--modified", "--others", "--exclude-standard"])
            .read()
            .await?;
        let limit = self.options.max_file_bytes;
        let sorted = tokio::task::spawn_blocking(move || sort(&root, &listed, limit));
        let (input, skipped) = sorted
            .await
            .map_err(|error| CheckpointError::Look(io::Error::other(error)))?;
        if let (true, Some(tree)) = (input.is_empty(), &self.last) {
            return Ok(Checkpoint {
                tree: tree.clone(),
                skipped,
            });
        }
        if !input.is_empty() {
            // From here on the index may say something else, even when the call fails.
            self.last = None;
            self.on_tree("update-index")?
                .args(["-z", "--add", "--remove", "--replace", "--stdin"])
                .input(input)
                .read()
                .await?;
        }
        // Objects may be missing in a partial clone; nothing is fetched for a checkpoint.
        let tree = self
            .on_tree("write-tree")?
            .args(["--missing-ok"])
            .read_oid()
            .await?;
        self.last = Some(tree.clone());
        Ok(Checkpoint { tree, skipped })
    }

    /// Does what the index needs before its first use.
    async fn fill(&mut self) -> Result<(), CheckpointError> {
        if self.pending == Pending::Nothing {
            return Ok(());
        }
        self.read_head().await?;
        // Its exit code is 1 when files differ, which is no failure here.
        self.on_tree("update-index")?
            .args(["-q", "--ignore-submodules", "--refresh"])
            .read_some(&[0, 1])
            .await?;
        self.pending = Pending::Nothing;
        Ok(())
    }

    /// Reads the commit's tree into the index, if that is what it is to hold.
    async fn read_head(&mut self) -> Result<(), CheckpointError> {
        if let Pending::Commit(commit) = &self.pending {
            self.objects("read-tree")
                .args([commit.as_str()])
                .read()
                .await?;
            self.pending = Pending::Refresh;
        }
        Ok(())
    }

    fn on_tree(&self, command: &'static str) -> Result<Call, CheckpointError> {
        self.work_tree(command).ok_or(CheckpointError::Bare)
    }
}

/// The tree of nothing, by its name.
pub(super) fn empty_tree(sha256: bool) -> Oid {
    let text = if sha256 { EMPTY_SHA256 } else { EMPTY };
    Oid::parse(text).unwrap_or_else(|| unreachable!("both constants are object names"))
}

/// Sorts listed paths into those that git is to take in or to drop, and those to skip.
///
/// Tracked paths go first: a file that became a directory must be dropped while the index has it.
fn sort(root: &Path, listed: &[u8], limit: u64) -> (Vec<u8>, Vec<Skipped>) {
    let (mut input, mut skipped) = (Vec::new(), Vec::new());
    // Each path has a tag and a space before it; untracked ones have a question mark.
    let lines = listed
        .split(|byte| *byte == 0)
        .filter(|line| line.len() > 2);
    let (others, tracked): (Vec<&[u8]>, Vec<&[u8]>) = lines.partition(|line| line[0] == b'?');
    for path in tracked.into_iter().chain(others).map(|line| &line[2..]) {
        let verdict = if path.ends_with(b"/") {
            Some(SkipReason::Repository)
        } else {
            look(&root.join(OsStr::from_bytes(path)), limit)
        };
        match verdict {
            None => {
                input.extend(path);
                input.push(0);
            }
            Some(reason) => {
                let path = PathBuf::from(OsStr::from_bytes(path));
                skipped.push(Skipped { path, reason });
            }
        }
    }
    (input, skipped)
}

/// Why git should not be given a path; none when it should, because it can read it or because it
/// is gone.
fn look(path: &Path, limit: u64) -> Option<SkipReason> {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return None;
    };
    let kind = meta.file_type();
    if kind.is_symlink() || kind.is_dir() {
        // A directory stands where a file was, or is a submodule, of which git notes the commit.
        return None;
    }
    if !kind.is_file() {
        return Some(SkipReason::Special);
    }
    if meta.len() > limit {
        return Some(SkipReason::TooLarge);
    }
    let readable = accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS).is_ok();
    (!readable).then_some(SkipReason::Unreadable)
}
