//! Makes a repository of files that are already there.

use std::path::Path;

use super::call::Call;
use super::oid::Oid;
use super::run::{Git, RunError};

/// Who commits what the program itself makes.
const AUTHOR: (&str, &str) = ("Recto", "recto@localhost");

impl Git {
    /// What the program says its version is.
    ///
    /// # Errors
    /// Git's reason.
    pub async fn version(&self) -> Result<String, RunError> {
        let bytes = self.call("version").read().await?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// Makes a repository in `root`, with everything in it as the first commit on `main`.
    ///
    /// # Errors
    /// Git's reason.
    pub async fn create_repository(&self, root: &Path, subject: &str) -> Result<Oid, RunError> {
        self.call("init")
            .dir(root)
            .args(["-q", "-b", "main"])
            .read()
            .await?;
        let inside = |command| -> Call {
            self.call(command)
                .dir(root)
                .env("GIT_AUTHOR_NAME", AUTHOR.0)
                .env("GIT_AUTHOR_EMAIL", AUTHOR.1)
                .env("GIT_COMMITTER_NAME", AUTHOR.0)
                .env("GIT_COMMITTER_EMAIL", AUTHOR.1)
                .option("--git-dir", &root.join(".git"))
                .option("--work-tree", root)
        };
        inside("add").args(["-A"]).read().await?;
        inside("commit").args(["-q", "-m", subject]).read().await?;
        inside("rev-parse").args(["HEAD"]).read_oid().await
    }
}
