//! Mirrors: one bare repository for each remote, fetched once and shared by all work trees.
//!
//! A mirror's directory, its configuration and its references are ours; of the remote it holds
//! objects, branches and tags. Work trees borrow its objects and copy nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::call::Call;
use super::oid::Oid;
use super::run::{Git, Reach, RunError};

/// How long a fetch may take.
const FETCH: Duration = Duration::from_secs(3600);
/// What is fetched: branches and tags under their own names, and what the remote has checked out.
const REFS: [&str; 3] = [
    "+refs/heads/*:refs/heads/*",
    "+refs/tags/*:refs/tags/*",
    "+HEAD:refs/recto/HEAD",
];
/// Most branches that a work tree is given besides its own.
const MOST_BRANCHES: &str = "--count=1000";

/// A bare repository that follows a remote.
#[derive(Clone, Debug)]
pub struct Mirror {
    git: Git,
    dir: PathBuf,
}

/// A reference of a mirror, found by the name that a user gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The commit it leads to.
    pub commit: Oid,
    /// The branch it is, where it is one.
    pub branch: Option<String>,
}

impl Mirror {
    /// Opens the mirror in `dir`, or makes an empty one.
    ///
    /// # Errors
    /// Git's reason.
    pub async fn open(git: &Git, dir: &Path) -> Result<Self, RunError> {
        let mirror = Self {
            git: git.clone(),
            dir: dir.to_owned(),
        };
        if !dir.join("HEAD").is_file() {
            git.call("init")
                .env("GIT_DIR", dir)
                .args(["-q", "--bare", "--template="])
                .read()
                .await?;
        }
        Ok(mirror)
    }

    /// Asks a remote what it has, without fetching anything: whether it is there, and may be read.
    ///
    /// # Errors
    /// Git's reason.
    pub async fn probe(git: &Git, url: &str, reach: &Reach) -> Result<(), RunError> {
        let call = git
            .reaching("ls-remote", reach)
            .time_limit(Duration::from_secs(60));
        let asked = call.args(["--quiet", "--", url, "HEAD"]).limit(64 << 10);
        asked.read_some(&[0]).await.map(drop)
    }

