//! Differences between trees, made from objects only.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::oid::Oid;
use super::run::RunError;
use super::trusted::Trusted;

/// How to write a diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiffOptions {
    /// Most bytes of the patch.
    pub limit: u64,
    /// Lines of context.
    pub context: u32,
    /// Whether binary files are written out, so that the patch can be applied.
    pub binary: bool,
}

impl Default for DiffOptions {
    fn default() -> Self {
        Self {
            limit: 8 << 20,
            context: 3,
            binary: false,
        }
    }
}

/// The difference between two trees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// The unified diff, in the bytes that the files have.
    pub patch: Vec<u8>,
    /// Whether the patch was cut, at the end of a line, at the limit.
    pub truncated: bool,
    /// The changed files, all of them.
    pub files: Vec<FileStat>,
}

impl Diff {
    /// The patch as text; bytes that are no text are replaced.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.patch)
    }
}

/// How much of a file changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// Its path.
    pub path: PathBuf,
    /// Its path before, when it was renamed.
    pub old_path: Option<PathBuf>,
    /// Lines added; none for a binary file.
    pub added: Option<u64>,
    /// Lines removed; none for a binary file.
    pub removed: Option<u64>,
}

impl Trusted {
    /// The difference from tree (or commit) `from` to `to`. Attributes are not looked at: no file
    /// of a repository decides what of a change is shown.
    ///
    /// # Errors
    /// When there is no such object, or git's reason.
    pub async fn diff(&self, from: &Oid, to: &Oid, options: DiffOptions) -> Result<Diff, RunError> {
        let call = |form: &[&str]| {
            self.objects("diff-tree")
                .args([
                    "-r",
                    "--no-ext-diff",
                    "--no-textconv",
                    "--find-renames",
                    "--no-color",
                ])
                .args(form)
                .args(["--end-of-options", from.as_str(), to.as_str(), "--"])
        };
        let unified = format!("--unified={}", options.context);
        let binary = if options.binary {
            "--binary"
        } else {
            "--full-index"
        };
        let prefixes = ["--src-prefix=a/", "--dst-prefix=b/"];
        let patch = call(&["--patch", &unified, binary, prefixes[0], prefixes[1]])
            .limit(options.limit)
            .read_some(&[0]);
        let (patch, stat) = tokio::join!(patch, call(&["--numstat", "-z"]).read());
        let mut patch = patch?;
        if patch.cut {
            let end = patch
                .bytes
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            patch.bytes.truncate(end);
        }
        let files = numstat(&stat?).ok_or_else(|| RunError::Output {
            command: "diff-tree".to_owned(),
        })?;
        Ok(Diff {
            patch: patch.bytes,
            truncated: patch.cut,
            files,
        })
    }
}

/// Reads `added TAB removed TAB path NUL`, or with an empty path and two more for a rename.
fn numstat(bytes: &[u8]) -> Option<Vec<FileStat>> {
    let mut files = Vec::new();
    let mut fields = bytes.split(|byte| *byte == 0);
    while let Some(field) = fields.next().filter(|field| !field.is_empty()) {
        let mut parts = field.splitn(3, |byte| *byte == b'\t');
        let (added, removed) = (count(parts.next()?)?, count(parts.next()?)?);
        let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
        let (path, old_path) = match parts.next()? {
            b"" => {
                let old = path(fields.next()?);
                (path(fields.next()?), Some(old))
            }
            name => (path(name), None),
        };
        files.push(FileStat {
            path,
            old_path,
            added,
            removed,
        });
    }
    Some(files)
}

/// A number, or a dash for a binary file.
#[allow(clippy::option_option)] // The outer one is an error, the inner one an answer.
fn count(bytes: &[u8]) -> Option<Option<u64>> {
    if bytes == b"-" {
        return Some(None);
    }
    std::str::from_utf8(bytes).ok()?.parse().ok().map(Some)
}
