//! The temporary directories of a run: a home per column, a fresh small repository per session.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, bail};

const PREFIX: &str = "recto-bench-";

/// The directory of this run; removed with all in it when dropped.
pub(super) struct Workshop {
    root: PathBuf,
    made: AtomicUsize,
}

impl Workshop {
    pub(super) fn open() -> anyhow::Result<Self> {
        let parent = std::env::temp_dir();
        remove_left_behind(&parent);
        let root = parent.join(format!("{PREFIX}{}", std::process::id()));
        let workshop = Self {
            root,
            made: AtomicUsize::new(0),
        };
        let template = workshop.template();
        fs::create_dir_all(template.join("src"))
            .with_context(|| format!("could not make {}", template.display()))?;
        fs::write(template.join("README.md"), "# A small project\n")?;
        fs::write(template.join("src/main.rs"), "fn main() {}\n")?;
        // Without the sample hooks: they would be most of what is copied.
        git(
            &template,
            &["init", "--quiet", "--template=", "--initial-branch=main"],
        )?;
        git(&template, &["add", "--all"])?;
        git(&template, &["commit", "--quiet", "--message=begin"])?;
        Ok(workshop)
    }

    /// The home of a column, which its sessions share as those of a user do.
    pub(super) fn home(&self, column: &str) -> anyhow::Result<PathBuf> {
        let home = self.root.join("homes").join(column);
        // codex refuses a home that isn't there.
        fs::create_dir_all(home.join(".codex"))?;
        Ok(home)
    }

    /// A directory for one session, with a repository in `repository`.
    pub(super) fn session(&self) -> anyhow::Result<PathBuf> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let directory = self.root.join(format!("session-{number}"));
        copy(&self.template(), &directory.join("repository"))?;
        Ok(directory)
    }

    /// The file system that the sessions and their logs are on: what a flush costs depends on it.
    pub(super) fn file_system(&self) -> String {
        let path = self.root.display().to_string();
        crate::steps::answer("stat", &["--file-system", "--format=%T", &path])
            .unwrap_or_else(|| "unknown".to_owned())
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn template(&self) -> PathBuf {
        self.root.join("template")
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
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

/// Runs git as somebody without a configuration.
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("git")
        .args(["-c", "user.name=bench", "-c", "user.email=bench@localhost"])
        .args(["-c", "commit.gpgsign=false"])
        .args(arguments)
        .current_dir(directory)
        .output()
        .context("could not start git")?;
    if !output.status.success() {
        bail!(
            "git failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
