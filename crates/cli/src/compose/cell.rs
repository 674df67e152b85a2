//! The cell of a session.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use recto_cell::{Backend, CellSpec, GitView, Layer, Limits};
use recto_egress::{Observer, Proxy, Refusals};
use recto_protocol::policy::{Access, Network, Policy};
use recto_protocol::ports::cell::{Cell, CellError};
use recto_workspace::git::Repository;
use serde::{Deserialize, Serialize};

use super::git;
use super::home::{Home, variable};
use super::outside::{self, Machine, WayOut};
use super::place::text;
use crate::exit::{Failure, UNAVAILABLE};

/// Variables that say where tools lie, when that is not below the home: compilers, package caches,
/// the virtual environment that is switched on.
const TOOL_VARIABLES: [&str; 7] = [
    "CARGO_HOME",
    "GOMODCACHE",
    "JAVA_HOME",
    "NVM_DIR",
    "PYENV_ROOT",
    "RUSTUP_HOME",
    "VIRTUAL_ENV",
];
/// Files in tool directories that hold credentials.
const TOOL_SECRETS: [&str; 2] = ["credentials", "credentials.toml"];

/// What a cell is made for.
pub struct Wanted<'a> {
    /// The user's environment.
    pub home: &'a Home,
    /// What commands may do.
    pub policy: Policy,
    /// The root of the work tree.
    pub root: &'a Path,
    /// The working directory.
    pub cwd: &'a Path,
    /// What keeps commands apart.
    pub backend: Backend,
    /// Further directories that commands may read.
    pub readable: Vec<PathBuf>,
    /// What commands may take.
    pub limits: Limits,
    /// Variables for commands.
    pub env: Vec<(String, String)>,
    /// What the configuration says of the way out.
    pub way_out: WayOut,
    /// The repository, whose configuration may name an author.
    pub repository: Option<&'a Repository>,
}

/// What a cell is made from, as plain data: resolved once, and handed as it is to the process that
/// makes the cell. Between two copies of one binary, so no promise.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// What commands may do.
    pub policy: Policy,
    /// The root of the work tree.
    pub work_tree: PathBuf,
    /// Where commands start.
    pub cwd: PathBuf,
    /// Whether gVisor keeps commands apart.
    #[serde(default)]
    gvisor: bool,
    /// Directories that are shown read-only.
    readable: Vec<PathBuf>,
    /// Places that are never shown.
    pub hidden: Vec<PathBuf>,
    /// The user's `PATH`.
    path: String,
    /// The user's home.
    home: PathBuf,
    /// What commands may take.
    limits: Limits,
    /// Variables on top of the cell's own.
    env: Vec<(String, String)>,
    /// How this machine reaches the outside.
    machine: Machine,
    /// The way out; with the credentials that rules use.
    #[serde(default)]
    way_out: WayOut,
    /// Lets everything public through, to learn what is needed.
    #[serde(default)]
    pub learning: bool,
    /// Takes what commands change in git directories; None keeps nothing of it.
    #[serde(default)]
    pub git_layer: Option<PathBuf>,
    /// Takes what commands write into the work tree, which then stays as it is.
    #[serde(default)]
    pub work_layer: Option<PathBuf>,
    /// The system that commands see.
    #[serde(default)]
    pub system: System,
}

/// The system that a cell's commands see: the host's, under layers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct System {
    /// Kept layers that are shown over it, the topmost first.
    pub lowers: Vec<PathBuf>,
    /// Takes what commands write into it, as its root.
    pub setup: Option<PathBuf>,
}

/// A cell, and what answers it from outside.
pub struct Launched {
    /// The cell.
    pub cell: Arc<dyn Cell>,
    /// Its proxy; None with the host's network.
    pub proxy: Option<Proxy>,
}

impl Launched {
    /// Ends the cell, then its proxy: every request is told when this returns.
    pub async fn close(&self) {
        self.cell.close().await;
        if let Some(proxy) = &self.proxy {
            proxy.close().await;
        }
    }
}

impl Settings {
    /// The cell to make.
    pub fn spec(&self) -> CellSpec {
        CellSpec {
            backend: if self.gvisor {
                Backend::Gvisor
            } else {
                Backend::Namespaces
            },
            cwd: Some(self.cwd.clone()),
            readable: self.readable.clone(),
            hidden: self.hidden.clone(),
            path: self.path.clone(),
            home: Some(self.home.clone()),
            env: self.env.clone(),
            limits: self.limits,
            ..CellSpec::new(self.policy.clone(), &self.work_tree)
        }
    }

    /// The cell as it would be, for showing: nobody answers at its doors.
    pub fn described(&self) -> CellSpec {
        let mut spec = self.spec();
        if self.is_isolated()
            && !self.gvisor
            && let Some((doors, env)) = outside::describe(&self.policy, &self.machine)
        {
            spec.env = last_of_each([env, spec.env].concat());
            spec.doors = Some(doors);
        }
        spec
    }

    /// A directory that the user names for a layer, if nothing else is in it.
    fn layer(&self, directory: &Path, must_exist: bool) -> Result<Layer, Failure> {
        let shown = directory.display();
        let refused = |why: String, hint: &str| Err(Failure::usage(anyhow!(why)).hint(hint));
        if must_exist && !directory.is_dir() {
            let hint = "with --fake-root it is made, and takes what the command installs";
            return refused(format!("there is no layer {shown}"), hint);
        }
        let real = directory.canonicalize();
        let real = real.unwrap_or_else(|_| directory.to_owned());
        if real.starts_with(&self.work_tree) || self.work_tree.starts_with(&real) {
            let hint = "name a directory elsewhere";
            return refused(
                format!("the layer {shown} would hold the work tree, or lie in it"),
                hint,
            );
        }
        let foreign = std::fs::read_dir(&real).into_iter().flatten().flatten();
        let mut foreign = foreign.filter(|entry| !entry.path().join("upper").is_dir());
        if let Some(entry) = foreign.find(|entry| entry.file_name() != "veil") {
            let name = entry.file_name();
            let why = format!(
                "{shown} is no layer: it holds {}",
                Path::new(&name).display()
            );
            return refused(why, "name an empty directory, or one that does not exist");
        }
        Layer::make(directory).map_err(|error| {
            Failure::unavailable(error)
                .hint("name a directory on a local disk that nobody else uses")
        })
    }

