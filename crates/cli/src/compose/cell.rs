//! The cell of a session.

use std::path::Path;
use std::sync::Arc;

use recto_cell::CellSpec;
use recto_protocol::policy::Policy;
use recto_protocol::ports::cell::{Cell, CellError};
use recto_workspace::git::Repository;

use super::git;
use super::home::Home;
use crate::exit::{Failure, UNAVAILABLE};

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
    /// Variables for commands.
    pub env: Vec<(String, String)>,
    /// The repository, whose configuration may name an author.
    pub repository: Option<&'a Repository>,
}

/// Makes the cell.
///
/// # Errors
/// When the machine can't isolate, with what to do about it.
pub async fn launch(wanted: Wanted<'_>) -> Result<Arc<dyn Cell>, Failure> {
    let mut env = git::author(wanted.home, wanted.repository).await;
    env.extend(wanted.env);
    let spec = CellSpec {
        cwd: Some(wanted.cwd.to_owned()),
        hidden: vec![wanted.home.recto.clone()],
        env,
        ..CellSpec::new(wanted.policy, wanted.root)
            .with_tools_of(&wanted.home.user, &wanted.home.path)
    };
    recto_cell::launch(spec).await.map_err(failure)
}

/// A cell's failure as the user is told it.
pub fn failure(error: CellError) -> Failure {
    let hint = match &error {
        CellError::Unavailable { remedy, .. } => Some(remedy.clone()),
        _ => None,
    };
    Failure { code: UNAVAILABLE, error: error.into(), hint }
}
