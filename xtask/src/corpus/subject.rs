//! What is tested: the product's cells in one of their modes, or another sandbox beside it.

use anyhow::bail;

use super::stage::Stage;

/// What `recto` is told before the policy and the command to run in a cell.
const CELL: &[&str] = &["cell", "run"];
/// What limits a service's cells: what the bounds of the attempts are made for.
const SERVICE_LIMITS: &[&str] = &["-c", "cell.processes=512", "-c", "cell.disk_mib=2048"];

/// How the product runs git after a task; see `crates/workspace/src/git`.
pub(super) const HOST_GIT: &str = "git --git-dir={gitdir} --work-tree={ws} -c core.hooksPath=/dev/null \
     -c core.fsmonitor=false -c core.attributesFile=/dev/null -c submodule.recurse=false \
     -c diff.ignoreSubmodules=all -c protocol.allow=never";

/// Under which policy attempts are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing may be written but scratch.
    ReadOnly,
    /// The work tree may be written.
    Workspace,
    /// As `Workspace`, started by root, with limits in force.
    Service,
}

impl Mode {
    pub(super) const ALL: [Self; 3] = [Self::ReadOnly, Self::Workspace, Self::Service];

    pub(super) fn parse(name: &str) -> anyhow::Result<Self> {
        match Self::ALL.into_iter().find(|mode| mode.name() == name) {
            Some(mode) => Ok(mode),
            None => bail!("`{name}` is no mode: read-only, workspace or service"),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::Workspace => "workspace",
            Self::Service => "service",
        }
    }

    /// What the product calls it.
    fn access(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::Workspace | Self::Service => "workspace-write",
        }
    }

    /// The given runner's name for which honest programs must work.
    pub(super) fn controls(self) -> &'static str {
        self.access()
    }

    /// The tags in force: an attempt that carries one of them must be stopped.
    pub(super) fn expected(self) -> Vec<&'static str> {
        let mut tags = vec![
            self.access(),
            "no-network",
            "isolate",
            "private-tmp",
            "deny-read",
            "env-scrub",
            "hardening",
            "host-git",
            // Our own: what the user's programs share with a cell in the kernel.
            "shared",
        ];
        if self == Self::Service {
            tags.push("limits");
        }
        tags
    }
}

/// Makes a command line in a mode, for a kind of cell when one was asked for.
pub(super) type Words = fn(&Stage, Mode, Option<&str>) -> Vec<String>;

/// A sandbox under test.
pub(super) struct Subject {
    pub(super) name: String,
    words: Words,
    backend: Option<String>,
}

impl Subject {
    pub(super) fn new(name: &str, words: Words) -> Self {
        Self {
            name: name.to_owned(),
            words,
            backend: None,
        }
    }

    pub(super) fn recto(backend: Option<String>) -> Self {
        Self {
            name: match &backend {
                Some(backend) => format!("recto {backend}"),
                None => "recto".to_owned(),
            },
            words: recto,
            backend,
        }
    }

    /// The command line that runs `{script}` in the work tree `{ws}`.
    pub(super) fn command(&self, stage: &Stage, mode: Mode) -> String {
        (self.words)(stage, mode, self.backend.as_deref()).join(" ")
    }
}

fn recto(stage: &Stage, mode: Mode, backend: Option<&str>) -> Vec<String> {
    let mut words = vec![
        // The attempts' own home stays without a directory of ours.
        "env".to_owned(),
        "RECTO_HOME={base}/recto-home".to_owned(),
        stage.binary().display().to_string(),
    ];
    words.extend(CELL.iter().map(|word| (*word).to_owned()));
    words.extend(["-s", mode.access()].map(str::to_owned));
    if let Some(name) = backend {
        words.extend(["-c".to_owned(), format!("cell.backend={name}")]);
    }
    if mode == Mode::Service {
        words.extend(SERVICE_LIMITS.iter().map(|word| (*word).to_owned()));
    }
    words.extend(["--", "{script}"].map(str::to_owned));
    words
}