    fn is_isolated(&self) -> bool {
        self.policy.access != Access::DangerFullAccess
    }

    /// Makes the cell, and in this process everything that answers it from outside. `observer` is
    /// told of every request that commands make, and they of every refusal.
    ///
    /// # Errors
    /// When the machine can't isolate, with what to do about it.
    pub async fn launch(&self, observer: Arc<dyn Observer>) -> Result<Launched, Failure> {
        let mut spec = self.spec();
        if let Some(directory) = &self.git_layer {
            let made = Layer::make(directory).map_err(Failure::unavailable)?;
            spec.git = GitView::Layer(made);
        }
        let own = |path: &Path| self.layer(path, false);
        if let Some(directory) = &self.work_layer {
            spec.work_layer = Some(own(directory)?);
            spec.git = GitView::Layer(own(directory)?);
        }
        let lowers = self.system.lowers.iter().map(|path| self.layer(path, true));
        spec.root.lowers = lowers.collect::<Result<_, _>>()?;
        spec.root.setup = self.system.setup.as_deref().map(own).transpose()?;
        if self.gvisor && self.policy.network == Network::Allow {
            return Err(Failure::usage(anyhow!(
                "the backend gvisor has no doors yet, so no network by rules"
            ))
            .hint("use the backend namespaces, or --network none"));
        }
        let refusals = Refusals::new(observer);
        let outside = match self.is_isolated() && !self.gvisor {
            true => outside::open(
                &self.policy,
                &self.machine,
                &self.way_out,
                self.learning,
                Arc::clone(&refusals) as _,
            )?,
            false => None,
        };
        let mut proxy = None;
        if let Some(outside) = outside {
            // What the user sets wins.
            spec.env = last_of_each([outside.env, spec.env].concat());
            spec.files.extend(outside.files);
            spec.doors = Some(outside.doors);
            proxy = Some(outside.proxy);
        }
        let cell = recto_cell::launch(spec).await.map_err(failure)?;
        let cell = refusals.told_in(cell);
        Ok(Launched { cell, proxy })
    }
}

/// Resolves what a cell is made from.
pub async fn settings(wanted: Wanted<'_>) -> Settings {
    let mut writable = vec![wanted.root];
    writable.extend(wanted.policy.writable.iter().map(Path::new));
    let mut env = git::author(wanted.home, wanted.repository, &writable).await;
    let tools = tools(wanted.home);
    env.extend(
        tools
            .iter()
            .map(|(name, path)| ((*name).to_owned(), text(path))),
    );
    env.extend(wanted.env);
    let env = last_of_each(env);
    let mut hidden = vec![wanted.home.recto.clone()];
    let mut readable = recto_cell::default_tool_dirs(&wanted.home.user);
    readable.extend(wanted.readable.into_iter().filter(|path| path.is_dir()));
    for (_, path) in tools {
        hidden.extend(TOOL_SECRETS.map(|name| path.join(name)));
        // What may be written stays writable: a virtual environment often lies in the work tree.
        let is_writable = path.starts_with(wanted.root)
            || wanted
                .policy
                .writable
                .iter()
                .any(|root| path.starts_with(root));
        if !is_writable {
            readable.push(path);
        }
    }
    Settings {
        work_tree: wanted.root.to_owned(),
        cwd: wanted.cwd.to_owned(),
        way_out: wanted.way_out.needed_by(&wanted.policy),
        policy: wanted.policy,
        gvisor: wanted.backend == Backend::Gvisor,
        readable,
        hidden,
        path: wanted.home.path.clone(),
        home: wanted.home.user.clone(),
        limits: wanted.limits,
        env,
        machine: Machine::find(),
        learning: false,
        git_layer: None,
        work_layer: None,
        system: System::default(),
    }
}

/// The variables, of those with the same name the last one only.
fn last_of_each(env: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut kept: Vec<(String, String)> = Vec::with_capacity(env.len());
    for (name, value) in env {
        match kept.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => kept.push((name, value)),
        }
    }
    kept
}

/// The tool directories that the user's variables name. One that holds the home or the program's
/// own directory is none: showing it would show them.
fn tools(home: &Home) -> Vec<(&'static str, PathBuf)> {
    let named = TOOL_VARIABLES.into_iter().filter_map(|name| {
        let path = PathBuf::from(variable(name)?);
        let real = path
            .canonicalize()
            .ok()
            .filter(|real| path.is_absolute() && real.is_dir())?;
        let holds = |other: &Path| {
            other
                .canonicalize()
                .unwrap_or_else(|_| other.to_owned())
                .starts_with(&real)
        };
        (!holds(&home.user) && !holds(&home.recto)).then_some((name, real))
    });
    named.collect()
}

/// A cell's failure as the user is told it.
pub fn failure(error: CellError) -> Failure {
    let hint = match &error {
        CellError::Unavailable { remedy, .. } => Some(remedy.clone()),
        _ => None,
    };
    Failure {
        code: UNAVAILABLE,
        error: error.into(),
        hint,
    }
}
