//! Brings mirrors up to date, one fetch at a time for each.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use recto_protocol::task::Repository;
use recto_service::WorkplaceError;
use recto_workspace::git::{Found, Git, Mirror, Reach, RunError};

use super::failed;
use crate::compose::home::{Home, variable};

/// Variables that git's ways to remotes go by.
const VARIABLES: [&str; 14] = [
    "HOME",
    "USER",
    "SSH_AUTH_SOCK",
    "GIT_SSH_COMMAND",
    "GIT_CONFIG_GLOBAL",
    "XDG_CONFIG_HOME",
    "SSL_CERT_FILE",
    "GIT_SSL_CAINFO",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "no_proxy",
    "NO_PROXY",
];

/// The operator's variables that git needs to reach remotes.
pub fn reach(home: &Home) -> Reach {
    let mut found: Vec<_> = VARIABLES
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), variable(name)?.into())))
        .collect();
    if !found.iter().any(|(name, _)| name == "HOME") {
        found.push(("HOME".to_owned(), home.user.clone().into()));
    }
    Reach(found)
}

/// All mirrors of this machine.
pub(super) struct Fetches {
    directory: PathBuf,
    /// For each mirror, when its last fetch began; held while one runs.
    last: Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<Option<Instant>>>>>,
}

impl Fetches {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            last: Mutex::default(),
        }
    }

    /// The mirror of a repository and the commit that a name means in it, as of now: fetched after
    /// this was asked for.
    pub(super) async fn find(
        &self,
        git: &Git,
        home: &Home,
        repository: &Repository,
        reference: Option<&str>,
    ) -> Result<(Mirror, Found), WorkplaceError> {
        let asked = Instant::now();
        let directory = self.directory_of(&repository.url);
        let last = {
            let mut all = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(directory.clone()).or_default())
        };
        let mut last = last.lock().await;
        let mirror = Mirror::open(git, &directory).await;
        let mirror = mirror.map_err(|error| failed("make a mirror", &error))?;
        // Who waited for a fetch that began after they came needs none of their own.
        if last.is_none_or(|began| began < asked) {
            let began = Instant::now();
            let fetched = mirror.fetch(&repository.url, &reach(home)).await;
            fetched.map_err(|error| WorkplaceError {
                message: words(&repository.url, &error),
                is_transient: true,
            })?;
            *last = Some(began);
        }
        drop(last);
        let reference = reference.or(repository.default_reference.as_deref());
        let found = mirror.find(reference).await;
        let found = found.map_err(|error| failed("read the mirror", &error))?;
        let found = found.ok_or_else(|| {
            WorkplaceError::lasting(match reference {
                Some(name) => format!("{} has no branch, tag or commit {name:?}", repository.name),
                None => format!("{} has no commits yet", repository.name),
            })
        })?;
        Ok((mirror, found))
    }

    /// The mirror that a place borrows from, without fetching.
    pub(super) fn directory_of(&self, url: &str) -> PathBuf {
        let hash = recto_store::sha256(url.as_bytes());
        self.directory.join(format!("{}.git", &hash[..24]))
    }
}

/// Why a remote can't be fetched, for people. Git's own words say it best.
pub(super) fn words(url: &str, error: &RunError) -> String {
    match error {
        RunError::Failed { message, .. } => {
            let said: Vec<&str> = message.lines().take(5).collect();
            format!("cannot fetch {}: {}", without_secret(url), said.join("; "))
        }
        error => format!("cannot fetch {}: {error}", without_secret(url)),
    }
}

/// A URL without the password that it may hold.
fn without_secret(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let path = rest.find('/').unwrap_or(rest.len());
            match rest[..path].rfind('@') {
                Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
                None => url.to_owned(),
            }
        }
        None => url.to_owned(),
    }
}
