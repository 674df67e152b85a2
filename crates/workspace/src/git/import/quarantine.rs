//! Where new objects are looked at before the repository gets them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::super::call::Call;
use super::super::checkpoint::empty_tree;
use super::super::discover::Repository;
use super::super::oid::Oid;
use super::super::prepare;
use super::super::run::{Git, RunError};
use super::super::trusted::OpenError;
use super::{Base, ImportError, Limits, Spool, host::Refs, trees};

/// Begins the names of our temporary directories.
const PREFIX: &str = "recto-import-";
/// Larger files are read in parts.
const BIG_FILE: &str = "core.bigFileThreshold=8m";
const SETTINGS: [&str; 4] = [
    BIG_FILE,
    "core.deltaBaseCacheLimit=32m",
    "core.maxTreeDepth=2048",
    "pack.threads=1",
];

/// A git directory of ours that has the repository's objects, and the new ones apart.
///
/// When root works on somebody else's repository, git runs as that user, who owns the directory.
pub(super) struct Quarantine<'a> {
    pub(super) git: &'a Git,
    pub(super) repository: &'a Repository,
    pub(super) limits: &'a Limits,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) sha256: bool,
    is_partial: bool,
    place: Place,
}

impl<'a> Quarantine<'a> {
    pub(super) fn new(
        git: &'a Git,
        repository: &'a Repository,
        base: &Base,
        limits: &'a Limits,
    ) -> Result<Self, ImportError> {
        let parent = git.scratch();
        sweep(parent);
        let owner = owner(repository).map_err(ImportError::Quarantine)?;
        let place = Place::new(parent).map_err(ImportError::Quarantine)?;
        let sha256 = prepare::is_sha256(repository, base.head.commit());
        let quarantine = Self {
            git,
            repository,
            limits,
            owner,
            sha256,
            is_partial: is_partial(repository),
            place,
        };
        let dir = quarantine.dir();
        prepare::directory(repository, &dir, &[], sha256).map_err(|error| match error {
            OpenError::Write { source, .. } => ImportError::Quarantine(source),
            OpenError::Head(error) => ImportError::Head(error),
        })?;
        quarantine.hand_over().map_err(ImportError::Quarantine)?;
        Ok(quarantine)
    }

    /// A directory in which another one can be made.
    pub(super) fn place(&self) -> &Path {
        &self.place.path
    }

    fn dir(&self) -> PathBuf {
        self.place.path.join("objects.git")
    }

    /// The tree of nothing, which git knows without having it.
    pub(super) fn empty_tree(&self) -> Oid {
        empty_tree(self.sha256)
    }

    /// Gives all that was made to the user that git runs as.
    pub(super) fn hand_over(&self) -> io::Result<()> {
        match self.owner {
            Some((user, group)) => give(&self.place.path, user, group),
            None => Ok(()),
        }
    }

    /// A call on the repository's objects and the new ones.
    pub(super) fn call(&self, command: &'static str) -> Call {
        let dir = self.dir();
        self.limited(self.git.call(command).dir(&dir).option("--git-dir", &dir))
    }

    /// Holds a call's limits.
    pub(super) fn limited(&self, mut call: Call) -> Call {
        for setting in SETTINGS {
            call = call.config(setting);
        }
        if self.is_partial {
            // Objects that were never fetched are no gap.
            call = call.config("remote.host.promisor=true");
        }
        call.owner(self.owner).time_limit(self.limits.time)
    }

    /// A call on objects whose sizes are not checked yet: git may not reserve more at once than an
    /// object may have, or the tables of as many as there may be. Later calls are not held to it,
    /// since a large repository's own index takes more.
    fn wary(&self, command: &'static str) -> Call {
        let tables = u64::from(self.limits.objects) * 128;
        let limit = self.limits.object_bytes.max(tables).max(64 << 20) + (1 << 20);
        self.call(command).env("GIT_ALLOC_LIMIT", limit.to_string())
    }

    /// Indexes and checks a pack, and counts its objects.
    pub(super) async fn take_in(&self, pack: &Spool) -> Result<u32, ImportError> {
        if pack.objects()? == 0 {
            return Ok(0);
        }
        let check = if self.is_partial {
            "--fsck-objects"
        } else {
            "--strict"
        };
        let written = self
            .wary("index-pack")
            .input_file(pack.rewound()?)
            .args(["--stdin", "--threads=1", check])
            .args([format!("--max-input-size={}", self.limits.pack_bytes)])
            .limit(4096)
            .read()
            .await
            .map_err(refused)?;
        let text = String::from_utf8_lossy(&written);
        let name = text.trim().rsplit(['\t', ' ']).next().and_then(Oid::parse);
        let name = name.ok_or(ImportError::NoPack)?;
        let index = format!("objects/pack/pack-{name}.idx");
        self.check_sizes(&self.dir().join(index)).await
    }

