//! The harness's own git, and what it tells of a session's work.

use anyhow::{Context as _, anyhow};
use recto_workspace::git::{
    Commit, DiffOptions, Git, Oid, OpenOptions, Repository, Trusted, UserConfig, identity,
};

use super::home::{Home, variable};
use crate::exit::Failure;

/// Who commits when nobody is configured.
const NOBODY: (&str, &str) = ("Recto", "recto@localhost");
/// Most bytes of a diff that are shown.
const MOST_DIFF: u64 = 1 << 20;
/// Most commits that are counted.
const MOST_COMMITS: u32 = 200;

/// Finds git.
///
/// # Errors
/// When there is none.
pub fn find(home: &Home) -> Result<Git, Failure> {
    Git::find(home.path.as_ref()).ok_or_else(|| {
        Failure::unavailable(anyhow!("git is not installed"))
            .hint("install it, for example with `apt-get install git`")
    })
}

/// Variables that give commits made inside a cell their author: the user's own configuration is
/// not visible there.
pub async fn author(home: &Home, repository: Option<&Repository>) -> Vec<(String, String)> {
    let user = UserConfig {
        home: home.user.clone(),
        xdg_config_home: variable("XDG_CONFIG_HOME").map(Into::into),
    };
    let found = match Git::find(home.path.as_ref()) {
        // A configuration that can't be read decides nothing.
        Some(git) => identity(&git, &user, repository).await.unwrap_or_default(),
        None => Default::default(),
    };
    let name = found.name.unwrap_or_else(|| NOBODY.0.to_owned());
    let email = found.email.unwrap_or_else(|| NOBODY.1.to_owned());
    [
        ("GIT_AUTHOR_NAME", &name),
        ("GIT_AUTHOR_EMAIL", &email),
        ("GIT_COMMITTER_NAME", &name),
        ("GIT_COMMITTER_EMAIL", &email),
    ]
    .map(|(variable, value)| (variable.to_owned(), value.clone()))
    .to_vec()
}

/// What was committed since a base.
pub struct Work {
    /// The commits, newest first.
    pub commits: Vec<Commit>,
    /// Their whole difference, as a patch.
    pub diff: String,
    /// Whether the patch was cut.
    pub truncated: bool,
    /// Whether nothing is left uncommitted.
    pub clean: bool,
}

/// Looks at what was committed since `base`.
///
/// # Errors
/// When git fails.
pub async fn work_since(
    home: &Home,
    repository: &Repository,
    base: Option<&str>,
) -> Result<Work, Failure> {
    let git = find(home)?;
    let look = async || -> anyhow::Result<Work> {
        let mut trusted = Trusted::temporary(&git, repository, OpenOptions::default())?;
        let head = repository.head()?;
        let clean = trusted.status_clean(&head).await?;
        let base = base.and_then(Oid::parse);
        let Some(tip) = head.commit() else {
            return Ok(Work {
                commits: Vec::new(),
                diff: String::new(),
                truncated: false,
                clean,
            });
        };
        let commits = trusted.log(base.as_ref(), tip, MOST_COMMITS).await?;
        let from = base.unwrap_or_else(|| trusted.empty_tree());
        let options = DiffOptions {
            limit: MOST_DIFF,
            ..DiffOptions::default()
        };
        let diff = trusted.diff(&from, tip, options).await?;
        Ok(Work {
            commits,
            truncated: diff.truncated,
            diff: diff.text().into_owned(),
            clean,
        })
    };
    Ok(look().await.context("cannot look at what was committed")?)
}
