//! From a patch's text to what the stand-alone command prints.

use std::error::Error;
use std::path::Path;

use recto_patch::{ApplyError, normalise, parse, plan};

use super::commit::Committer;
use super::error::ApplyIoError;
use super::recover::recover;
use super::tree::WorkTree;

/// What a command prints and returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// For standard output.
    pub stdout: String,
    /// For standard error.
    pub stderr: String,
    /// 0 if the patch was applied, 1 if nothing was changed.
    pub exit_code: i32,
    /// What may help to mend the patch; printed or not as the caller likes.
    pub hint: Option<String>,
}

/// Applies a patch's text to the tree at `root`.
pub fn apply_text(
    root: &Path,
    patch: &str,
    journal_dir: &Path,
    committer: &dyn Committer,
) -> Outcome {
    match run(root, patch, journal_dir, committer) {
        Ok(stdout) => Outcome {
            stdout,
            stderr: String::new(),
            exit_code: 0,
            hint: None,
        },
        Err(Failure { message, hint }) => Outcome {
            stdout: String::new(),
            stderr: message + "\n",
            exit_code: 1,
            hint,
        },
    }
}

struct Failure {
    message: String,
    hint: Option<String>,
}

impl Failure {
    fn new(message: String) -> Self {
        Failure {
            message,
            hint: None,
        }
    }
}

fn run(
    root: &Path,
    patch: &str,
    journal_dir: &Path,
    committer: &dyn Committer,
) -> Result<String, Failure> {
    let patch = parse(patch).map_err(|error| Failure::new(error.to_string()))?;
    recover(root, journal_dir).map_err(describe)?;
    let mut tree = WorkTree::open(root).map_err(describe)?;
    let plan = plan(&patch, &mut tree).map_err(|error| explain(error, root))?;
    tree.apply(&plan, journal_dir, committer)
        .map_err(describe)?;
    Ok(plan.summary())
}

fn explain(error: ApplyError, root: &Path) -> Failure {
    let error = error.with_path(|path| absolute(path, root));
    Failure {
        message: error.to_string(),
        hint: error.hint(),
    }
}

fn absolute(path: &str, root: &Path) -> String {
    let plain = normalise(path).unwrap_or_else(|| path.to_owned());
    root.join(plain).display().to_string()
}

fn describe(error: ApplyIoError) -> Failure {
    let cause = error
        .source()
        .map(|source| format!(": {source}"))
        .unwrap_or_default();
    Failure::new(format!("{error}{cause}"))
}
