//! A git repository for one test.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::User;

/// A repository in a directory of its own.
pub struct Repository {
    dir: TempDir,
    root: PathBuf,
}

impl Repository {
    /// A repository with these files in its first commit.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let repository = Self::bare_directory();
        for (name, text) in files {
            repository.write(name, text);
        }
        repository.commit_all();
        repository
    }

    /// A repository with a copy of a directory in its first commit.
    pub fn copy_of(source: &Path) -> Self {
        let repository = Self::bare_directory();
        let from = format!("{}/.", source.display());
        let copied = Command::new("cp")
            .args(["-r", &from])
            .arg(&repository.root)
            .status()
            .unwrap();
        assert!(copied.success());
        // Sources of a registry can be read-only.
        let mended = Command::new("chmod")
            .args(["-R", "u+w"])
            .arg(&repository.root)
            .status();
        assert!(mended.unwrap().success());
        repository
    }

    fn bare_directory() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("repo");
        std::fs::create_dir(&root).unwrap();
        Self { dir, root }
    }

    /// Makes everything the first commit.
    pub fn commit_all(&self) {
        if !self.root.join(".git").exists() {
            self.git(&["init", "-q", "-b", "main"]);
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "first"]);
    }

    /// Makes somebody else the owner.
    pub fn give_to(&self, user: User) -> &Self {
        user.take(self.dir.path());
        self
    }

    /// The repository's root.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.root.join(name)).unwrap()
    }

    /// Runs git and returns what it printed.
    pub fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=Tester",
                "-c",
                "user.email=tester@localhost",
            ])
            // The repository may belong to somebody whom the program ran as.
            .args(["-c", "safe.directory=*"])
            .args(args)
            .current_dir(&self.root)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }
}
