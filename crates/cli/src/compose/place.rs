//! Where the work happens: the directory, and the repository around it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use recto_workspace::git;

use crate::exit::Failure;

/// Where the work happens.
#[derive(Debug)]
pub struct Place {
    /// The working directory, absolute, without links.
    pub cwd: PathBuf,
    /// The repository's root, if there is a repository.
    pub repository: Option<git::Repository>,
}

impl Place {
    /// Finds the directory and its repository.
    ///
    /// # Errors
    /// When the directory does not exist, can't be named in UTF-8, or the repository is one that
    /// no work can be done in.
    pub fn find(directory: Option<&Path>) -> Result<Self, Failure> {
        let given = directory.unwrap_or(Path::new("."));
        let cwd = given
            .canonicalize()
            .with_context(|| format!("cannot work in {}", given.display()))
            .map_err(Failure::usage)?;
        if !cwd.is_dir() {
            return Err(Failure::usage(anyhow!(
                "{} is not a directory",
                cwd.display()
            )));
        }
        if cwd.to_str().is_none() {
            return Err(Failure::usage(anyhow!(
                "the path {} is not valid UTF-8",
                cwd.display()
            )));
        }
        let repository = git::discover(&cwd).map_err(Failure::usage)?;
        if repository
            .as_ref()
            .is_some_and(|repository| repository.root.is_none())
        {
            return Err(
                Failure::usage(anyhow!("{} is a bare repository", cwd.display()))
                    .hint("clone it and work in the clone: there are no files here to work on"),
            );
        }
        Ok(Self { cwd, repository })
    }

    /// The root of what may be changed: the repository's, else the directory itself.
    pub fn root(&self) -> &Path {
        self.repository
            .as_ref()
            .and_then(|found| found.root.as_deref())
            .unwrap_or(&self.cwd)
    }

    /// The commit that is checked out; none before the first one, or where it can't be read.
    pub fn head(&self) -> Option<String> {
        let commit = self.repository.as_ref()?.head_commit().ok()??;
        Some(commit.as_str().to_owned())
    }

    /// Whether a branch is checked out, as far as that can be read.
    pub fn is_on_branch(&self) -> bool {
        let head = self.repository.as_ref().map(git::Repository::head);
        !matches!(head, Some(Ok(git::Head::Detached(_))))
    }

    /// Refuses a place outside any repository, unless the user said that it is meant.
    ///
    /// # Errors
    /// When there is no repository.
    pub fn require_repository(&self, skip: bool) -> Result<(), Failure> {
        if skip || self.repository.is_some() {
            return Ok(());
        }
        Err(Failure::usage(anyhow!(
            "{} is not inside a git repository",
            self.cwd.display()
        ))
        .hint(
            "changes outside a repository can't be reviewed or taken back; run `git init` first, \
             or pass --skip-git-repo-check",
        ))
    }
}

/// A path as text. All paths that come here were checked to be UTF-8.
pub fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
