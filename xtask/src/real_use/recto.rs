//! The program's `cell` commands, as far as it has them.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::project::Project;
use crate::steps::answer;

/// A way to the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Network {
    None,
    /// Through the proxy, with a preset of rules.
    Allow(&'static str),
    Open,
}

/// The program, and what it says that it can do.
pub(super) struct Recto {
    program: PathBuf,
    allow: Vec<String>,
    /// The help text of `cell run`: what it doesn't name can't be done yet.
    help: String,
}

/// The system that commands see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum System {
    Host,
    /// A layer of this name, written by a fake root.
    Setup(&'static str),
    /// The same layer afterwards, for everybody.
    Installed(&'static str),
}

/// One command in a cell.
pub(super) struct Run {
    pub(super) network: Network,
    pub(super) system: System,
    /// A named cell that outlives the command.
    pub(super) cell: Option<&'static str>,
    pub(super) script: String,
}

/// How it went.
pub(super) struct Ended {
    pub(super) is_good: bool,
    pub(super) took: Duration,
    /// Standard output and error.
    pub(super) output: String,
}

impl Recto {
    pub(super) fn find(program: PathBuf, allow: Vec<String>) -> anyhow::Result<Self> {
        let output = Command::new(&program)
            .args(["cell", "run", "--help"])
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("could not start {}", program.display()))?;
        let help = match output.status.success() {
            true => String::from_utf8_lossy(&output.stdout).into_owned(),
            false => String::new(),
        };
        Ok(Self {
            program,
            allow,
            help,
        })
    }

    /// What a run needs and the program doesn't have.
    pub(super) fn lacks(&self, run: &Run) -> Option<String> {
        let mut needed = Vec::new();
        if matches!(run.network, Network::Allow(_)) {
            needed.extend(["--network", "--preset"]);
        }
        if run.system != System::Host {
            needed.extend(["--system-layer", "--fake-root"]);
        }
        if run.cell.is_some() {
            needed.push("--in");
        }
        needed.retain(|flag| !self.help.contains(flag));
        let missing = needed.join(" ");
        if !missing.is_empty() {
            return Some(format!("not built yet: cell run {missing}"));
        }
        let is_root = || answer("id", &["-u"]).as_deref() == Some("0");
        let for_root = run.system != System::Host && !is_root();
        for_root.then(|| "a fake root needs a harness that is root".to_owned())
    }

    /// Makes a named cell without a network.
    pub(super) fn new_cell(
        &self,
        project: &Project,
        name: &str,
        system: System,
    ) -> anyhow::Result<()> {
        let mut words = ["cell", "new", "--name", name].map(str::to_owned).to_vec();
        words.extend(["--network", "none"].map(str::to_owned));
        words.extend(shown(project, system));
        let ended = self.command(project, &words)?;
        match ended.is_good {
            true => Ok(()),
            false => bail!("cell new failed: {}", ended.output.trim()),
        }
    }

    /// Removes a named cell.
    pub(super) fn remove_cell(&self, project: &Project, name: &str) -> anyhow::Result<()> {
        self.command(project, &["cell", "rm", name].map(str::to_owned))
            .map(drop)
    }

    /// Runs a script in a cell.
    pub(super) fn run(&self, project: &Project, run: &Run) -> anyhow::Result<Ended> {
        self.command(project, &self.arguments(project, run))
    }

    fn arguments(&self, project: &Project, run: &Run) -> Vec<String> {
        let mut words = ["cell", "run"].map(str::to_owned).to_vec();
        match (run.cell, run.network) {
            // A named cell was made with its network and its system.
            (Some(name), _) => words.extend(["--in", name].map(str::to_owned)),
            (None, Network::None) => words.extend(["-c", "network='none'"].map(str::to_owned)),
            (None, Network::Open) => words.extend(["-c", "network='open'"].map(str::to_owned)),
            (None, Network::Allow(preset)) => {
                words.extend(["--network", "allow", "--preset", preset].map(str::to_owned));
                for rule in &self.allow {
                    words.extend(["--allow".to_owned(), rule.clone()]);
                }
            }
        }
        if run.cell.is_none() {
            words.extend(shown(project, run.system));
        }
        words.extend(["--", "bash", "-c"].map(str::to_owned));
        words.push(run.script.clone());
        words
    }

    fn command(&self, project: &Project, words: &[String]) -> anyhow::Result<Ended> {
        let started = Instant::now();
        let output = Command::new(&self.program)
            .args(words)
            .env("RECTO_HOME", project.home())
            .current_dir(project.tree())
            .stdin(Stdio::null())
            .output()
            .context("could not start the program")?;
        let took = started.elapsed();
        let text = [output.stdout, output.stderr].concat();
        Ok(Ended {
            is_good: output.status.success(),
            took,
            output: String::from_utf8_lossy(&text).into_owned(),
        })
    }
}

/// The options for a system.
fn shown(project: &Project, system: System) -> Vec<String> {
    let (name, flag) = match system {
        System::Host => return Vec::new(),
        System::Setup(name) => (name, Some("--fake-root")),
        System::Installed(name) => (name, None),
    };
    let layer = project.layer(name).display().to_string();
    let words = ["--system-layer".to_owned(), layer].into_iter();
    words.chain(flag.map(str::to_owned)).collect()
}
