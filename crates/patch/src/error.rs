//! What can go wrong, in words a model can act on.
//!
//! The first line of each message is fixed: models know it and the conformance cases compare it.
//! What we can say beyond it is in the `hint` methods.

use crate::parse::MAX_PATCH_BYTES;

/// Why a patch's text is not a patch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text is longer than we are willing to look at.
    #[error("Invalid patch: it has {size} bytes, and the limit is {MAX_PATCH_BYTES}")]
    TooLarge {
        /// The text's length in bytes.
        size: usize,
    },
    /// The first line is another one.
    #[error("Invalid patch: The first line of the patch must be '*** Begin Patch'")]
    NoBegin,
    /// The last line is another one.
    #[error("Invalid patch: The last line of the patch must be '*** End Patch'")]
    NoEnd,
    /// A line between files is no file header.
    #[error(
        "Invalid patch hunk on line {line}: '{found}' is not a valid hunk header. Valid hunk \
         headers: '*** Add File: {{path}}', '*** Delete File: {{path}}', '*** Update File: {{path}}'"
    )]
    NotAHeader {
        /// The line's number; `*** Begin Patch` is line 1.
        line: usize,
        /// The line without surrounding blanks.
        found: String,
    },
    /// An update says nothing.
    #[error("Invalid patch hunk on line {line}: Update file hunk for path '{path}' is empty")]
    EmptyUpdate {
        /// The header's line number.
        line: usize,
        /// The file it names.
        path: String,
    },
    /// A `@@` line is followed by nothing.
    #[error("Invalid patch hunk on line {line}: Update hunk does not contain any lines")]
    EmptyHunk {
        /// The number of the line that should have held a change.
        line: usize,
    },
    /// A hunk begins with a line that is neither change nor context.
    #[error(
        "Invalid patch hunk on line {line}: Unexpected line found in update hunk: '{found}'. \
         Every line should start with ' ' (context line), '+' (added line), or '-' (removed line)"
    )]
    NotAChange {
        /// The line's number.
        line: usize,
        /// The line.
        found: String,
    },
    /// Something other than a `@@` line follows a hunk.
    #[error(
        "Invalid patch hunk on line {line}: Expected update hunk to start with a @@ context \
         marker, got: '{found}'"
    )]
    NoMarker {
        /// The line's number.
        line: usize,
        /// The line.
        found: String,
    },
}

/// Why a [`crate::Source`] could not give a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadFailure {
    /// There is no such file.
    #[error("No such file or directory (os error 2)")]
    Missing,
    /// There is something, but no regular file.
    #[error("is not a file")]
    NotAFile,
    /// The path is against the rules.
    #[error("{0}")]
    Refused(String),
    /// The file could not be read.
    #[error("{0}")]
    Other(String),
}

/// Why a hunk has no place in a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// No line says what the `@@` line says.
    #[error("Failed to find context '{context}'")]
    Context {
        /// The text after `@@ `.
        context: String,
        /// What the text holds instead, if anything comes close.
        hint: Option<String>,
    },
    /// The quoted lines are not there, or not after the hunk before.
    #[error("Failed to find expected lines:\n{lines}")]
    Lines {
        /// The context and removed lines, joined.
        lines: String,
        /// What the text holds instead, if anything comes close.
        hint: Option<String>,
    },
    /// Finding out would take too long.
    #[error("gave up matching after {0} comparisons; use fewer or more distinctive hunks")]
    TooMuchWork(u64),
}

/// Why a patch cannot be applied. Nothing is changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The patch names no file.
    #[error("No files were modified.")]
    Nothing,
    /// A path is against the rules.
    #[error("Refused {path}: {rule}")]
    Refused {
        /// The path as the patch has it.
        path: String,
        /// The rule it breaks.
        rule: String,
    },
    /// A file to update cannot be read.
    #[error("Failed to read file to update {path}: {cause}")]
    Read {
        /// The path as the patch has it.
        path: String,
        /// Why.
        cause: String,
    },
    /// A file to update is a directory or the like.
    #[error("Failed to read file to update {path}: path `{path}` is not a file")]
    NotAFile {
        /// The path as the patch has it.
        path: String,
    },
    /// A file cannot be made.
    #[error("Failed to write file {path}")]
    Write {
        /// The path as the patch has it.
        path: String,
        /// Why.
        cause: String,
    },
    /// A file cannot be deleted.
    #[error("Failed to delete file {path}")]
    Delete {
        /// The path as the patch has it.
        path: String,
        /// Why.
        cause: String,
    },
    /// No line says what the `@@` line says.
    #[error("Failed to find context '{context}' in {path}")]
    Context {
        /// The path as the patch has it.
        path: String,
        /// The text after `@@ `.
        context: String,
        /// See [`ApplyError::hint`].
        hint: Option<String>,
    },
    /// The quoted lines are not in the file, or not after the hunk before.
    #[error("Failed to find expected lines in {path}:\n{lines}")]
    Lines {
        /// The path as the patch has it.
        path: String,
        /// The context and removed lines, joined.
        lines: String,
        /// See [`ApplyError::hint`].
        hint: Option<String>,
    },
    /// Matching would take too long.
    #[error("Failed to match the hunks for {path}: {cause}")]
    TooMuchWork {
        /// The path as the patch has it.
        path: String,
        /// How long we tried.
        cause: String,
    },
}

impl ApplyError {
    /// Says what may help to mend the patch, in one or two sentences without a final newline.
    pub fn hint(&self) -> Option<String> {
        match self {
            ApplyError::Context { hint, .. } | ApplyError::Lines { hint, .. } => hint.clone(),
            ApplyError::Write { cause, .. } | ApplyError::Delete { cause, .. } => {
                Some(format!("Cause: {cause}."))
            }
            ApplyError::Nothing
            | ApplyError::Refused { .. }
            | ApplyError::Read { .. }
            | ApplyError::NotAFile { .. }
            | ApplyError::TooMuchWork { .. } => None,
        }
    }

    /// Returns the path the error is about, as the patch has it.
    pub fn path(&self) -> Option<&str> {
        match self {
            ApplyError::Nothing => None,
            ApplyError::Refused { path, .. }
            | ApplyError::Read { path, .. }
            | ApplyError::NotAFile { path }
            | ApplyError::Write { path, .. }
            | ApplyError::Delete { path, .. }
            | ApplyError::Context { path, .. }
            | ApplyError::Lines { path, .. }
            | ApplyError::TooMuchWork { path, .. } => Some(path),
        }
    }

    /// Returns the same error about the path under another name, such as its absolute form.
    ///
    /// A refusal keeps the path as the patch has it: its spelling is what was refused.
    pub fn with_path(mut self, name: impl FnOnce(&str) -> String) -> Self {
        match &mut self {
            ApplyError::Nothing | ApplyError::Refused { .. } => {}
            ApplyError::Read { path, .. }
            | ApplyError::NotAFile { path }
            | ApplyError::Write { path, .. }
            | ApplyError::Delete { path, .. }
            | ApplyError::Context { path, .. }
            | ApplyError::Lines { path, .. }
            | ApplyError::TooMuchWork { path, .. } => *path = name(path),
        }
        self
    }

    pub(crate) fn from_match(path: &str, error: MatchError) -> Self {
        let path = path.to_owned();
        match error {
            MatchError::Context { context, hint } => ApplyError::Context {
                path,
                context,
                hint,
            },
            MatchError::Lines { lines, hint } => ApplyError::Lines { path, lines, hint },
            MatchError::TooMuchWork(_) => ApplyError::TooMuchWork {
                path,
                cause: error.to_string(),
            },
        }
    }
}
