//! Finds instruction files below the working directory when the agent first touches their place.

use std::collections::BTreeSet;
use std::sync::Arc;

use recto_agent::{agents_md, context};
use recto_protocol::Record;
use recto_protocol::ports::files::Files;
use recto_protocol::record::{Body, ContextAdded};
use recto_protocol::settings::Settings;
use recto_protocol::tool::{Effect, ToolCall};

/// What `context.added` records about instruction files are about.
pub(crate) const ABOUT: &str = "agents_md";
/// Most directories that are ever looked into, so that hostile output can't keep the disk busy.
const MOST_DIRECTORIES: usize = 2000;
/// Most bytes of one instruction file that are read.
const MOST_BYTES: u64 = 1 << 20;

/// Knows which directories were looked into already.
pub(crate) struct Instructions {
    files: Arc<dyn Files>,
    names: Vec<String>,
    root: String,
    seen: BTreeSet<String>,
}

impl Instructions {
    pub(crate) fn new(
        files: Arc<dyn Files>,
        fallbacks: Vec<String>,
        settings: &Settings,
        records: &[Record],
    ) -> Self {
        let mut instructions = Self {
            files,
            names: names(&fallbacks),
            root: settings.root.trim_end_matches('/').to_owned(),
            seen: BTreeSet::new(),
        };
        // Everything from the root to the working directory was given at the start.
        let inner = instructions.relative(&settings.cwd).unwrap_or_default();
        instructions.seen.extend(ancestors(&inner));
        for record in records {
            if let Body::ContextAdded(added) = &record.body
                && added.about == ABOUT
            {
                instructions
                    .seen
                    .extend(added.sources.iter().filter_map(|path| {
                        path.rsplit_once('/')
                            .map(|(directory, _)| directory.to_owned())
                    }));
            }
        }
        instructions
    }

    /// The files that apply to what a call touched and were not given yet, as a record.
    pub(crate) fn touched(&mut self, call: &ToolCall, effect: &Effect) -> Option<ContextAdded> {
        let mut directories = BTreeSet::new();
        match effect {
            Effect::Files { changes } => {
                for change in changes {
                    directories.extend(self.parents_of(&change.path));
                }
            }
            Effect::Command { command, .. } => {
                for word in words(command) {
                    directories.extend(self.parents_of(word));
                }
                if let Some(workdir) = workdir(call) {
                    directories.extend(self.parents_of(&format!("{workdir}/.")));
                }
            }
            Effect::None | Effect::Plan { .. } | Effect::Image { .. } => {}
        }
        let found = self.load(directories);
        if found.is_empty() {
            return None;
        }
        let selection = agents_md::select(&found, agents_md::BUDGET);
        Some(ContextAdded {
            about: ABOUT.into(),
            items: vec![context::instruction_files(&selection.given, false)],
            sources: found.into_iter().map(|file| file.path).collect(),
        })
    }

    /// The directories above a path, as far as they lie in the work tree and are new.
    fn parents_of(&self, path: &str) -> Vec<String> {
        let Some(relative) = self.relative(path) else {
            return Vec::new();
        };
        let Some((directory, _)) = relative.rsplit_once('/') else {
            return Vec::new();
        };
        ancestors(directory)
            .filter(|directory| !self.seen.contains(directory))
            .collect()
    }

    fn relative(&self, path: &str) -> Option<String> {
        let inner = match path.strip_prefix(&self.root) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest.trim_start_matches('/'),
            _ if path.starts_with('/') => return None,
            _ => path.trim_start_matches("./"),
        };
        (!inner.split('/').any(|part| part == "..")).then(|| inner.to_owned())
    }

    /// Reads what there is, outermost first.
    fn load(&mut self, directories: BTreeSet<String>) -> Vec<agents_md::File> {
        let mut found = Vec::new();
        // A parent sorts before what lies in it.
        for directory in directories {
            if self.seen.len() >= MOST_DIRECTORIES || !self.seen.insert(directory.clone()) {
                continue;
            }
            found.extend(read(self.files.as_ref(), &self.names, &directory));
        }
        found
    }
}

/// The names that count as instruction files, most preferred first.
pub(crate) fn names(fallbacks: &[String]) -> Vec<String> {
    ["AGENTS.override.md", "AGENTS.md"]
        .into_iter()
        .map(str::to_owned)
        .chain(fallbacks.iter().cloned())
        .collect()
}

/// The instruction file of a directory of the work tree, if it has one.
pub(crate) fn read(
    files: &dyn Files,
    names: &[String],
    directory: &str,
) -> Option<agents_md::File> {
    names.iter().find_map(|name| {
        let path = if directory.is_empty() {
            name.clone()
        } else {
            format!("{directory}/{name}")
        };
        let bytes = files.read(&path, MOST_BYTES).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        (!text.trim().is_empty()).then_some(agents_md::File { path, text })
    })
}

/// A relative directory and everything above it, the work tree's root (empty) included.
pub(crate) fn ancestors(directory: &str) -> impl Iterator<Item = String> {
    let ends = directory
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([directory.len()]);
    let mut all: Vec<String> = ends.map(|end| directory[..end].to_owned()).collect();
    all.insert(0, String::new());
    all.dedup();
    all.into_iter()
}

/// Words of a command line that may be paths.
fn words(command: &str) -> impl Iterator<Item = &str> {
    command
        .split(|c: char| c.is_whitespace() || "\"'`;|&<>()=,".contains(c))
        .filter(|word| word.contains('/') && word.len() < 4096)
        .take(200)
}

fn workdir(call: &ToolCall) -> Option<String> {
    let arguments: serde_json::Value = serde_json::from_str(call.input.text()).ok()?;
    arguments["workdir"]
        .as_str()
        .filter(|dir| !dir.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestors_go_from_the_root_inwards() {
        let all = |directory| ancestors(directory).collect::<Vec<_>>();
        assert_eq!(all("a/b/c"), ["", "a", "a/b", "a/b/c"]);
        assert_eq!(all("a"), ["", "a"]);
        assert_eq!(all(""), [""]);
    }

    #[test]
    fn paths_are_found_in_command_lines() {
        let found: Vec<&str> = words("cat src/a.rs | sed -n '1,5p' > 'out/x y/z'").collect();
        assert_eq!(found, ["src/a.rs", "out/x", "y/z"]);
    }
}
