//! The work tree's files, as the harness touches them from outside the cell.

use crate::tool::FileChange;

/// Reads and changes files of one work tree, never outside it, never following a link out of it.
pub trait Files: Send + Sync {
    /// Applies a patch to the work tree: all of it or nothing. Relative paths start from
    /// `directory`, an absolute path inside the work tree.
    ///
    /// # Errors
    /// [`PatchRefused`] with what the model is told; the work tree is then as it was.
    fn apply_patch(&self, patch: &str, directory: &str) -> Result<PatchApplied, PatchRefused>;

    /// Reads a file by its path relative to the work tree's root, at most `limit` bytes.
    ///
    /// # Errors
    /// The system's reason; [`std::io::ErrorKind::PermissionDenied`] for a path that leaves the
    /// work tree.
    fn read(&self, path: &str, limit: u64) -> std::io::Result<Vec<u8>>;
}

/// What a patch did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchApplied {
    /// For the model: one line per file.
    pub summary: String,
    /// The changes, in patch order.
    pub changes: Vec<FileChange>,
}

/// Why a patch was not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PatchRefused {
    /// For the model and the user.
    pub message: String,
    /// What may help, where something is known.
    pub hint: Option<String>,
    /// The files the patch names, as far as it could be read.
    pub changes: Vec<FileChange>,
}
