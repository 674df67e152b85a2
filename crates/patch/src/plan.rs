//! From a patch and the files it names to the state every file shall have.

use std::collections::BTreeMap;

use crate::edit::edit;
use crate::error::{ApplyError, ReadFailure};
use crate::parse::{FileOp, Hunk, Patch};
use crate::source::{Meaning, Source};

/// What a whole patch comes to. Later operations have seen the results of earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// One entry per file that differs or was named, by name.
    pub changes: Vec<Change>,
    /// What to report, in the patch's order.
    reports: Vec<(Letter, String)>,
}

/// The fate of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The name [`Source::resolve`] gave.
    pub path: String,
    /// The path as the patch has it.
    pub written: String,
    /// What happens.
    pub kind: ChangeKind,
    /// The bytes before, where the plan had to read them.
    pub before: Option<Vec<u8>>,
    /// The bytes after; `None` if the file is gone.
    pub after: Option<Vec<u8>>,
}

/// What happens to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// A file is made; whatever had the name was deleted by the same patch.
    Add,
    /// The file gets a new text and keeps its mode.
    Update,
    /// The file goes.
    Delete,
    /// The file comes from another name and keeps its mode.
    Move {
        /// The name it had.
        from: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Letter {
    A,
    M,
    D,
}

impl Plan {
    /// Returns the report for the model: files made, then changed, then deleted.
    pub fn summary(&self) -> String {
        let mut reports: Vec<_> = self.reports.iter().collect();
        reports.sort_by_key(|(letter, _)| *letter);
        let mut text = String::from("Success. Updated the following files:\n");
        for (letter, path) in reports {
            text.push_str(&format!("{letter:?} {path}\n"));
        }
        text
    }
}

/// Works out what a patch comes to, without changing anything.
pub fn plan(patch: &Patch, source: &mut dyn Source) -> Result<Plan, ApplyError> {
    if patch.ops.is_empty() {
        return Err(ApplyError::Nothing);
    }
    let mut planner = Planner {
        source,
        files: BTreeMap::new(),
        reports: Vec::new(),
    };
    for op in &patch.ops {
        match op {
            FileOp::Add { path, contents } => planner.add(path, contents)?,
            FileOp::Delete { path } => planner.delete(path)?,
            FileOp::Update {
                path,
                move_to,
                hunks,
            } => {
                planner.update(path, move_to.as_deref(), hunks)?;
            }
        }
    }
    Ok(planner.finish())
}

/// A file as the patch has left it so far.
struct File {
    written: String,
    existed: bool,
    before: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
    /// The file on disk whose mode this one keeps.
    origin: Option<String>,
}

struct Planner<'s> {
    source: &'s mut dyn Source,
    files: BTreeMap<String, File>,
    reports: Vec<(Letter, String)>,
}

