//! Brings a result into the user's own work tree, by a merge of three sides.
//!
//! This is the user's git on the user's repository, as their own configuration says. The patch is
//! not the user's: git refuses paths that leave the work tree or lead into `.git`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::call::Call;
use super::run::{Git, Reach, RunError};

/// How far a result is brought in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Not at all: it is only tried.
    Try,
    /// If it fits without conflicts.
    Clean,
    /// In any case; conflicts are left in the files as git leaves them.
    WithConflicts,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// It is in the work tree and in the index, or would be.
    Cleanly,
    /// It does not fit cleanly. Nothing was touched, unless conflicts were asked for.
    Conflicts {
        /// Git's words, line by line.
        said: Vec<String>,
    },
    /// Files that it changes have changes that are not committed. Nothing was touched.
    Uncommitted {
        /// The files.
        files: Vec<PathBuf>,
    },
}

impl Git {
    /// Brings a patch, as git writes it with binary files whole, into the work tree in `root`.
    ///
    /// # Errors
    /// When the patch is none, or git's reason; nothing was touched then.
    pub async fn merge(
        &self,
        root: &Path,
        patch: &[u8],
        way: Merge,
        reach: &Reach,
    ) -> Result<Merged, RunError> {
        let user = |command| self.reaching(command, reach).dir(root);
        let files = touched(user("apply"), patch).await?;
        let dirty = uncommitted(user("diff-files"), &files).await?;
        if !dirty.is_empty() {
            return Ok(Merged::Uncommitted { files: dirty });
        }
        if way != Merge::WithConflicts {
            // On a copy of the index: there a conflict touches nothing.
            let index = self.copy_of_index(root, reach).await?;
            let call = user("apply").env("GIT_INDEX_FILE", index.path());
            let tried = apply(call, &["--cached", "--3way"], patch).await?;
            if way == Merge::Try || tried != Merged::Cleanly {
                return Ok(tried);
            }
        }
        apply(user("apply"), &["--3way"], patch).await
    }

    async fn copy_of_index(
        &self,
        root: &Path,
        reach: &Reach,
    ) -> Result<tempfile::NamedTempFile, RunError> {
        let call = self.reaching("rev-parse", reach).dir(root);
        let path = call.args(["--git-path", "index"]).read().await?;
        let path = path.strip_suffix(b"\n").unwrap_or(&path);
        let index = root.join(OsStr::from_bytes(path));
        let copied = tempfile::NamedTempFile::new_in(self.scratch()).and_then(|copy| {
            // A repository without an index has nothing in it.
            if index.exists() {
                std::fs::copy(&index, copy.path())?;
            }
            Ok(copy)
        });
        copied.map_err(|source| RunError::Start {
            command: "apply".to_owned(),
            source,
        })
    }
}

async fn apply(call: Call, way: &[&str], patch: &[u8]) -> Result<Merged, RunError> {
    let call = call
        .args(way)
        .args(["--binary", "--whitespace=nowarn", "-"]);
    match call.input(patch.to_vec()).read().await {
        Ok(_) => Ok(Merged::Cleanly),
        Err(RunError::Failed {
            code: Some(1),
            message,
            ..
        }) => Ok(Merged::Conflicts {
            said: message.lines().map(str::to_owned).collect(),
        }),
        Err(error) => Err(error),
    }
}

/// The files that a patch changes, as they are called before it.
async fn touched(call: Call, patch: &[u8]) -> Result<Vec<PathBuf>, RunError> {
    let call = call.args(["--numstat", "-z", "-"]);
    let listed = call.input(patch.to_vec()).read().await?;
    let entries = listed.split(|byte| *byte == 0);
    let path = |entry: &[u8]| {
        entry
            .splitn(3, |byte| *byte == b'\t')
            .nth(2)
            .map(<[u8]>::to_vec)
    };
    let paths = entries.filter_map(path).filter(|path| !path.is_empty());
    Ok(paths
        .map(|path| PathBuf::from(OsStr::from_bytes(&path)))
        .collect())
}

/// Those of some files that differ from the index.
async fn uncommitted(call: Call, files: &[PathBuf]) -> Result<Vec<PathBuf>, RunError> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let call = call.args(["--name-only", "-z", "--"]).args(files);
    let listed = call.read().await?;
    let paths = listed
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty());
    Ok(paths
        .map(|path| PathBuf::from(OsStr::from_bytes(path)))
        .collect())
}
