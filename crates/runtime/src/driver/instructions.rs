//! Finds instruction files below the working directory when the agent first touches their place.

use std::collections::BTreeSet;
use std::sync::Arc;

use recto_agent::{agents_md, context};
use recto_protocol::ports::files::Files;
use recto_protocol::record::{Body, ContextAdded, Warning};
use recto_protocol::settings::Settings;
use recto_protocol::tool::{Effect, ToolCall};
use recto_protocol::{Item, Record};

/// What `context.added` records about instruction files are about.
pub(crate) const ABOUT: &str = "agents_md";
/// Most directories that are ever looked into, so that hostile output can't keep the disk busy.
const MOST_DIRECTORIES: usize = 2000;
/// Most bytes of one instruction file that are read.
const MOST_BYTES: u64 = 1 << 20;

/// Most bytes that a session is given of all files found during its turns.
const ROOM: usize = 2 * agents_md::BUDGET;
const EXHAUSTED: &str = "There is no more room for instruction files: from here on they are not \
                         given to you. Where you work in another directory, look for its AGENTS.md \
                         and read it yourself.";

/// Knows which directories were looked into already.
pub(crate) struct Instructions {
    files: Arc<dyn Files>,
    names: Vec<String>,
    root: String,
    /// The working directory, absolute.
    cwd: String,
    seen: BTreeSet<String>,
    /// Bytes that may still be given.
    room: usize,
    /// It was said that there is no room any more.
    exhausted: bool,
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
            cwd: settings.cwd.clone(),
            seen: BTreeSet::new(),
            room: ROOM.saturating_sub(given_in_turns(records)),
            exhausted: false,
        };
        // Everything from the root to the working directory was given at the start.
        let inner = instructions
            .relative("/", &settings.cwd)
            .unwrap_or_default();
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

    /// The files that apply to what a call touched and were not given yet, as records.
    pub(crate) fn touched(&mut self, call: &ToolCall, effect: &Effect) -> Vec<Body> {
        if self.exhausted {
            return Vec::new();
        }
        let mut directories = BTreeSet::new();
        match effect {
            Effect::Files { changes } => {
                for change in changes {
                    directories.extend(self.parents_of(&self.root, &change.path));
                }
            }
            Effect::Command { command, .. } => {
                let base = joined(&self.cwd, &workdir(call).unwrap_or_default());
                for word in words(command) {
                    directories.extend(self.parents_of(&base, word));
                }
                directories.extend(self.parents_of(&base, "./"));
            }
            Effect::None | Effect::Plan { .. } | Effect::Image { .. } => {}
        }
        let found = self.load(directories);
        if found.is_empty() {
            return Vec::new();
        }
        self.give(found)
    }

    /// As much of the files as there is room for, and what users are told of the rest.
    fn give(&mut self, found: Vec<agents_md::File>) -> Vec<Body> {
        let selection = agents_md::select(&found, self.room.min(agents_md::BUDGET));
        let given: usize = selection.given.iter().map(|(_, text)| text.len()).sum();
        self.room = self.room.saturating_sub(given);
        let mut notices = selection.notices;
        let mut items = Vec::new();
        if !selection.given.is_empty() {
            items.push(context::instruction_files(&selection.given, false));
        }
        if self.room == 0 {
            self.exhausted = true;
            items.push(Item::message("developer", EXHAUSTED));
            notices.push(format!(
                "Instruction files found during turns are limited to {ROOM} bytes together; \
                 further ones are not given."
            ));
        }
        let added = ContextAdded {
            about: ABOUT.into(),
            items,
            sources: found.into_iter().map(|file| file.path).collect(),
        };
        let warnings = notices.into_iter().map(|message| Warning {
            code: "instructions_cut".into(),
            message,
        });
        warnings.map(Body::from).chain([added.into()]).collect()
    }

    /// The directories above a path that starts from `base`, as far as they lie in the work tree
    /// and are new. A path that ends in a slash is a directory itself.
    fn parents_of(&self, base: &str, path: &str) -> Vec<String> {
        let (directory, _) = path.rsplit_once('/').unwrap_or_default();
        let directory = if path.starts_with('/') && directory.is_empty() {
            "/"
        } else {
            directory
        };
        let Some(relative) = self.relative(base, directory) else {
            return Vec::new();
        };
        ancestors(&relative)
            .filter(|directory| !self.seen.contains(directory))
            .collect()
    }

    /// A path that starts from `base`, as it is called from the root; none outside of it.
    fn relative(&self, base: &str, path: &str) -> Option<String> {
        let path = normal(&joined(base, path));
        let rest = path.strip_prefix(&self.root)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/').to_owned())
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

/// Bytes of files that were given during the turns of `records`.
fn given_in_turns(records: &[Record]) -> usize {
    let mut in_turn = false;
    let mut given = 0;
    for record in records {
        match &record.body {
            Body::TurnStarted(_) | Body::StepStarted(_) | Body::ToolFinished(_) => in_turn = true,
            // What is given next is about the start directories.
            Body::TurnEnded(_) | Body::DriverAttached(_) => in_turn = false,
            Body::ContextAdded(added) if in_turn && added.about == ABOUT => {
                given += added
                    .items
                    .iter()
                    .map(|item| item.raw().len())
                    .sum::<usize>();
            }
            _ => {}
        }
    }
    given
}

/// `path` from `base` on, unless it is absolute.
fn joined(base: &str, path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{}/{path}", base.trim_end_matches('/'))
    }
}

/// An absolute path without `.` and `..`, by its letters alone: links are not followed.
fn normal(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.iter().flat_map(|part| ["/", part]).collect()
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
