//! The trusted git directory: ours, with the repository's objects and nothing else of it.

use std::io;
use std::path::{Path, PathBuf};

use super::call::Call;
use super::discover::Repository;
use super::oid::Oid;
use super::run::{Git, RunError};
use super::{HeadError, prepare};

/// A git directory that only we write, for working on one repository.
///
/// Objects that it makes stay in it; nothing in the repository is written. Git only renews the
/// time of an object there that it would have written itself.
pub struct Trusted {
    pub(super) git: Git,
    pub(super) root: Option<PathBuf>,
    pub(super) options: OpenOptions,
    /// What the index is to be filled from before its first use.
    pub(super) pending: Pending,
    /// The last tree that was written, and still is what the index says.
    pub(super) last: Option<Oid>,
    pub(super) sha256: bool,
    dir: PathBuf,
    _temp: Option<tempfile::TempDir>,
}

/// What is left to do before the index can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    /// Read this commit's tree into it.
    Commit(Oid),
    /// Bring its file times up to date.
    Refresh,
    /// Nothing.
    Nothing,
}

/// How to open a trusted directory.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// What the index is filled from.
    pub seed: Seed,
    /// The user's own list of files to ignore, besides those of the repository.
    pub excludes_file: Option<PathBuf>,
    /// Further directories with objects, for example the upper layer of a cell's `.git`.
    pub more_objects: Vec<PathBuf>,
    /// Files larger than this are left out of checkpoints.
    pub max_file_bytes: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            seed: Seed::Index,
            excludes_file: None,
            more_objects: Vec::new(),
            max_file_bytes: 100 << 20,
        }
    }
}

/// What a new trusted directory's index is filled from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seed {
    /// The repository's index: only files that changed since are hashed. Right as long as no cell
    /// could write it, since an index can claim contents for a file that it does not have.
    Index,
    /// The commit that is checked out: every file is hashed once.
    Head,
}

/// Why a trusted directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The repository's HEAD cannot be read.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The system refused.
    #[error("cannot write {}", path.display())]
    Write {
        /// What was written.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Trusted {
    /// Opens the trusted directory `dir` for a repository, making what is missing. An index that
    /// is there already is kept, whatever the seed.
    ///
    /// Starts no process. Open it before a cell runs, and no cell may reach `dir`.
    ///
    /// # Errors
    /// When HEAD cannot be read, or the system's reason.
    pub fn open(
        git: &Git,
        repository: &Repository,
        dir: &Path,
        options: OpenOptions,
    ) -> Result<Self, OpenError> {
        Self::make(git, repository, dir, options, None)
    }

    /// Opens a trusted directory that is removed with the value.
    ///
    /// # Errors
    /// As [`Trusted::open`].
    pub fn temporary(
        git: &Git,
        repository: &Repository,
        options: OpenOptions,
    ) -> Result<Self, OpenError> {
        let temp = tempfile::Builder::new()
            .prefix("recto-git-")
            .tempdir_in(git.scratch())
            .map_err(|source| OpenError::Write {
                path: git.scratch().to_owned(),
                source,
            })?;
        let dir = temp.path().to_owned();
        Self::make(git, repository, &dir, options, Some(temp))
    }

    fn make(
        git: &Git,
        repository: &Repository,
        dir: &Path,
        options: OpenOptions,
        temp: Option<tempfile::TempDir>,
    ) -> Result<Self, OpenError> {
        let head = match repository.head_commit() {
            // Only the seed asks for it; an index serves as well.
            Err(HeadError::Reftable(_)) => None,
            head => head?,
        };
        let sha256 = prepare::is_sha256(repository, head.as_ref());
        prepare::directory(repository, dir, &options.more_objects, sha256)?;
        let pending = prepare::seed(repository, dir, options.seed, head, sha256)?;
        Ok(Self {
            git: git.clone(),
            root: repository.root.clone(),
            options,
            pending,
            last: None,
            sha256,
            dir: dir.to_owned(),
            _temp: temp,
        })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A call that sees objects only: no work tree, hence no attributes that could turn a text
    /// into a binary file and hide what changed in it.
    pub(super) fn objects(&self, command: &'static str) -> Call {
        self.git
            .call(command)
            .dir(&self.dir)
            .option("--git-dir", &self.dir)
    }

    /// A call that sees the work tree; none for a bare repository.
    pub(super) fn work_tree(&self, command: &'static str) -> Option<Call> {
        let root = self.root.as_ref()?;
        // From the root, since git looks for files that a sparse checkout left out from where it
        // was started. Nothing is looked up there: the search path is absolute.
        let call = self
            .git
            .call(command)
            .dir(root)
            .option("--git-dir", &self.dir)
            .option("--work-tree", root);
        Some(match &self.options.excludes_file {
            Some(path) => {
                let mut setting = std::ffi::OsString::from("core.excludesFile=");
                setting.push(path);
                call.config(setting)
            }
            None => call.config("core.excludesFile=/dev/null"),
        })
    }

    /// The tree of a commit (or of a tree, which is itself).
    ///
    /// # Errors
    /// When there is no such object, or git's reason.
    pub async fn tree_of(&self, commit: &Oid) -> Result<Oid, RunError> {
        self.objects("rev-parse")
            .args([
                "--verify",
                "--end-of-options",
                &format!("{commit}^{{tree}}"),
            ])
            .read_oid()
            .await
    }
}