    /// Brings the mirror up to date with its remote: branches that are gone there go here.
    ///
    /// # Errors
    /// Git's reason; what was fetched before stays.
    pub async fn fetch(&self, url: &str, reach: &Reach) -> Result<(), RunError> {
        let fetch = |refs: &'static [&'static str]| {
            self.git
                .reaching("fetch", reach)
                .dir(&self.dir)
                .option("--git-dir", &self.dir)
                .time_limit(FETCH)
                .args([
                    "--quiet",
                    "--prune",
                    "--no-tags",
                    "--no-write-fetch-head",
                    "--no-recurse-submodules",
                    "--no-auto-maintenance",
                    "--",
                    url,
                ])
                .args(refs)
                .read()
        };
        match fetch(&REFS).await {
            // A remote that points nowhere yet has branches all the same.
            Err(RunError::Failed { message, .. }) if message.contains("remote ref HEAD") => {
                fetch(&REFS[..2]).await.map(drop)
            }
            fetched => fetched.map(drop),
        }
    }

    /// What a user's name for a commit means: a branch, a tag, or (the beginning of) a commit's id;
    /// none takes what the remote has checked out. None when there is no such thing.
    ///
    /// # Errors
    /// Git's reason.
    pub async fn find(&self, name: Option<&str>) -> Result<Option<Found>, RunError> {
        let Some(name) = name else {
            return self.default().await;
        };
        let is_name = !name.is_empty()
            && !name.starts_with('-')
            && !name.contains([' ', '~', '^', ':', '?', '*', '[', '\\', '@']);
        if !is_name {
            return Ok(None);
        }
        let branch = name.strip_prefix("refs/heads/").unwrap_or(name);
        if let Some(commit) = self.commit(&format!("refs/heads/{branch}")).await? {
            let branch = Some(branch.to_owned());
            return Ok(Some(Found { commit, branch }));
        }
        let tag = name.strip_prefix("refs/tags/").unwrap_or(name);
        let mut commit = self.commit(&format!("refs/tags/{tag}")).await?;
        let is_id = (4..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_hexdigit());
        if commit.is_none() && is_id {
            commit = self.commit(name).await?;
        }
        Ok(commit.map(|commit| Found {
            commit,
            branch: None,
        }))
    }

    /// What the remote has checked out, else one of the usual branches.
    async fn default(&self) -> Result<Option<Found>, RunError> {
        let head = self.commit("refs/recto/HEAD").await?;
        for branch in ["main", "master", "trunk", "develop"] {
            let tip = self.commit(&format!("refs/heads/{branch}")).await?;
            if tip.is_some() && (head.is_none() || head == tip) {
                let branch = Some(branch.to_owned());
                return Ok(tip.map(|commit| Found { commit, branch }));
            }
        }
        Ok(head.map(|commit| Found {
            commit,
            branch: None,
        }))
    }

    async fn commit(&self, name: &str) -> Result<Option<Oid>, RunError> {
        let peeled = format!("{name}^{{commit}}");
        let call = self.call("rev-parse");
        let asked = call.args(["--verify", "--quiet", "--end-of-options", &peeled]);
        let output = asked.read_some(&[0, 1, 128]).await?;
        let text = std::str::from_utf8(&output.bytes).unwrap_or_default();
        Ok(Oid::parse(text.trim_end()))
    }

    /// Makes a repository in `root` with its own branch at a commit, checked out, which borrows this
    /// mirror's objects. Half of one, left by a call that was cut off, is finished.
    ///
    /// # Errors
    /// Git's or the system's reason.
    pub async fn check_out(&self, root: &Path, branch: &str, commit: &Oid) -> Result<(), RunError> {
        let git_dir = root.join(".git");
        self.git
            .call("init")
            .env("GIT_DIR", &git_dir)
            .env("GIT_WORK_TREE", root)
            .config(format!("init.defaultObjectFormat={}", self.format().await?))
            .args(["-q", "--template="])
            .read()
            .await?;
        let write = |name: &str, text: Vec<u8>| {
            let path = git_dir.join(name);
            path.parent()
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|source| RunError::Start {
                    command: format!("init: {}", path.display()),
                    source,
                })
        };
        let objects = self.dir.join("objects");
        let mut alternates = objects.into_os_string().into_encoded_bytes();
        alternates.push(b'\n');
        write("objects/info/alternates", alternates)?;
        write("packed-refs", self.branches().await?)?;
        let own = format!("refs/heads/{branch}");
        write(&own, format!("{commit}\n").into_bytes())?;
        write("HEAD", format!("ref: {own}\n").into_bytes())?;
        let inside = |command| -> Call {
            self.git
                .call(command)
                .dir(root)
                .option("--git-dir", &git_dir)
                .option("--work-tree", root)
                .time_limit(FETCH)
        };
        inside("read-tree")
            .args(["--reset", "-u", "HEAD"])
            .read()
            .await?;
        Ok(())
    }

    /// The branches of the remote, as a work tree's `packed-refs`.
    async fn branches(&self) -> Result<Vec<u8>, RunError> {
        let format = "--format=%(objectname) refs/remotes/origin/%(refname:lstrip=2)";
        let call = self.call("for-each-ref");
        let mut packed = b"# pack-refs with: sorted \n".to_vec();
        let listed = call.args([MOST_BRANCHES, format, "refs/heads"]).read();
        packed.extend(listed.await?);
        Ok(packed)
    }

    async fn format(&self) -> Result<String, RunError> {
        let call = self.call("rev-parse").args(["--show-object-format"]);
        let text = String::from_utf8_lossy(&call.read().await?)
            .trim()
            .to_owned();
        Ok(text)
    }

    /// Where its objects are, which work trees need to read.
    pub fn objects(&self) -> PathBuf {
        self.dir.join("objects")
    }

    fn call(&self, command: &'static str) -> Call {
        self.git
            .call(command)
            .dir(&self.dir)
            .option("--git-dir", &self.dir)
    }
}
