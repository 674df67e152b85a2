//! What a session's commands change in git directories: kept on disk while a turn runs, so that
//! commits outlive a killed program, and thrown away once they have come home.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use recto_cell::{Layer, LayerError};
use recto_protocol::SessionId;
use recto_protocol::policy::{Access, Policy};

use super::home::{Home, make_private};
use crate::exit::Failure;

/// Between the session's id and what can't be guessed; no id has it.
const MARK: char = '.';
/// How long a killed cell may take to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a session may take to start.
const STARTING: Duration = Duration::from_secs(600);
/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// The view of one session's turn.
pub struct View {
    layer: Option<Layer>,
}

impl View {
    /// Makes the place for a session's view, or finds the one that a killed program left. None in it
    /// when there is nothing to keep, or nowhere to keep it: commits then end with the program.
    pub fn open(
        home: &Home,
        id: &SessionId,
        policy: &Policy,
        ephemeral: bool,
    ) -> (Self, Option<String>) {
        if ephemeral {
            return (Self { layer: None }, None);
        }
        Self::within(&directory(home), id, policy)
    }

    /// As [`View::open`], in a directory that is made for it.
    pub fn within(parent: &Path, id: &SessionId, policy: &Policy) -> (Self, Option<String>) {
        let none = Self { layer: None };
        if policy.access != Access::WorkspaceWrite {
            return (none, None);
        }
        let made = make_private(parent)
            .map_err(|error| error.to_string())
            .and_then(|()| {
                let place = left_of(parent, id).unwrap_or_else(|| parent.join(new_name(id)));
                Layer::make(place).map_err(|error| Failure::unavailable(error).message())
            });
        match made {
            Ok(layer) => (Self { layer: Some(layer) }, None),
            Err(reason) => (
                none,
                Some(format!(
                    "commits are not kept if recto is killed before the turn ends: {reason}"
                )),
            ),
        }
    }

    /// Waits until no cell writes into it any more: one that was killed needs a moment to end.
    pub async fn wait_until_free(&self) {
        let Some(layer) = &self.layer else { return };
        let end = Instant::now() + PATIENCE;
        while layer.is_in_use() && Instant::now() < end {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Where it lies.
    pub fn directory(&self) -> Option<PathBuf> {
        Some(self.layer.as_ref()?.directory().to_owned())
    }

    /// Throws it away. The cell must have ended.
    ///
    /// # Errors
    /// Why something of it is left.
    pub fn discard(self) -> Result<(), LayerError> {
        self.layer.map_or(Ok(()), Layer::discard)
    }
}

/// Removes the views of sessions that are gone. One that is in use is left alone.
pub fn reap(home: &Home) {
    let Ok(entries) = std::fs::read_dir(directory(home)) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.split_once(MARK));
        let session = home
            .recto
            .join("sessions")
            .join(id.map_or("", |(id, _)| id));
        let age = entry.metadata().and_then(|meta| meta.modified()).ok();
        let age = age.and_then(|made| made.elapsed().ok());
        // A session that is just starting has its view first.
        if (id.is_none() || !session.exists()) && age.is_some_and(|age| age > STARTING) {
            // It is tried again at the next start.
            let _ = Layer::at(entry.path()).discard();
        }
    }
}

/// The view that a killed program left of a session.
fn left_of(parent: &Path, id: &SessionId) -> Option<PathBuf> {
    let mut entries = std::fs::read_dir(parent).ok()?.flatten();
    let is_its = |name: &str| name.split_once(MARK).is_some_and(|(of, _)| of == id.0);
    let entry = entries.find(|entry| entry.file_name().to_str().is_some_and(is_its))?;
    Some(entry.path())
}

/// A name that nobody can guess: what commands write there is a git directory like any other, and a
/// `.git` file in the work tree could lead the user's git to it.
fn new_name(id: &SessionId) -> String {
    use std::hash::{BuildHasher as _, RandomState};
    // The standard library's hash keys are random, of the system's own.
    let random = [0u8, 1].map(|n| RandomState::new().hash_one(n));
    format!("{}{MARK}{:016x}{:016x}", id.0, random[0], random[1])
}

fn directory(home: &Home) -> PathBuf {
    home.recto.join("layers")
}
