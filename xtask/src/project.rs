//! The repository on disk: its root, its files, the cargo that was used to start this program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

/// Directories that hold nothing a person wrote. `.git` and build output; the fuzzer's findings.
const SKIPPED: &[&str] = &[
    ".git",
    "target",
    "node_modules",
    "fuzz/corpus",
    "fuzz/artifacts",
];

/// A file with its path relative to the root, written with `/`.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

impl File {
    /// Reads the file as text; `None` for binary content.
    pub(crate) fn text(&self) -> anyhow::Result<Option<String>> {
        let bytes =
            fs::read(&self.path).with_context(|| format!("could not read {}", self.name))?;
        Ok(String::from_utf8(bytes).ok())
    }

    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        self.path
            .extension()
            .is_some_and(|found| found == extension)
    }
}

/// Finds the repository's root: the parent of this crate.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Starts a cargo command in the root, with the cargo that started this program.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// Lists the files below `root`, sorted by name.
///
/// A walk, not `git ls-files`: the checks must say the same about an unpacked archive, which has no `.git`.
pub(crate) fn files(root: &Path) -> anyhow::Result<Vec<File>> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        let entries = fs::read_dir(&directory)
            .with_context(|| format!("could not list {}", directory.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let name = relative(root, &path);
            let kind = entry.file_type()?;
            if kind.is_dir() && !is_skipped(&name) {
                waiting.push(path);
            } else if kind.is_file() {
                found.push(File { name, path });
            }
        }
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(found)
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .to_string_lossy()
        .replace('\\', "/")
}

fn is_skipped(name: &str) -> bool {
    SKIPPED
        .iter()
        .any(|skipped| name == *skipped || name.ends_with(&format!("/{skipped}")))
}

#[cfg(test)]
mod tests {
    use super::is_skipped;

    #[test]
    fn build_output_is_skipped_at_every_depth_and_similar_names_are_not() {
        assert!(is_skipped("target"));
        assert!(is_skipped("crates/patch/fuzz/target"));
        assert!(is_skipped("crates/patch/fuzz/corpus"));
        assert!(!is_skipped("crates/corpus"));
        assert!(!is_skipped("crates/retarget"));
    }
}