    /// Holds the limits on objects and trees.
    async fn check_sizes(&self, index: &Path) -> Result<u32, ImportError> {
        let format = if self.sha256 { "sha256" } else { "sha1" };
        let listed = self
            .wary("show-index")
            .input_file(File::open(index).map_err(ImportError::Quarantine)?)
            .args([format!("--object-format={format}")])
            .read()
            .await?;
        let listed = String::from_utf8_lossy(&listed);
        let names: Vec<&str> = listed
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .collect();
        let sizes = self
            .wary("cat-file")
            .args(["--batch-check=%(objectname) %(objecttype) %(objectsize)"])
            .input(lines(names.iter()))
            .read()
            .await?;
        let mut found = Vec::new();
        for line in String::from_utf8_lossy(&sizes).lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [name, kind, size] = words[..] else {
                return Err(ImportError::NoPack);
            };
            let size: u64 = size.parse().map_err(|_| ImportError::NoPack)?;
            if size > self.limits.object_bytes {
                let limit = self.limits.object_bytes;
                return Err(ImportError::too_much("bytes in one object", limit));
            }
            if kind == "tree" {
                found.push(name.to_owned());
            }
        }
        self.check_trees(&found).await?;
        Ok(u32::try_from(names.len()).unwrap_or(u32::MAX))
    }

    async fn check_trees(&self, names: &[String]) -> Result<(), ImportError> {
        if names.is_empty() {
            return Ok(());
        }
        let limit = self.limits.tree_bytes;
        let batch = self
            .wary("cat-file")
            .args(["--batch"])
            .input(lines(names.iter()))
            .limit(limit)
            .read()
            .await
            .map_err(|error| match error {
                RunError::TooMuch { .. } => ImportError::too_much("bytes of trees", limit),
                other => other.into(),
            })?;
        let (oid, limits) = (if self.sha256 { 32 } else { 20 }, self.limits.clone());
        tokio::task::spawn_blocking(move || trees::check(&batch, oid, &limits))
            .await
            .map_err(|error| ImportError::Quarantine(io::Error::other(error)))?
    }

    /// The references that do not lead to a commit: a branch by itself, a tag in the end.
    pub(super) async fn without_commit(&self, tips: &Refs) -> Result<Vec<String>, ImportError> {
        let questions = tips.iter().map(|(name, oid)| {
            let end = if name.starts_with("refs/tags/") {
                "^{commit}"
            } else {
                ""
            };
            format!("{oid}{end}")
        });
        let answers = self
            .call("cat-file")
            .args(["--batch-check=%(objecttype)"])
            .input(lines(questions))
            .read()
            .await?;
        let answers = String::from_utf8_lossy(&answers);
        let mut answers = answers.lines();
        let lost = tips.keys().filter(|_| answers.next() != Some("commit"));
        Ok(lost.cloned().collect())
    }

    /// Walks from each tip to what the repository has: nothing may be missing on the way.
    pub(super) async fn check_connected(
        &self,
        tips: &Refs,
        host: &Refs,
    ) -> Result<(), ImportError> {
        if tips.is_empty() {
            return Ok(());
        }
        let known: BTreeSet<&Oid> = host.values().collect();
        let known = known.into_iter().map(|oid| format!("^{oid}"));
        let tips = tips.values().map(ToString::to_string);
        let call = self
            .call("rev-list")
            .args(["--objects", "--quiet", "--ignore-missing"]);
        let call = if self.is_partial {
            call.args(["--exclude-promisor-objects"])
        } else {
            call
        };
        call.args(["--stdin"])
            .input(lines(tips.chain(known)))
            .read()
            .await
            .map_err(refused)?;
        Ok(())
    }
}

fn refused(error: RunError) -> ImportError {
    match error {
        RunError::Failed { message, .. } => {
            // The first line names the object, and what is wrong with it.
            let first = message.lines().next().unwrap_or("it failed");
            ImportError::Refused(first.escape_debug().take(300).collect())
        }
        other => other.into(),
    }
}

pub(super) fn lines(items: impl Iterator<Item = impl AsRef<str>>) -> Vec<u8> {
    let mut text = Vec::new();
    for item in items {
        text.extend(item.as_ref().as_bytes());
        text.push(b'\n');
    }
    text
}

/// Whose repository it is, when we are root and it is somebody else's.
fn owner(repository: &Repository) -> io::Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let meta = fs::metadata(&repository.common_dir)?;
    Ok((meta.uid() != 0).then(|| (meta.uid(), meta.gid())))
}

/// Whether objects were left with the server that the repository was cloned from.
fn is_partial(repository: &Repository) -> bool {
    let Ok(entries) = fs::read_dir(repository.common_dir.join("objects/pack")) else {
        return false;
    };
    let mut names = entries.flatten().map(|entry| entry.path());
    names.any(|path| path.extension().is_some_and(|end| end == "promisor"))
}

/// Gives a directory that we have just made, and all in it, to a user.
fn give(path: &Path, user: u32, group: u32) -> io::Result<()> {
    let kind = fs::symlink_metadata(path)?.file_type();
    if kind.is_symlink() {
        return Ok(());
    }
    if kind.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), user, group)?;
        }
    }
    chown(path, Some(user), Some(group))
}

/// A temporary directory that is locked as long as it is used.
struct Place {
    path: PathBuf,
    _lock: File,
}

impl Place {
    fn new(parent: &Path) -> io::Result<Self> {
        loop {
            let path = tempfile::Builder::new()
                .prefix(PREFIX)
                .tempdir_in(parent)?
                .keep();
            // A sweep may have come between; then it is gone.
            let lock = match locked(&path) {
                Ok(lock) => lock,
                Err(_) if !path.exists() => continue,
                Err(error) => {
                    let _ = fs::remove_dir_all(&path);
                    return Err(error);
                }
            };
            let (is, was) = (fs::symlink_metadata(&path), lock.metadata()?);
            if is.is_ok_and(|is| is.ino() == was.ino()) {
                return Ok(Self { path, _lock: lock });
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn locked(path: &Path) -> io::Result<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or(0))
        .open(path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// Removes what killed imports left behind.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let path = entry.path();
        if name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            // Locked by us, or by nobody.
            if let Ok(_lock) = locked(&path) {
                let _ = fs::remove_dir_all(&path);
            }
        }
    }
}
