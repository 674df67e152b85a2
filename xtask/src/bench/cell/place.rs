//! The directories of a run: for each user a home, a temporary directory and two work trees.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::bench::git;
use crate::steps::answer;

const PREFIX: &str = "recto-cell-bench-";

/// Files of the large work tree.
const MANY: usize = 20_000;
/// Files of one directory in it.
const SIBLINGS: usize = 100;

/// The directory of this run; removed with all in it when dropped.
pub(super) struct Place {
    pub(super) root: PathBuf,
    pub(super) users: Vec<User>,
    pub(super) program: PathBuf,
}

/// Somebody who makes cells, with directories of their own.
#[derive(Clone, Debug)]
pub(super) struct User {
    /// The column's name.
    pub(super) name: &'static str,
    /// User and group to become; none stays.
    pub(super) id: Option<u32>,
    base: PathBuf,
}

impl User {
    pub(super) fn home(&self) -> PathBuf {
        self.base.join("home")
    }

    pub(super) fn temporary(&self) -> PathBuf {
        self.base.join("tmp")
    }

    /// A repository of a few files.
    pub(super) fn small(&self) -> PathBuf {
        self.base.join("small")
    }

    /// A repository of 20,000 files.
    pub(super) fn large(&self) -> PathBuf {
        self.base.join("large")
    }
}

impl Place {
    pub(super) fn make(program: &Path) -> anyhow::Result<Self> {
        let parent = std::env::temp_dir();
        remove_left_behind(&parent);
        let root = parent.join(format!("{PREFIX}{}", std::process::id()));
        let names: &[(&'static str, Option<u32>)] = match is_root() {
            true => &[("root", None), ("user", Some(1000))],
            false => &[("user", None)],
        };
        let users = names.iter().map(|&(name, id)| User {
            name,
            id,
            base: root.join(name),
        });
        let place = Self {
            users: users.collect(),
            // Somewhere that every user can reach.
            program: root.join("cell-bench"),
            root,
        };
        fs::create_dir_all(&place.root)
            .with_context(|| format!("could not make {}", place.root.display()))?;
        fs::copy(program, &place.program)
            .with_context(|| format!("could not copy {}", program.display()))?;
        for user in &place.users {
            furnish(user)?;
        }
        Ok(place)
    }

    pub(super) fn file_system(&self) -> String {
        let path = self.root.display().to_string();
        answer("stat", &["--file-system", "--format=%T", &path])
            .unwrap_or_else(|| "unknown".to_owned())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn furnish(user: &User) -> anyhow::Result<()> {
    // What most users' cells show of their homes.
    for tools in [".cargo/bin", ".rustup", ".local/bin", ".recto"] {
        fs::create_dir_all(user.home().join(tools))?;
    }
    fs::create_dir_all(user.temporary())?;
    repository(&user.small(), 3)?;
    repository(&user.large(), MANY)?;
    if let Some(id) = user.id {
        let owner = format!("{id}:{id}");
        let base = user.base.display().to_string();
        answer("chown", &["-R", "-h", &owner, &base])
            .with_context(|| format!("could not give {base} to {owner}"))?;
    }
    Ok(())
}

fn repository(at: &Path, files: usize) -> anyhow::Result<()> {
    fs::create_dir_all(at)?;
    git(at, &["init", "--quiet", "--initial-branch=main"])?;
    for file in 0..files {
        let directory = at.join(format!("src/part{}", file / SIBLINGS));
        if file % SIBLINGS == 0 {
            fs::create_dir_all(&directory)?;
        }
        fs::write(
            directory.join(format!("file{file}.txt")),
            format!("this is file {file}\n"),
        )?;
    }
    git(at, &["add", "--all"])?;
    git(at, &["commit", "--quiet", "--message=begin"])
}

/// Removes what runs that were interrupted have left.
fn remove_left_behind(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_root() -> bool {
    answer("id", &["-u"]).as_deref() == Some("0")
}
