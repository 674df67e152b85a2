//! A directory in which both users find what they need: the binary, the attempts, a place for bait.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::project;
use crate::steps::{answer, perform};

/// An ordinary user, who needs no account.
const ORDINARY: &str = "1000";
/// Away from /tmp, which sandboxes make writable, and where every user can go.
const BASE: &str = "/var/tmp";
/// Without the tester's own directories: those of root can't be read by the other user.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// As whom a sandbox is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    Root,
    Ordinary,
}

impl User {
    pub(super) fn parse(name: &str) -> anyhow::Result<Self> {
        match name {
            "root" => Ok(Self::Root),
            "user" => Ok(Self::Ordinary),
            other => bail!("`{other}` is nobody: root or user"),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Ordinary => "user",
        }
    }
}

/// The directory; removed with the value.
pub(super) struct Stage {
    root: PathBuf,
    has_given: bool,
    is_root: bool,
}

impl Stage {
    pub(super) fn new(binary: &Path, given: Option<&Path>) -> anyhow::Result<Self> {
        let root = PathBuf::from(format!("{BASE}/recto-corpus-{}", std::process::id()));
        fs::create_dir(&root).with_context(|| format!("could not make {}", root.display()))?;
        let stage = Self {
            root,
            has_given: given.is_some(),
            is_root: answer("id", &["-u"]).as_deref() == Some("0"),
        };
        fs::copy(binary, stage.binary()).context("could not copy the binary")?;
        stage.copy(&project::root().join("corpus/escape"), "own")?;
        if let Some(directory) = given {
            stage.copy(directory, "given")?;
        }
        for user in stage.users(&[])? {
            stage.make_bait(user)?;
        }
        Ok(stage)
    }

    /// Those of the wanted users that can be had, all without a wish. Only root can be both.
    pub(super) fn users(&self, wanted: &[User]) -> anyhow::Result<Vec<User>> {
        let had = match self.is_root {
            true => vec![User::Root, User::Ordinary],
            false => vec![User::Ordinary],
        };
        if wanted.contains(&User::Root) && !self.is_root {
            bail!("only root can run attempts as root");
        }
        let is_wanted = |user: &User| wanted.is_empty() || wanted.contains(user);
        Ok(had.into_iter().filter(is_wanted).collect())
    }

    pub(super) fn binary(&self) -> PathBuf {
        self.root.join("recto")
    }

    pub(super) fn own(&self) -> PathBuf {
        self.root.join("own/outside.py")
    }

    pub(super) fn given(&self) -> Option<PathBuf> {
        self.has_given.then(|| self.root.join("given"))
    }

    pub(super) fn bait(&self, user: User) -> PathBuf {
        self.root.join(user.name())
    }

    /// Where the given runner puts what stands for another task's files: in the machine's temporary directory.
    pub(super) fn shared(&self, user: User) -> PathBuf {
        PathBuf::from("/tmp").join(format!(
            "recto-corpus-{}-{}",
            user.name(),
            std::process::id()
        ))
    }

    /// A Python program, to be run as this user.
    pub(super) fn python(&self, user: User, program: &Path) -> Command {
        let mut words: Vec<&OsStr> = Vec::new();
        if self.is_root && user == User::Ordinary {
            words.extend(["setpriv", "--reuid", ORDINARY, "--regid", ORDINARY].map(OsStr::new));
            words.extend(["--clear-groups", "--"].map(OsStr::new));
        }
        words.extend([OsStr::new("/usr/bin/python3"), program.as_os_str()]);
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8")
            .env("HOME", self.bait(user))
            .current_dir(self.bait(user))
            .stdin(Stdio::null());
        command
    }

    fn copy(&self, from: &Path, name: &str) -> anyhow::Result<()> {
        let to = self.root.join(name);
        perform_quietly(Command::new("cp").arg("-rL").arg(from).arg(&to))?;
        perform_quietly(Command::new("chmod").args(["-R", "a+rX"]).arg(&to))
    }

    fn make_bait(&self, user: User) -> anyhow::Result<()> {
        let path = self.bait(user);
        fs::create_dir(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        if self.is_root && user == User::Ordinary {
            perform_quietly(Command::new("chown").arg(ORDINARY).arg(&path))?;
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for path in [
            &self.root,
            &self.shared(User::Root),
            &self.shared(User::Ordinary),
        ] {
            let _ = fs::remove_dir_all(path);
        }
    }
}

fn perform_quietly(command: &mut Command) -> anyhow::Result<()> {
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        // Says it once more, with the command line.
        _ => perform(command),
    }
}
