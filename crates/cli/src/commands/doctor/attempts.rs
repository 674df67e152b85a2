//! Attempts to get out of a cell, run on the user's own machine: a few that take no time, each judged
//! by what happened outside wherever that can be seen.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures_util::StreamExt as _;
use recto_cell::{Backend, Limits};
use recto_protocol::policy::Policy;
use recto_protocol::ports::cell::{Cell, Command, ProcessEvent};

use crate::compose::cell::{Wanted, failure, settings};
use crate::compose::git;
use crate::compose::home::Home;
use crate::compose::outside::WayOut;
use crate::compose::place::text;
use crate::exit::Failure;

/// For all attempts together.
const PATIENCE: Duration = Duration::from_secs(60);
/// What stands in files that nobody may read. In no command and no variable.
const BAIT: &str = "bait-5f0c3a";
/// What an attempt says that can be judged from inside only.
const OUT: &str = "GOT-OUT";

/// One attempt.
struct Attempt {
    name: &'static str,
    /// Run by `sh` in the work tree. `$OUTSIDE`, `$HOME_OUTSIDE` and `$PORT` say where things are.
    script: &'static str,
    /// Whether it got out.
    got_out: Judge,
}

enum Judge {
    /// From what lies outside, and what it said.
    Seen(fn(&Scene, &str) -> bool),
    /// It says so itself: the machine's kernel did it. gVisor's commands have a kernel of their own,
    /// and what that does harms nobody.
    Said,
}

impl Attempt {
    fn has_got_out(&self, scene: &Scene, said: &str) -> bool {
        match self.got_out {
            Judge::Seen(seen) => seen(scene, said),
            Judge::Said => said.contains(OUT),
        }
    }
}

const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "write beside the work tree",
        script: r#"mkdir -p "$OUTSIDE"; echo x > "$OUTSIDE/written""#,
        got_out: Judge::Seen(|scene, _| scene.outside().join("written").exists()),
    },
    Attempt {
        name: "write through a link",
        script: r#"ln -s "$OUTSIDE/canary" link && echo x >> link"#,
        got_out: Judge::Seen(|scene, _| {
            !std::fs::read(scene.canary()).is_ok_and(|text| text == b"canary\n")
        }),
    },
    Attempt {
        name: "read a key in the home",
        script: r#"cat "$HOME_OUTSIDE/.ssh/id_ed25519" ~/.ssh/id_ed25519"#,
        got_out: Judge::Seen(|_, said| said.contains(BAIT)),
    },
    Attempt {
        name: "read the program's own directory",
        script: r#"cat "$HOME_OUTSIDE/.recto/keys.toml" ~/.recto/keys.toml"#,
        got_out: Judge::Seen(|_, said| said.contains(BAIT)),
    },
    Attempt {
        name: "connect to a server outside",
        script: r#"timeout 2 git ls-remote "git://127.0.0.1:$PORT/x""#,
        got_out: Judge::Seen(|scene, _| scene.server.accept().is_ok()),
    },
    Attempt {
        name: "connect to a socket outside",
        script: r#"echo | timeout 2 git credential-cache --socket "$OUTSIDE/socket" get"#,
        got_out: Judge::Seen(|scene, _| scene.socket.accept().is_ok()),
    },
    Attempt {
        name: "see the program's processes",
        script: "cat /proc/[0-9]*/stat",
        got_out: Judge::Seen(|_, said| {
            own_process().is_some_and(|own| said.lines().any(|line| own.is(line)))
        }),
    },
    Attempt {
        name: "make a user namespace",
        script: "unshare -U true && echo GOT-''OUT",
        got_out: Judge::Said,
    },
    Attempt {
        name: "mount a file system",
        script: "mkdir -p mnt && mount -t tmpfs none mnt && echo GOT-''OUT",
        got_out: Judge::Said,
    },
    Attempt {
        name: "leave a program with the set-user-ID bit",
        script: "cp /bin/sh tool; chmod 4755 tool; chmod 2755 tool",
        got_out: Judge::Seen(|scene, _| {
            let tool = std::fs::symlink_metadata(scene.tree().join("tool"));
            tool.is_ok_and(|tool| tool.mode() & 0o6000 != 0)
        }),
    },
    Attempt {
        name: "make a device",
        script: "mknod device b 7 0; mknod device c 1 1",
        got_out: Judge::Seen(|scene, _| {
            let device = std::fs::symlink_metadata(scene.tree().join("device"));
            let kind = device.map(|device| device.file_type());
            kind.is_ok_and(|kind| kind.is_block_device() || kind.is_char_device())
        }),
    },
    Attempt {
        name: "change the kernel's settings",
        script: r#"f=/proc/sys/kernel/core_pattern; old=$(cat $f) && echo "$old" > $f && echo GOT-''OUT"#,
        got_out: Judge::Said,
    },
    Attempt {
        name: "change the repository's hooks and configuration",
        script: "echo x > .git/hooks/post-commit; git config core.fsmonitor x; echo x >> .git/config; \
                 git commit -q --allow-empty -m x; rm -rf .git",
        got_out: Judge::Seen(|scene, _| !scene.git_is_as_it_was()),
    },
];

