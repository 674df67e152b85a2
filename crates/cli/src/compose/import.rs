//! Brings home what a session has committed inside its cell.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use futures_util::StreamExt as _;
use recto_protocol::SessionId;
use recto_protocol::policy::{Access, Policy};
use recto_protocol::ports::cell::{Cell, Command, ExitStatus, OutputCap, ProcessEvent};
use recto_workspace::git::import::{
    Ask, Base, ImportError, Imported, Inside, Limits, Spool, listing,
};
use recto_workspace::git::{Git, Repository};
use tokio::time::timeout;

use super::git;
use super::home::Home;
use crate::exit::Failure;

/// How long git inside may take to list, and to pack.
const TIME: Duration = Duration::from_secs(120);
/// Bytes of input that are given at once.
const PIECE: usize = 64 << 10;

/// A repository whose cell works on a view of its `.git`.
pub struct Import {
    git: Git,
    repository: Repository,
    base: Base,
    limits: Limits,
}

impl Import {
    /// Notes how the repository is before a cell is made; none where a cell can't commit, or
    /// commits to the repository itself.
    ///
    /// # Errors
    /// When git is not there or the repository can't be read.
    pub async fn begin(
        home: &Home,
        repository: Option<&Repository>,
        policy: &Policy,
    ) -> Result<Option<Self>, Failure> {
        let Some(repository) = repository.filter(|_| policy.access == Access::WorkspaceWrite)
        else {
            return Ok(None);
        };
        let mut writable: Vec<&Path> = policy.writable.iter().map(Path::new).collect();
        writable.extend(repository.root.as_deref());
        let git = git::find(home, &writable)?;
        let base = git.import_base(repository).await;
        Ok(Some(Self {
            base: base.context("cannot read the repository's branches")?,
            git,
            repository: repository.clone(),
            limits: Limits::default(),
        }))
    }

    /// Imports what was committed inside since the last time. Where nothing was, that is one short
    /// command in the cell.
    ///
    /// # Errors
    /// When the cell is gone, or what it hands out is refused. The repository is as it was then.
    pub async fn bring_home(
        &mut self,
        cell: &dyn Cell,
        session: &SessionId,
    ) -> Result<Imported, Failure> {
        self.try_bring_home(cell, session.as_str())
            .await
            .context("cannot bring home what was committed in the cell")
            .map_err(Failure::unavailable)
    }

    async fn try_bring_home(&mut self, cell: &dyn Cell, session: &str) -> anyhow::Result<Imported> {
        let mut listed = Vec::new();
        let limit = self.limits.listing_bytes;
        let take = |bytes: &[u8]| {
            listed.extend_from_slice(bytes);
            Ok(())
        };
        // Git's own word on how it went is the listing's last line.
        self.run(cell, &listing(), limit, take).await?;
        let inside = Inside::parse(&listed)?;
        let Some(news) = self.base.news(inside, &self.limits) else {
            return Ok(Imported::default());
        };
        let mut pack = None;
        if let Some(ask) = news.pack(&self.base) {
            let mut spool = Spool::new(&self.limits)?;
            let limit = self.limits.pack_bytes;
            let end = self
                .run(cell, &ask, limit, |bytes| spool.push(bytes))
                .await?;
            if end != ExitStatus::Code(0) {
                return Err(ImportError::NoPack.into());
            }
            pack = Some(spool);
        }
        let imported = self.git.import(
            &self.repository,
            &mut self.base,
            news,
            pack,
            session,
            &self.limits,
        );
        Ok(imported.await?)
    }

