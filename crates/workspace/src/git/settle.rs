//! Commits what is left in a work tree that is ours, once its cell has ended.

use super::call::Call;
use super::discover::Repository;
use super::oid::Oid;
use super::refs::Head;
use super::run::{Git, RunError};

/// Who commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// Their name.
    pub name: String,
    /// Their address.
    pub email: String,
}

impl Git {
    /// Commits a tree on top of what a repository has checked out, moves its branch there, and its
    /// index along. The repository's git directory must be one that no cell could ever write; its
    /// work tree is not touched. The tree's objects are in `objects`, or in the repository.
    ///
    /// # Errors
    /// When nothing is checked out, or git's reason.
    pub async fn commit_tree(
        &self,
        repository: &Repository,
        objects: &std::path::Path,
        tree: &Oid,
        author: &Author,
        message: &str,
    ) -> Result<Oid, RunError> {
        let unexpected = || RunError::Output {
            command: "commit-tree".to_owned(),
        };
        let head = repository.head().map_err(|_| unexpected())?;
        let Head::Branch { name, commit } = &head else {
            return Err(unexpected());
        };
        let parent = commit.as_ref().ok_or_else(unexpected)?;
        let call = |command| -> Call {
            self.call(command)
                .dir(&repository.git_dir)
                .option("--git-dir", &repository.git_dir)
        };
        // The new objects come in one pack: loose, they would stay where they were made.
        let reaching = |command| call(command).env("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects);
        let commit = reaching("commit-tree")
            .env("GIT_AUTHOR_NAME", &author.name)
            .env("GIT_AUTHOR_EMAIL", &author.email)
            .env("GIT_COMMITTER_NAME", &author.name)
            .env("GIT_COMMITTER_EMAIL", &author.email)
            .args(["-p", parent.as_str(), "-m", message, tree.as_str()])
            .read_oid()
            .await?;
        let list = format!("{commit}\n^{parent}\n");
        let pack = reaching("pack-objects")
            .args(["--revs", "--stdout", "-q", "--delta-base-offset"])
            .input(list.into_bytes())
            .read()
            .await?;
        call("index-pack")
            .args(["--stdin", "--fix-thin"])
            .input(pack)
            .read()
            .await?;
        call("update-ref")
            .args(["--", name.as_str(), commit.as_str(), parent.as_str()])
            .read()
            .await?;
        call("read-tree")
            .args(["--reset", commit.as_str()])
            .read()
            .await?;
        Ok(commit)
    }
}