/// Makes a cell and tries everything in it: how many attempts there were, and the names of those
/// that got out.
///
/// # Errors
/// When there is no cell, or commands in it do not work, so that nothing can be said.
pub async fn run(home: &Home, backend: Backend) -> Result<(usize, Vec<&'static str>), Failure> {
    let scene = Scene::make(home).await?;
    let tree = scene.tree();
    let settings = settings(Wanted {
        home: &scene.home,
        policy: Policy::default(),
        root: &tree,
        cwd: &tree,
        backend,
        readable: Vec::new(),
        limits: Limits::default(),
        env: scene.env(),
        way_out: WayOut::default(),
        repository: None,
    });
    let launched = settings.await.launch(Arc::new(|_| true)).await?;
    let tried =
        tokio::time::timeout(PATIENCE, try_all(&scene, backend, launched.cell.as_ref())).await;
    launched.close().await;
    tried.map_err(|_| Failure::unavailable(anyhow!("the attempts did not end")))?
}

async fn try_all(
    scene: &Scene,
    backend: Backend,
    cell: &dyn Cell,
) -> Result<(usize, Vec<&'static str>), Failure> {
    // Where nothing works, nothing gets out either.
    let said = execute(cell, "echo x > inside && echo fine").await?;
    if said.trim() != "fine" || !scene.tree().join("inside").exists() {
        let error = anyhow!("commands in the cell do not work: {}", said.trim());
        return Err(Failure::unavailable(error));
    }
    let mut out = Vec::new();
    let mut tried = 0;
    for attempt in ATTEMPTS {
        if backend == Backend::Gvisor && matches!(attempt.got_out, Judge::Said) {
            continue;
        }
        tried += 1;
        let said = execute(cell, attempt.script).await?;
        if attempt.has_got_out(scene, &said) {
            out.push(attempt.name);
        }
    }
    Ok((tried, out))
}

