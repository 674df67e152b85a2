//! Reads HEAD and branches from their files, without a process.

use std::io;
use std::path::{Path, PathBuf};

use super::discover::{Repository, limited_file, small_file};
use super::oid::Oid;

/// How many symbolic references may lead to each other, as in git.
const DEPTH: usize = 5;
/// Largest list of packed references that is read: about a million.
const PACKED: u64 = 128 << 20;

/// What HEAD says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// A branch is checked out.
    Branch {
        /// Its full name, `refs/heads/…`.
        name: String,
        /// Its commit; none while it has none.
        commit: Option<Oid>,
    },
    /// A commit is checked out, no branch.
    Detached(Oid),
}

impl Head {
    /// The commit that is checked out; none on a branch without any.
    pub fn commit(&self) -> Option<&Oid> {
        match self {
            Self::Branch { commit, .. } => commit.as_ref(),
            Self::Detached(commit) => Some(commit),
        }
    }
}

/// Why HEAD could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The repository keeps references in reftables; [`super::Git::head`] reads those.
    #[error("{} keeps its references in reftables", .0.display())]
    Reftable(PathBuf),
    /// HEAD or a reference holds something else.
    #[error("{} is not a reference", .0.display())]
    Malformed(PathBuf),
    /// The system refused.
    #[error("cannot read {}", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Git refused to read reftables.
    #[error(transparent)]
    Run(#[from] super::RunError),
}

impl Repository {
    /// Reads HEAD. Takes microseconds.
    ///
    /// # Errors
    /// When HEAD is no reference, or kept in reftables, or the system's reason.
    pub fn head(&self) -> Result<Head, HeadError> {
        let path = self.git_dir.join("HEAD");
        // HEAD as a symlink to a branch's file is how git began.
        if let Ok(target) = std::fs::read_link(&path) {
            let name = target.to_str().filter(|name| is_ref_name(name));
            let name = name.ok_or(HeadError::Malformed(path))?;
            return self.branch(name.to_owned());
        }
        let text = small_file(&path).map_err(|source| read_error(&path, source))?;
        match parse(&text).ok_or_else(|| HeadError::Malformed(path.clone()))? {
            Value::Commit(commit) => Ok(Head::Detached(commit)),
            Value::Symbolic(_) if self.common_dir.join("reftable").is_dir() => {
                Err(HeadError::Reftable(self.common_dir.clone()))
            }
            Value::Symbolic(name) => self.branch(name),
        }
    }

    /// The commit that is checked out; none on a branch without any.
    ///
    /// # Errors
    /// As [`Repository::head`].
    pub fn head_commit(&self) -> Result<Option<Oid>, HeadError> {
        Ok(self.head()?.commit().cloned())
    }

    fn branch(&self, name: String) -> Result<Head, HeadError> {
        let commit = self.resolve(&name)?;
        Ok(Head::Branch { name, commit })
    }

    /// Follows a reference to its commit; none when there is no such reference.
    fn resolve(&self, name: &str) -> Result<Option<Oid>, HeadError> {
        let mut name = name.to_owned();
        for _ in 0..DEPTH {
            let path = self.ref_path(&name);
            let text = match small_file(&path) {
                Ok(text) => text,
                // A directory stands there when only `name/…` exists loose.
                Err(_) if !path.is_file() => return self.packed(&name),
                Err(source) => return Err(read_error(&path, source)),
            };
            match parse(&text).ok_or(HeadError::Malformed(path))? {
                Value::Commit(commit) => return Ok(Some(commit)),
                Value::Symbolic(next) => name = next,
            }
        }
        Err(HeadError::Malformed(self.ref_path(&name)))
    }

    /// References of one work tree are in its own directory, all others are shared.
    fn ref_path(&self, name: &str) -> PathBuf {
        let own = ["refs/bisect/", "refs/worktree/", "refs/rewritten/"];
        let base = if own.iter().any(|prefix| name.starts_with(prefix)) {
            &self.git_dir
        } else {
            &self.common_dir
        };
        base.join(name)
    }

    fn packed(&self, name: &str) -> Result<Option<Oid>, HeadError> {
        let path = self.common_dir.join("packed-refs");
        let bytes = match limited_file(&path, PACKED) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(read_error(&path, source)),
        };
        let found = bytes.split(|byte| *byte == b'\n').find_map(|line| {
            let line = line.strip_suffix(name.as_bytes())?.strip_suffix(b" ")?;
            Oid::parse(std::str::from_utf8(line).ok()?)
        });
        Ok(found)
    }
}

enum Value {
    Commit(Oid),
    Symbolic(String),
}

fn parse(text: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(text).ok()?;
    match text.strip_prefix("ref:") {
        Some(name) => {
            let name = name.trim();
            is_ref_name(name).then(|| Value::Symbolic(name.to_owned()))
        }
        None => Oid::parse(text.split_whitespace().next()?).map(Value::Commit),
    }
}

/// Whether a name stays below `refs/`: a hostile HEAD must not make us read other files.
pub(super) fn is_ref_name(name: &str) -> bool {
    name.starts_with("refs/")
        && name
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
        && !name.contains(|char: char| char.is_control())
}

fn read_error(path: &Path, source: io::Error) -> HeadError {
    HeadError::Read {
        path: path.to_owned(),
        source,
    }
}
