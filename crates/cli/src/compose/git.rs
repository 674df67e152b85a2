//! The harness's own git, and what it tells of a session's work.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use recto_workspace::git::{
    Commit, DiffOptions, Git, Oid, OpenOptions, Repository, Seed, Trusted, UserConfig, identity,
};
use tokio::time::{Instant, timeout_at};

use super::home::{Home, make_private, variable};
use crate::exit::Failure;

/// Who commits when nobody is configured.
const NOBODY: (&str, &str) = ("Recto", "recto@localhost");
/// Most bytes of a diff that are shown.
const MOST_DIFF: u64 = 1 << 20;
/// How long the look at a session's work may take.
const TIME: Duration = Duration::from_secs(2);
/// A cell may have written the index, so HEAD's commit is what files are compared with.
const HEAD: OpenOptions = OpenOptions {
    seed: Seed::Head,
    excludes_file: None,
    more_objects: Vec::new(),
    max_file_bytes: 100 << 20,
};
/// Most commits that are counted.
const MOST_COMMITS: u32 = 200;

/// Finds git, but not in trees that a cell may write: the `writable` ones.
///
/// # Errors
/// When there is none.
pub fn find(home: &Home, writable: &[&Path]) -> Result<Git, Failure> {
    Git::find(home.path.as_ref(), writable, &scratch(home)).ok_or_else(|| {
        Failure::unavailable(anyhow!("git is not installed outside the work tree"))
            .hint("install it, for example with `apt-get install git`")
    })
}

/// Where git's temporary files may lie, the best place first. One that commands can write is passed
/// over: they could change what git is about to read.
fn scratch(home: &Home) -> Vec<PathBuf> {
    let own = home.file("tmp");
    // Only a fallback: what can't be made is passed over, too.
    let _ = make_private(&own);
    vec![std::env::temp_dir(), "/var/tmp".into(), own]
}

/// Variables that give commits made inside a cell their author: the user's own configuration is
/// not visible there.
pub async fn author(
    home: &Home,
    repository: Option<&Repository>,
    writable: &[&Path],
) -> Vec<(String, String)> {
    let user = UserConfig {
        home: home.user.clone(),
        xdg_config_home: variable("XDG_CONFIG_HOME").map(Into::into),
    };
    let found = match Git::find(home.path.as_ref(), writable, &scratch(home)) {
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
    /// Whether nothing is left uncommitted; None when that takes too long to say.
    pub clean: Option<bool>,
}

/// Looks at what was committed since `base`, for [`TIME`] at the most.
///
/// # Errors
/// When git fails, or takes too long.
pub async fn work_since(
    home: &Home,
    repository: &Repository,
    base: Option<&str>,
    writable: &[&Path],
) -> Result<Work, Failure> {
    let mut trees = writable.to_vec();
    trees.extend(repository.root.as_deref());
    let git = find(home, &trees)?;
    let end = Instant::now() + TIME;
    let work = match timeout_at(end, committed(&git, repository, base)).await {
        Ok(work) => work,
        Err(_) => Err(anyhow!("it takes too long")),
    };
    let mut work = work.context("cannot look at what was committed")?;
    if let Ok(Ok(clean)) = timeout_at(end, is_clean(&git, repository)).await {
        work.clean = clean;
    }
    Ok(work)
}

async fn committed(git: &Git, repository: &Repository, base: Option<&str>) -> anyhow::Result<Work> {
    // Nothing of the index is asked for, so none is made.
    let trusted = Trusted::temporary(git, repository, HEAD)?;
    let head = repository.head()?;
    let base = base.and_then(Oid::parse);
    let Some(tip) = head.commit() else {
        return Ok(Work {
            commits: Vec::new(),
            diff: String::new(),
            truncated: false,
            clean: None,
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
        clean: None,
    })
}

async fn is_clean(git: &Git, repository: &Repository) -> anyhow::Result<Option<bool>> {
    // Which files are absent on purpose stands in the index, which a cell may have written.
    if repository.git_dir.join("info/sparse-checkout").exists() {
        return Ok(None);
    }
    let mut trusted = Trusted::temporary(git, repository, HEAD)?;
    Ok(Some(!trusted.has_changes().await?))
}

/// The work tree that a directory is in; the directory itself where there is none.
pub fn root_of(directory: &Path) -> PathBuf {
    let found = recto_workspace::git::discover(directory).ok().flatten();
    found
        .and_then(|repository| repository.root)
        .unwrap_or_else(|| directory.to_owned())
}
