//! Repositories for tests, made with plain git.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use recto_workspace::git::{Checkpoint, Git, Oid, OpenOptions, Repository, Trusted, discover};

/// A directory with a repository `repo` in it, and a home for plain git.
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::init(&[])
    }

    pub(crate) fn init(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("repo")).unwrap();
        let fixture = Self { dir };
        fixture.git(&[&["init", "-q", "-b", "main"], options].concat());
        fixture
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("repo")
    }

    /// Plain git, as a user would run it in the repository.
    pub(crate) fn plain(&self, args: &[impl AsRef<OsStr>]) -> Output {
        plain_git(&self.repo(), self.dir.path(), args)
    }

    /// Plain git, which must succeed.
    pub(crate) fn git(&self, args: &[impl AsRef<OsStr>]) -> String {
        let output = self.plain(args);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn write(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
        let path = self.repo().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn commit(&self, message: &str) -> Oid {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        Oid::parse(&self.git(&["rev-parse", "HEAD"])).unwrap()
    }

    pub(crate) fn repository(&self) -> Repository {
        discover(&self.repo()).unwrap().unwrap()
    }

    pub(crate) fn trusted(&self) -> Trusted {
        self.trusted_with(OpenOptions::default())
    }

    pub(crate) fn trusted_with(&self, options: OpenOptions) -> Trusted {
        Trusted::temporary(&git(), &self.repository(), options).unwrap()
    }

    /// What plain git writes as the tree of the whole work tree, with an index of its own.
    pub(crate) fn plain_tree(&self) -> Oid {
        let index = self.dir.path().join("plain-index");
        let _ = fs::remove_file(&index);
        let git = |args: &[&str]| {
            let output = command(&self.repo(), self.dir.path())
                .env("GIT_INDEX_FILE", &index)
                .args(args)
                .output()
                .unwrap();
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        git(&["read-tree", "HEAD"]);
        git(&["add", "-A"]);
        Oid::parse(&git(&["write-tree"])).unwrap()
    }

    /// The names in a tree, as `ls-tree` writes them.
    pub(crate) fn names(&self, trusted: &Trusted, checkpoint: &Checkpoint) -> Vec<String> {
        let mut command = command(trusted.dir(), self.dir.path());
        command.arg("--git-dir").arg(trusted.dir());
        let output = command
            .args([
                "ls-tree",
                "-r",
                "-z",
                "--name-only",
                checkpoint.tree.as_str(),
            ])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_terminator('\0').map(str::to_owned).collect()
    }
}

fn command(dir: &Path, home: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_PAGER", "cat")
        .args(["-c", "user.name=T", "-c", "user.email=t@example.org"])
        .args(["-c", "protocol.file.allow=always"]);
    command
}

pub(crate) fn plain_git(dir: &Path, home: &Path, args: &[impl AsRef<OsStr>]) -> Output {
    command(dir, home).args(args).output().unwrap()
}

pub(crate) fn git() -> Git {
    Git::find(
        &std::env::var_os("PATH").unwrap(),
        &[],
        &[std::env::temp_dir()],
    )
    .unwrap()
}
