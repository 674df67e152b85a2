//! Reads HEAD from reftables: a copy of them in a git directory of our own, read by git.

use std::fs;
use std::io;
use std::path::Path;

use super::discover::{Repository, limited_file};
use super::oid::Oid;
use super::refs::{Head, HeadError, is_ref_name};
use super::run::{Git, RunError};

/// Largest table that is copied.
const TABLE: u64 = 256 << 20;
/// Most tables of one stack; git merges them long before.
const TABLES: usize = 4096;

impl Git {
    /// Reads HEAD, however the repository keeps its references. Only reftables take a process.
    ///
    /// # Errors
    /// As [`Repository::head`], or git's reason.
    pub async fn head(&self, repository: &Repository) -> Result<Head, HeadError> {
        match repository.head() {
            Err(HeadError::Reftable(_)) => self.reftable_head(repository).await,
            head => head,
        }
    }

    async fn reftable_head(&self, repository: &Repository) -> Result<Head, HeadError> {
        // HEAD is in the work tree's own stack, branches are in the common one.
        let own = copy(&repository.git_dir, self.scratch())?;
        let call = |dir: &Path, command| self.call(command).dir(dir).option("--git-dir", dir);
        let symbolic = call(own.path(), "symbolic-ref").args(["--quiet", "HEAD"]);
        // Exit code 1: HEAD is a commit.
        let name = symbolic.read_some(&[0, 1]).await?.bytes;
        let name = String::from_utf8_lossy(&name).trim_end().to_owned();
        if name.is_empty() {
            let commit = resolve(call(own.path(), "rev-parse"), "HEAD").await?;
            let path = repository.git_dir.join("HEAD");
            return commit.map(Head::Detached).ok_or(HeadError::Malformed(path));
        }
        if !is_ref_name(&name) {
            return Err(HeadError::Malformed(repository.git_dir.join("HEAD")));
        }
        let common = copy(&repository.common_dir, self.scratch())?;
        let commit = resolve(call(common.path(), "rev-parse"), &name).await?;
        Ok(Head::Branch { name, commit })
    }
}

async fn resolve(call: super::call::Call, name: &str) -> Result<Option<Oid>, RunError> {
    let call = call.args(["--quiet", "--verify", "--end-of-options", name]);
    // Exit code 1: there is no such reference.
    let bytes = call.read_some(&[0, 1]).await?.bytes;
    Ok(Oid::parse(String::from_utf8_lossy(&bytes).trim_end()))
}

/// A git directory of our own with a copy of the tables.
pub(super) fn copy(git_dir: &Path, scratch: &Path) -> Result<tempfile::TempDir, HeadError> {
    let failed = |source: io::Error| HeadError::Read {
        path: git_dir.join("reftable"),
        source,
    };
    let temp = tempfile::Builder::new()
        .prefix("recto-refs-")
        .tempdir_in(scratch)
        .map_err(failed)?;
    let write = |name: &str, bytes: &[u8]| fs::write(temp.path().join(name), bytes);
    let config = |format: &str| {
        format!(
            "[core]\nrepositoryFormatVersion = 1\nbare = true\n[extensions]\nrefStorage = reftable\nobjectFormat = {format}\n"
        )
    };
    for dir in ["objects", "refs", "reftable"] {
        fs::create_dir(temp.path().join(dir)).map_err(failed)?;
    }
    write("HEAD", b"ref: refs/heads/.invalid\n").map_err(failed)?;
    write("refs/heads", b"this repository uses the reftable format\n").map_err(failed)?;
    let mut format = "sha1";
    for entry in fs::read_dir(git_dir.join("reftable"))
        .map_err(failed)?
        .take(TABLES)
    {
        let entry = entry.map_err(failed)?;
        let bytes = limited_file(&entry.path(), TABLE).map_err(failed)?;
        // Version 2 tables exist for SHA-256 only.
        if bytes.starts_with(b"REFT\x02") {
            format = "sha256";
        }
        let to = temp.path().join("reftable").join(entry.file_name());
        fs::write(to, bytes).map_err(failed)?;
    }
    write("config", config(format).as_bytes()).map_err(failed)?;
    Ok(temp)
}
