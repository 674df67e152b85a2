//! The cell of a session.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use recto_cell::CellSpec;
use recto_protocol::policy::Policy;
use recto_protocol::ports::cell::{Cell, CellError};
use recto_workspace::git::Repository;
use serde::{Deserialize, Serialize};

use super::git;
use super::home::{Home, variable};
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
    /// Further directories that commands may read.
    pub readable: Vec<PathBuf>,
    /// Variables for commands.
    pub env: Vec<(String, String)>,
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
    /// Directories that are shown read-only.
    readable: Vec<PathBuf>,
    /// Places that are never shown.
    hidden: Vec<PathBuf>,
    /// The user's `PATH`.
    path: String,
    /// The user's home.
    home: PathBuf,
    /// Variables on top of the cell's own.
    env: Vec<(String, String)>,
}

impl Settings {
    /// The cell to make.
    pub fn spec(&self) -> CellSpec {
        CellSpec {
            cwd: Some(self.cwd.clone()),
            readable: self.readable.clone(),
            hidden: self.hidden.clone(),
            path: self.path.clone(),
            home: Some(self.home.clone()),
            env: self.env.clone(),
            ..CellSpec::new(self.policy.clone(), &self.work_tree)
        }
    }

    /// Makes the cell, and in this process everything that answers it from outside.
    ///
    /// # Errors
    /// When the machine can't isolate, with what to do about it.
    pub async fn launch(&self) -> Result<Arc<dyn Cell>, Failure> {
        recto_cell::launch(self.spec()).await.map_err(failure)
    }
}

/// Makes the cell.
///
/// # Errors
/// When the machine can't isolate, with what to do about it.
pub async fn launch(wanted: Wanted<'_>) -> Result<Arc<dyn Cell>, Failure> {
    settings(wanted).await.launch().await
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
        policy: wanted.policy,
        readable,
        hidden,
        path: wanted.home.path.clone(),
        home: wanted.home.user.clone(),
        env,
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