    /// Runs a command inside and passes on what it writes, up to a limit.
    async fn run(
        &self,
        cell: &dyn Cell,
        ask: &Ask,
        limit: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), ImportError>,
    ) -> anyhow::Result<ExitStatus> {
        let root = self.repository.root.as_deref().and_then(Path::to_str);
        let process = cell.spawn(Command {
            argv: ask.argv.clone(),
            cwd: root.map(str::to_owned),
            stdin: !ask.stdin.is_empty(),
            output: OutputCap {
                head: limit,
                tail: 0,
            },
            ..Command::default()
        });
        let mut process = process.await?;
        let control = process.control;
        let feed = async {
            for piece in ask.stdin.chunks(PIECE) {
                // A command that has ended already says so by its end.
                if control.write(Bytes::copy_from_slice(piece)).await.is_err() {
                    return;
                }
            }
            let _ = control.write(Bytes::new()).await;
        };
        let follow = async {
            while let Some(event) = process.events.next().await {
                match event {
                    ProcessEvent::Output(bytes) => take(&bytes)?,
                    ProcessEvent::Dropped(_) => {
                        return Err(anyhow!("git in the cell writes more than {limit} bytes"));
                    }
                    ProcessEvent::Limited(_) => {}
                    ProcessEvent::Exited(ExitStatus::CellGone) => break,
                    ProcessEvent::Exited(status) => return Ok(status),
                }
            }
            Err(anyhow!("the cell has ended"))
        };
        let both = async {
            tokio::pin!(follow);
            if ask.stdin.is_empty() {
                return follow.await;
            }
            // Both at once: a command may write before it has read all.
            tokio::select! {
                end = &mut follow => end,
                () = feed => follow.await,
            }
        };
        let end = timeout(TIME, both).await;
        let end = end.unwrap_or_else(|_| Err(anyhow!("git in the cell takes too long")));
        if end.is_err() {
            // It would go on for nobody.
            let _ = control.signal(9).await;
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Stdio;

    use async_trait::async_trait;
    use recto_protocol::ports::cell::files::CellFiles;
    use recto_protocol::ports::cell::{CellError, CellStats, Process, ProcessControl, TtySize};
    use tokio::io::AsyncWriteExt as _;
    use tokio::process::ChildStdin;
    use tokio::sync::Mutex;

    use super::*;

    /// Plain processes, whose git works on a copy of `.git`.
    struct View {
        git_dir: PathBuf,
        root: PathBuf,
    }

    struct Control(Mutex<Option<ChildStdin>>);

    impl View {
        fn git(&self, args: &[&str]) -> String {
            let output = std::process::Command::new("git")
                .args(["-c", "user.name=A", "-c", "user.email=a@example.org"])
                .args(args)
                .current_dir(&self.root)
                .env("GIT_DIR", &self.git_dir)
                .env("GIT_WORK_TREE", &self.root)
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        }

        /// The same on the repository itself.
        fn outside(&self, args: &[&str]) -> String {
            let git_dir = self.root.join(".git");
            let root = self.root.clone();
            Self { git_dir, root }.git(args)
        }
    }

    #[async_trait]
    impl Cell for View {
        async fn spawn(&self, command: Command) -> Result<Process, CellError> {
            let mut child = tokio::process::Command::new(&command.argv[0])
                .args(&command.argv[1..])
                .current_dir(command.cwd.unwrap())
                .env("GIT_DIR", &self.git_dir)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let stdin = child.stdin.take().filter(|_| command.stdin);
            let head = usize::try_from(command.output.head).unwrap();
            let ended = async move {
                let output = child.wait_with_output().await.unwrap();
                let bytes = Bytes::from(output.stdout);
                let mut events = vec![ProcessEvent::Output(bytes.slice(..head.min(bytes.len())))];
                if bytes.len() > head {
                    events.push(ProcessEvent::Dropped((bytes.len() - head) as u64));
                }
                let status = ExitStatus::Code(output.status.code().unwrap());
                events.push(ProcessEvent::Exited(status));
                futures_util::stream::iter(events)
            };
            Ok(Process {
                events: futures_util::stream::once(ended).flatten().boxed(),
                control: Box::new(Control(Mutex::new(stdin))),
            })
        }

        fn files(&self) -> &dyn CellFiles {
            unreachable!("an import reads no files through the cell")
        }

        async fn stats(&self) -> Result<CellStats, CellError> {
            Ok(CellStats::default())
        }

        async fn kill_all(&self) -> Result<(), CellError> {
            Ok(())
        }

        async fn close(&self) {}
    }

    #[async_trait]
    impl ProcessControl for Control {
        async fn write(&self, bytes: Bytes) -> Result<(), CellError> {
            let mut stdin = self.0.lock().await;
            if bytes.is_empty() {
                stdin.take();
            } else if let Some(stdin) = stdin.as_mut() {
                stdin.write_all(&bytes).await.map_err(|_| CellError::Gone)?;
            }
            Ok(())
        }

        async fn resize(&self, _: TtySize) -> Result<(), CellError> {
            Ok(())
        }

        async fn signal(&self, _: i32) -> Result<(), CellError> {
            Ok(())
        }
    }

    async fn begin() -> (tempfile::TempDir, View, Import) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("repo");
        std::fs::create_dir(&root).unwrap();
        let git_dir = root.join(".git");
        let host = View { git_dir, root };
        host.git(&["init", "-q", "-b", "main"]);
        host.git(&["commit", "-q", "--allow-empty", "-m", "first"]);
        let view = View {
            git_dir: dir.path().join("view"),
            root: host.root.clone(),
        };
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .args([&host.git_dir, &view.git_dir])
            .status();
        assert!(copied.unwrap().success());
        let path = std::env::var_os("PATH").unwrap();
        let git = Git::find(&path, &[], &[std::env::temp_dir()]).unwrap();
        let repository = recto_workspace::git::discover(&view.root).unwrap().unwrap();
        let base = git.import_base(&repository).await.unwrap();
        let limits = Limits::default();
        let import = Import {
            git,
            repository,
            base,
            limits,
        };
        (dir, view, import)
    }

    #[tokio::test]
    async fn commits_come_home_turn_by_turn() {
        let (_dir, view, mut import) = begin().await;
        let session = SessionId("s1".to_owned());
        for turn in ["1", "2"] {
            std::fs::write(view.root.join("a.txt"), turn).unwrap();
            view.git(&["add", "-A"]);
            view.git(&["commit", "-q", "-m", turn]);
            let imported = import.bring_home(&view, &session).await.unwrap();
            assert!(imported.warnings().is_empty());
            assert_eq!(imported.refs.len(), 1);
            let inside = view.git(&["rev-parse", "HEAD"]);
            assert_eq!(view.outside(&["rev-parse", "HEAD"]), inside);
            assert_eq!(view.outside(&["status", "--porcelain"]), "");
            let again = import.bring_home(&view, &session).await.unwrap();
            assert!(again.is_empty());
        }
    }

    #[tokio::test]
    async fn a_pack_that_is_too_large_is_refused() {
        let (_dir, view, mut import) = begin().await;
        import.limits.pack_bytes = 100;
        view.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
        let head = view.outside(&["rev-parse", "HEAD"]);
        let session = SessionId("s1".to_owned());
        let failure = import.bring_home(&view, &session).await.err().unwrap();
        assert!(
            failure.message().contains("more than 100 bytes"),
            "{}",
            failure.message()
        );
        assert_eq!(view.outside(&["rev-parse", "HEAD"]), head);
    }
}
