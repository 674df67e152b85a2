//! The work tree's files, for the runtime.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use recto_patch::{FileOp, Patch, ReadFailure};
use recto_protocol::ports::files::{Files, PatchApplied, PatchRefused};
use recto_protocol::tool::{ChangeKind, FileChange};
use recto_workspace::apply::{ApplyIoError, Committer, Recovered, WorkTree, recover};

use super::home::{Home, variable};
use crate::exit::Failure;

/// What a cell masks and patches must not reach either: the program's own directory, and the
/// places of secrets.
pub fn hidden(home: &Home) -> Vec<PathBuf> {
    let mut hidden = vec![home.recto.clone()];
    hidden.extend(recto_cell::secrets_of(&home.user));
    if let Some(cargo) = variable("CARGO_HOME").map(PathBuf::from) {
        hidden.extend(["credentials", "credentials.toml"].map(|name| cargo.join(name)));
    }
    hidden
}

/// The files below one root, changed through journals in another directory.
pub struct TreeFiles {
    root: PathBuf,
    journals: PathBuf,
    hidden: Vec<PathBuf>,
}

impl TreeFiles {
    /// Files below `root`, with journals in `journals`, but for `hidden` ones, which can neither be
    /// read nor written.
    pub fn new(root: &Path, journals: PathBuf, hidden: Vec<PathBuf>) -> Self {
        Self {
            root: root.to_owned(),
            journals,
            hidden,
        }
    }

    /// Finishes or undoes what a killed process left of a patch. Says what it did.
    ///
    /// # Errors
    /// When the work tree can't be brought into order.
    pub fn recover(&self) -> Result<Option<String>, Failure> {
        // Without the directory there was no patch; whatever is wrong with it is told when it is made.
        if !self.journals.is_dir() {
            return Ok(None);
        }
        let recovered = recover(&self.root, &self.journals).map_err(|error| {
            Failure::unavailable(anyhow::anyhow!(describe(&error)))
                .hint("a patch of an earlier run is half applied; `git status` shows what differs")
        })?;
        let said = match recovered {
            Recovered::Nothing => return Ok(None),
            Recovered::Undone => "a patch that an earlier run had only begun was undone".to_owned(),
            Recovered::Finished { skipped } if skipped.is_empty() => {
                "a patch that an earlier run had half applied was finished".to_owned()
            }
            Recovered::Finished { skipped } => format!(
                "a patch that an earlier run had half applied was finished, but for {}, which was \
                 changed meanwhile",
                skipped.join(", ")
            ),
            Recovered::SetAside => {
                "the journal of an earlier patch can't be read and was set aside".to_owned()
            }
        };
        Ok(Some(said))
    }

    fn apply(&self, patch: &Patch, changes: &[FileChange]) -> Result<PatchApplied, PatchRefused> {
        let refused = |message: String, hint| PatchRefused {
            message,
            hint,
            changes: changes.to_vec(),
        };
        let io = |error: ApplyIoError| refused(describe(&error), None);
        recover(&self.root, &self.journals).map_err(io)?;
        let mut tree = WorkTree::open(&self.root).map_err(io)?.hiding(&self.hidden);
        let plan = recto_patch::plan(patch, &mut tree)
            .map_err(|error| refused(error.to_string(), error.hint()))?;
        tree.apply(&plan, &self.journals, &Survivor).map_err(io)?;
        Ok(PatchApplied {
            summary: plan.summary(),
            changes: changes.to_vec(),
        })
    }
}

impl Files for TreeFiles {
    fn apply_patch(&self, patch: &str, directory: &str) -> Result<PatchApplied, PatchRefused> {
        let bare = |message: String| PatchRefused {
            message,
            hint: None,
            changes: Vec::new(),
        };
        let mut patch = recto_patch::parse(patch).map_err(|error| bare(error.to_string()))?;
        let inner = Path::new(directory)
            .strip_prefix(&self.root)
            .map_err(|_| bare(format!("{directory} is outside the work tree")))?;
        if let Some(prefix) = inner.to_str().filter(|prefix| !prefix.is_empty()) {
            move_into(&mut patch, prefix);
        }
        let changes = named(&patch, &self.root);
        self.apply(&patch, &changes)
    }

    fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        let tree = WorkTree::open(&self.root)
            .map_err(io::Error::other)?
            .hiding(&self.hidden);
        tree.read_at_most(path, limit)
            .map_err(|failure| match failure {
                ReadFailure::Missing => io::ErrorKind::NotFound.into(),
                ReadFailure::NotAFile => io::ErrorKind::IsADirectory.into(),
                ReadFailure::Refused(_) => io::ErrorKind::PermissionDenied.into(),
                ReadFailure::Other(reason) => io::Error::other(reason),
            })
    }
}

/// Makes relative paths start from `prefix`.
fn move_into(patch: &mut Patch, prefix: &str) {
    let prefixed = |path: &mut String| {
        if !path.starts_with('/') {
            *path = format!("{prefix}/{path}");
        }
    };
    for op in &mut patch.ops {
        match op {
            FileOp::Add { path, .. } | FileOp::Delete { path } => prefixed(path),
            FileOp::Update { path, move_to, .. } => {
                prefixed(path);
                if let Some(path) = move_to {
                    prefixed(path);
                }
            }
        }
    }
}

/// The changes as the patch names them, with paths relative to the root.
fn named(patch: &Patch, root: &Path) -> Vec<FileChange> {
    let relative = |path: &str| {
        let inner = Path::new(path)
            .strip_prefix(root)
            .ok()
            .and_then(Path::to_str)
            .unwrap_or(path);
        recto_patch::normalise(inner).unwrap_or_else(|| inner.to_owned())
    };
    patch
        .ops
        .iter()
        .map(|op| {
            let (path, change, moved_to) = match op {
                FileOp::Add { path, .. } => (path, ChangeKind::Add, None),
                FileOp::Delete { path } => (path, ChangeKind::Delete, None),
                FileOp::Update { path, move_to, .. } => {
                    (path, ChangeKind::Update, move_to.as_deref().map(relative))
                }
            };
            FileChange {
                path: relative(path),
                change,
                moved_to,
            }
        })
        .collect()
}

fn describe(error: &ApplyIoError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Works journals off in a process of its own, so that a patch for several files is finished even
/// if this process is killed between two of them.
pub struct Survivor;

impl Committer for Survivor {
    fn commit(&self, journal: &Path) -> io::Result<()> {
        use std::os::unix::process::CommandExt as _;
        let mut command = std::process::Command::new("/proc/self/exe");
        command
            .arg("commit-journal")
            .arg(journal)
            .env_clear()
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            // Not in the terminal's foreground group, so that Ctrl-C does not reach it.
            .process_group(0);
        let status = command.status()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other("the committer failed"))
        }
    }
}