/// What a script says.
async fn execute(cell: &dyn Cell, script: &str) -> Result<String, Failure> {
    let command = Command {
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        ..Command::default()
    };
    let mut process = cell.spawn(command).await.map_err(failure)?;
    let mut said = Vec::new();
    while let Some(event) = process.events.next().await {
        if let ProcessEvent::Output(bytes) = event {
            said.extend_from_slice(&bytes);
        }
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// What the attempts are after: a home, a repository in which the cell works, and things beside it.
struct Scene {
    scratch: tempfile::TempDir,
    home: Home,
    server: TcpListener,
    socket: UnixListener,
    git: BTreeMap<PathBuf, Vec<u8>>,
}

impl Scene {
    async fn make(home: &Home) -> Result<Self, Failure> {
        let scratch = tempfile::tempdir().context("cannot make a directory")?;
        let path = scratch.path().canonicalize()?;
        let user = path.join("home");
        for directory in ["home/.ssh", "home/.recto", "outside", "tree"] {
            std::fs::create_dir_all(path.join(directory))?;
        }
        std::fs::write(user.join(".ssh/id_ed25519"), BAIT)?;
        std::fs::write(user.join(".recto/keys.toml"), BAIT)?;
        std::fs::write(path.join("outside/canary"), "canary\n")?;
        std::fs::write(path.join("tree/file"), "file\n")?;
        let home = Home {
            recto: user.join(".recto"),
            user,
            path: home.path.clone(),
        };
        let tree = path.join("tree");
        let git = git::find(&home, &[&tree])?;
        let made = git.create_repository(&tree, "Bait").await;
        made.context("cannot make a repository")?;
        let server = TcpListener::bind("127.0.0.1:0")?;
        server.set_nonblocking(true)?;
        let socket = UnixListener::bind(path.join("outside/socket"))?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            git: files(&tree.join(".git"))?,
            scratch,
            home,
            server,
            socket,
        })
    }

    /// Variables that tell the attempts where things are.
    fn env(&self) -> Vec<(String, String)> {
        let port = self.server.local_addr().map_or(0, |address| address.port());
        vec![
            ("OUTSIDE".to_owned(), text(&self.outside())),
            ("HOME_OUTSIDE".to_owned(), text(&self.home.user)),
            ("PORT".to_owned(), port.to_string()),
        ]
    }

    fn below(&self, name: &str) -> PathBuf {
        let path = self.scratch.path();
        path.canonicalize()
            .unwrap_or_else(|_| path.to_owned())
            .join(name)
    }

    fn tree(&self) -> PathBuf {
        self.below("tree")
    }

    fn outside(&self) -> PathBuf {
        self.below("outside")
    }

    fn canary(&self) -> PathBuf {
        self.outside().join("canary")
    }

    fn git_is_as_it_was(&self) -> bool {
        files(&self.tree().join(".git")).is_ok_and(|now| now == self.git)
    }
}

/// All files below a directory with what they hold; links with where they lead, directories empty.
fn files(root: &Path) -> std::io::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let kind = std::fs::symlink_metadata(&path)?.file_type();
        let holds = if kind.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                left.push(entry?.path());
            }
            Vec::new()
        } else if kind.is_symlink() {
            std::fs::read_link(&path)?
                .into_os_string()
                .into_encoded_bytes()
        } else if kind.is_file() {
            std::fs::read(&path)?
        } else {
            return Err(ErrorKind::InvalidData.into());
        };
        found.insert(path, holds);
    }
    Ok(found)
}

/// A process, by its number and when it began.
#[derive(PartialEq)]
struct Began {
    pid: String,
    start: String,
}

impl Began {
    /// From a line of `/proc/PID/stat`.
    fn read(line: &str) -> Option<Self> {
        let (pid, _) = line.split_once(' ')?;
        // The name before it may hold anything, so counting begins behind its bracket.
        let (_, rest) = line.rsplit_once(')')?;
        Some(Self {
            pid: pid.to_owned(),
            start: rest.split_whitespace().nth(19)?.to_owned(),
        })
    }

    fn is(&self, line: &str) -> bool {
        Self::read(line).as_ref() == Some(self)
    }
}

fn own_process() -> Option<Began> {
    Began::read(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a cell the attempts get out: each can fail. Those that would change the machine, or
    /// need rights that not every user has, are left out.
    #[tokio::test]
    async fn without_a_cell_they_get_out() {
        let user = std::env::var_os("HOME").unwrap_or_default().into();
        let home = Home {
            recto: PathBuf::from("/nonexistent"),
            user,
            path: std::env::var("PATH").unwrap(),
        };
        let scene = Scene::make(&home).await.unwrap();
        for attempt in ATTEMPTS {
            if attempt.name == "make a device" || matches!(attempt.got_out, Judge::Said) {
                continue;
            }
            assert!(
                !attempt.has_got_out(&scene, ""),
                "{} before it",
                attempt.name
            );
            let ran = std::process::Command::new("timeout")
                .args(["1", "sh", "-c", attempt.script])
                .current_dir(scene.tree())
                .envs(scene.env())
                .env("HOME", &scene.home.user)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&ran.stdout);
            assert!(attempt.has_got_out(&scene, &said), "{}", attempt.name);
        }
    }
}