impl Planner<'_> {
    fn add(&mut self, path: &str, contents: &str) -> Result<(), ApplyError> {
        let name = self
            .content_name(path)
            .map_err(|cause| write_error(path, cause))?;
        let exists = self
            .exists(&name)
            .map_err(|cause| write_error(path, cause))?;
        self.check_room(path, &name)?;
        let origin = exists.then(|| self.origin(&name));
        self.put(
            path,
            &name,
            Some(contents.as_bytes().to_vec()),
            origin.flatten(),
        );
        self.report(if exists { Letter::M } else { Letter::A }, path);
        Ok(())
    }

    fn delete(&mut self, path: &str) -> Result<(), ApplyError> {
        let entry = self
            .source
            .resolve(path, Meaning::Entry)
            .map_err(|cause| delete_error(path, cause))?;
        match self.exists(&entry) {
            Ok(true) => {}
            Ok(false) => return Err(delete_error(path, ReadFailure::Missing)),
            Err(cause) => return Err(delete_error(path, cause)),
        }
        self.put(path, &entry, None, None);
        self.report(Letter::D, path);
        Ok(())
    }

    fn update(
        &mut self,
        path: &str,
        move_to: Option<&str>,
        hunks: &[Hunk],
    ) -> Result<(), ApplyError> {
        let name = self
            .content_name(path)
            .map_err(|cause| read_error(path, cause))?;
        let before = self.read(&name).map_err(|cause| read_error(path, cause))?;
        let after = edit_bytes(path, &before, hunks)?;
        let target = match move_to {
            Some(target) => self.move_target(path, &name, target)?,
            None => None,
        };
        let origin = self.origin(&name);
        let shown = move_to.unwrap_or(path);
        match target {
            None => self.put(path, &name, Some(after), origin),
            Some((entry, target)) => {
                self.put(path, &entry, None, None);
                self.check_room(shown, &target)?;
                self.put(shown, &target, Some(after), origin);
            }
        }
        self.report(Letter::M, shown);
        if let Some(file) = self.files.get_mut(&name) {
            file.before.get_or_insert(before);
        }
        Ok(())
    }

    /// Returns the name that goes and the name that comes, or `None` if both mean one file.
    fn move_target(
        &mut self,
        path: &str,
        name: &str,
        target: &str,
    ) -> Result<Option<(String, String)>, ApplyError> {
        let entry = self
            .source
            .resolve(path, Meaning::Entry)
            .map_err(|cause| read_error(path, cause))?;
        let new = self
            .content_name(target)
            .map_err(|cause| write_error(target, cause))?;
        if new == name || new == entry {
            return Ok(None);
        }
        self.exists(&new)
            .map_err(|cause| write_error(target, cause))?;
        Ok(Some((entry, new)))
    }

    /// Names the file that a text for `path` goes to. What the patch itself has put at or taken
    /// from the name counts, not what is on disk: a deleted link is no longer followed.
    fn content_name(&mut self, path: &str) -> Result<String, ReadFailure> {
        let entry = self.source.resolve(path, Meaning::Entry)?;
        if self.files.contains_key(&entry) {
            return Ok(entry);
        }
        self.source.resolve(path, Meaning::Content)
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, ReadFailure> {
        match self.files.get(name) {
            Some(file) => file.after.clone().ok_or(ReadFailure::Missing),
            None => self.source.read(name),
        }
    }

    fn exists(&mut self, name: &str) -> Result<bool, ReadFailure> {
        if let Some(file) = self.files.get(name) {
            return Ok(file.after.is_some());
        }
        match self.source.probe(name) {
            Ok(()) => Ok(true),
            Err(ReadFailure::Missing) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Turns down a name that the same patch uses as a file and as a directory.
    fn check_room(&self, path: &str, name: &str) -> Result<(), ApplyError> {
        let above = name.match_indices('/').map(|(at, _)| &name[..at]);
        let file_above = above
            .into_iter()
            .find(|above| self.files.contains_key(*above));
        let prefix = format!("{name}/");
        let file_below = self
            .files
            .range(prefix.clone()..)
            .next()
            .filter(|(below, _)| below.starts_with(&prefix))
            .map(|(below, _)| below.as_str());
        let Some(other) = file_above.or(file_below) else {
            return Ok(());
        };
        Err(ApplyError::Write {
            path: path.to_owned(),
            cause: format!(
                "the same patch has {other} as a file, so one of them would have to be a \
                 directory; use two patches"
            ),
        })
    }

    /// Returns the file on disk whose mode a text put at `name` keeps.
    fn origin(&self, name: &str) -> Option<String> {
        match self.files.get(name) {
            Some(file) => file.origin.clone(),
            None => Some(name.to_owned()),
        }
    }

    fn put(&mut self, path: &str, name: &str, after: Option<Vec<u8>>, origin: Option<String>) {
        if let Some(file) = self.files.get_mut(name) {
            file.after = after;
            file.origin = origin;
            return;
        }
        let existed = self.source.probe(name).is_ok();
        let written = path.to_owned();
        let file = File {
            written,
            existed,
            before: None,
            after,
            origin,
        };
        self.files.insert(name.to_owned(), file);
    }

    fn report(&mut self, letter: Letter, path: &str) {
        self.reports.push((letter, path.to_owned()));
    }

    fn finish(self) -> Plan {
        let changes = self
            .files
            .into_iter()
            .filter_map(|(path, file)| finish(path, file));
        Plan {
            changes: changes.collect(),
            reports: self.reports,
        }
    }
}

fn finish(path: String, file: File) -> Option<Change> {
    let kind = match (&file.after, file.origin) {
        (Some(_), Some(from)) if from == path => ChangeKind::Update,
        (Some(_), Some(from)) => ChangeKind::Move { from },
        (Some(_), None) => ChangeKind::Add,
        (None, _) if file.existed => ChangeKind::Delete,
        // Made and deleted by the same patch.
        (None, _) => return None,
    };
    let File {
        written,
        before,
        after,
        ..
    } = file;
    Some(Change {
        path,
        written,
        kind,
        before,
        after,
    })
}

fn edit_bytes(path: &str, before: &[u8], hunks: &[Hunk]) -> Result<Vec<u8>, ApplyError> {
    if hunks.is_empty() {
        return Ok(before.to_vec());
    }
    let Ok(text) = std::str::from_utf8(before) else {
        let cause = "stream did not contain valid UTF-8".to_owned();
        return Err(ApplyError::Read {
            path: path.to_owned(),
            cause,
        });
    };
    let after = edit(text, hunks).map_err(|error| ApplyError::from_match(path, error))?;
    Ok(after.into_bytes())
}

fn read_error(path: &str, cause: ReadFailure) -> ApplyError {
    let path = path.to_owned();
    match cause {
        ReadFailure::Refused(rule) => ApplyError::Refused { path, rule },
        ReadFailure::NotAFile => ApplyError::NotAFile { path },
        cause => ApplyError::Read {
            path,
            cause: cause.to_string(),
        },
    }
}

fn write_error(path: &str, cause: ReadFailure) -> ApplyError {
    let path = path.to_owned();
    match cause {
        ReadFailure::Refused(rule) => ApplyError::Refused { path, rule },
        cause => ApplyError::Write {
            path,
            cause: cause.to_string(),
        },
    }
}

fn delete_error(path: &str, cause: ReadFailure) -> ApplyError {
    let path = path.to_owned();
    match cause {
        ReadFailure::Refused(rule) => ApplyError::Refused { path, rule },
        cause => ApplyError::Delete {
            path,
            cause: cause.to_string(),
        },
    }
}
