//! What the cases share: a place with bait, a cell in it, commands in the cell.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use recto_cell::{CellSpec, launch, relay};
use recto_protocol::policy::{Access, Network, Policy};
use recto_protocol::ports::cell::{Cell, Command, ExitStatus, Process, ProcessEvent};

pub type Future_ = Pin<Box<dyn Future<Output = ()>>>;
pub type Case = (&'static str, fn() -> Future_);

/// Lists cases by their functions' names.
#[macro_export]
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub const CASES: &[$crate::support::Case] =
            &[$((stringify!($name), || Box::pin($name()))),*];
    };
}

/// Lists cases once for each backend; the first word comes before their names.
#[macro_export]
macro_rules! every_backend {
    ($prefix:literal, $($name:ident),* $(,)?) => {
        pub const CASES: &[$crate::support::Case] = &[
            $($crate::one_backend!("namespaces::", $prefix, Namespaces, $name),)*
            $($crate::one_backend!("direct::", $prefix, Direct, $name),)*
            $($crate::one_backend!("gvisor::", $prefix, Gvisor, $name),)*
        ];
    };
}

/// One case of one backend.
#[macro_export]
macro_rules! one_backend {
    ($of:literal, $prefix:literal, $backend:ident, $name:ident) => {
        (concat!($of, $prefix, stringify!($name)), || {
            Box::pin($crate::conformance::unless_excepted(
                recto_cell::Backend::$backend,
                stringify!($name),
                $name,
            ))
        })
    };
}

/// Longer than anything takes; a case that hangs must end.
const LONG: Duration = Duration::from_secs(60);

pub fn block_on(future: Future_) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(async { tokio::time::timeout(LONG, future).await })
        .expect("the case hangs");
}

pub fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .unwrap()
        .contains("\nUid:\t0\t")
}

/// Whether cells are used through a relay, as kept ones are.
pub static RELAYED: AtomicBool = AtomicBool::new(false);

/// A temporary place: a work tree, and a home with a secret beside it.
pub struct Place {
    pub base: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        let place = Self { base };
        std::fs::create_dir_all(place.tree()).unwrap();
        std::fs::create_dir_all(place.home().join(".ssh")).unwrap();
        std::fs::write(place.home().join(".ssh/id"), "BAIT").unwrap();
        place
    }

    pub fn tree(&self) -> PathBuf {
        self.base.path().canonicalize().unwrap().join("tree")
    }

    pub fn home(&self) -> PathBuf {
        self.base.path().join("home")
    }

    pub fn spec(&self) -> CellSpec {
        let mut spec = CellSpec::new(Policy::default(), self.tree());
        spec.home = Some(self.home());
        spec.path = "/usr/bin:/bin".into();
        spec
    }

    pub async fn cell(&self) -> Arc<dyn Cell> {
        let cell = launch(self.spec()).await.unwrap();
        if !RELAYED.load(Ordering::Relaxed) {
            return cell;
        }
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        tokio::spawn(relay::serve(cell, theirs));
        relay::connect(ours).await.unwrap()
    }

    pub async fn cell_with(&self, access: Access, network: Network) -> Arc<dyn Cell> {
        let mut spec = self.spec();
        spec.policy.access = access;
        spec.policy.network = network;
        launch(spec).await.unwrap()
    }

    /// A repository with one commit in the work tree.
    pub fn repository(&self) {
        git(&self.tree(), &["init", "-q", "-b", "main", "."]);
        git(&self.tree(), &["config", "user.name", "t"]);
        git(&self.tree(), &["config", "user.email", "t@t"]);
        std::fs::write(self.tree().join("f.txt"), "f\n").unwrap();
        git(&self.tree(), &["add", "f.txt"]);
        git(&self.tree(), &["commit", "-qm", "c"]);
    }
}

pub fn git(cwd: &Path, args: &[&str]) {
    let run = std::process::Command::new("git")
        .args(args)
        .current_dir(cwd)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .status();
    assert!(run.unwrap().success(), "git {args:?}");
}

pub fn sh(script: &str) -> Command {
    Command {
        argv: vec!["sh".into(), "-c".into(), script.into()],
        ..Command::default()
    }
}

pub fn python(script: &str) -> Command {
    Command {
        argv: vec!["/usr/bin/python3".into(), "-c".into(), script.into()],
        ..Command::default()
    }
}

/// Output, dropped bytes and end of a command.
pub async fn finish(mut process: Process) -> (String, u64, ExitStatus) {
    let (mut output, mut dropped, mut end) = (Vec::new(), 0, None);
    while let Some(event) = process.events.next().await {
        assert!(end.is_none(), "an event after the end");
        match event {
            ProcessEvent::Output(bytes) => output.extend_from_slice(&bytes),
            ProcessEvent::Dropped(bytes) => dropped += bytes,
            ProcessEvent::Limited(_) => {}
            ProcessEvent::Exited(status) => end = Some(status),
        }
    }
    (
        String::from_utf8_lossy(&output).into_owned(),
        dropped,
        end.expect("an end"),
    )
}

pub async fn run(cell: &Arc<dyn Cell>, command: Command) -> (String, ExitStatus) {
    let (output, _, status) = finish(cell.spawn(command).await.unwrap()).await;
    (output, status)
}

/// Reads output until it contains a text.
pub async fn wait_for(process: &mut Process, text: &str) -> String {
    let mut output = String::new();
    while !output.contains(text) {
        match process.events.next().await {
            Some(ProcessEvent::Output(bytes)) => output += &String::from_utf8_lossy(&bytes),
            event => panic!("{event:?} after {output:?}"),
        }
    }
    output
}

/// Processes on the host whose command line contains a marker.
pub fn processes_with(marker: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let found = line
                .windows(marker.len())
                .any(|part| part == marker.as_bytes());
            (found && pid != std::process::id() as i32).then_some(pid)
        })
        .collect()
}

/// Waits until something holds, looking often.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// Commands with an open standard input.
pub trait WithInput {
    fn with_input(self) -> Self;
}

impl WithInput for Command {
    fn with_input(mut self) -> Self {
        self.stdin = true;
        self
    }
}

/// This process' children that are cells: not the sweeper.
pub fn children() -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let lists = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")));
    let pids: Vec<i32> = lists
        .flat_map(|list| {
            let list = list.unwrap_or_default();
            list.split_whitespace()
                .map(|pid| pid.parse().unwrap())
                .collect::<Vec<_>>()
        })
        .collect();
    let cmdline = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
    pids.into_iter()
        .filter(|pid| {
            !cmdline(pid)
                .unwrap_or_default()
                .contains("cell-init\0sweep")
        })
        .collect()
}

/// The processes of this process' cells, and all theirs, as they are now.
pub struct Spawned(Vec<i32>);

impl Spawned {
    pub fn now() -> Self {
        let mut known = children();
        let mut next = 0;
        while let Some(pid) = known.get(next) {
            let path = format!("/proc/{pid}/task/{pid}/children");
            let list = std::fs::read_to_string(path).unwrap_or_default();
            known.extend(
                list.split_whitespace()
                    .map(|pid| pid.parse::<i32>().unwrap()),
            );
            next += 1;
        }
        assert!(!known.is_empty());
        Self(known)
    }

    /// Whether one of them is more than a zombie.
    pub fn is_alive(&self) -> bool {
        self.0.iter().any(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = stat.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
            matches!(state, Some(Some(state)) if state != 'Z')
        })
    }
}
