//! What a surface says of an import.

use super::{Fate, Imported, ImportedRef, Notable, NotableKind, Oid};

impl Imported {
    /// Whether anything was brought home.
    pub fn is_empty(&self) -> bool {
        self.refs.is_empty()
    }

    /// What became of the user's own branches and tags, a line each.
    pub fn lines(&self) -> Vec<String> {
        let followed = self.refs.iter().filter_map(|one| {
            let (kind, name) = match one.name.strip_prefix("refs/tags/") {
                Some(tag) => ("tag", tag),
                None => ("branch", one.name.strip_prefix("refs/heads/")?),
            };
            let (name, to) = (plain(name), short(&one.oid));
            match &one.fate {
                Fate::Moved { from: Some(from) } => {
                    Some(format!("{kind} {name} moved from {} to {to}", short(from)))
                }
                Fate::Moved { from: None } => Some(format!("{kind} {name} begins at {to}")),
                Fate::Created => Some(format!("{kind} {name} made at {to}")),
                Fate::Kept(_) => None,
            }
        });
        followed.collect()
    }

    /// What people should know, a sentence each. Nothing is said of a branch that simply followed.
    /// Names that the cell made up are escaped.
    pub fn warnings(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.refs.iter().filter_map(not_followed).collect();
        lines.extend(self.refused.iter().map(|one| {
            let name = plain(&one.name);
            format!("{name} was not taken out of the cell: {}", one.reason)
        }));
        lines.extend(
            self.deleted
                .iter()
                .map(|name| format!("{} was deleted in the cell; yours is kept", plain(name))),
        );
        lines.extend(self.switched.iter().map(|name| {
            let short = plain(name.strip_prefix("refs/heads/").unwrap_or(name));
            format!(
                "{short} was checked out in the cell, so the files are those of {short}; your \
                 HEAD stays where it is"
            )
        }));
        lines.extend(self.notable.iter().map(told));
        lines
    }
}

fn not_followed(one: &ImportedRef) -> Option<String> {
    match &one.fate {
        Fate::Moved { .. } | Fate::Created => None,
        Fate::Kept(why) => Some(format!(
            "{} did not follow the session's commits: {why}; they are at {}",
            plain(&one.name),
            plain(&one.at)
        )),
    }
}

fn told(one: &Notable) -> String {
    let (name, path) = (plain(&one.name), plain(&one.path));
    match one.kind {
        NotableKind::Attributes => {
            format!("{path} is changed on {name}: it says how git converts files")
        }
        NotableKind::Modules => {
            format!("{path} is changed on {name}: it says where other repositories come from")
        }
        NotableKind::Submodule => format!("{path} on {name} is a commit of another repository"),
        NotableKind::Workflow => {
            format!("{path} is changed on {name}: a server runs it when it is pushed")
        }
        NotableKind::Unseen => format!("there are too many changes on {name} to look through"),
    }
}

fn short(oid: &Oid) -> &str {
    &oid.as_str()[..10]
}

/// A name without what a terminal would act on.
fn plain(name: &str) -> String {
    name.escape_debug().take(200).collect()
}
