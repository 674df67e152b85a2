//! Lays a project's file over the user's: it may narrow, and nothing else.

use crate::entry::{Entries, Entry};
use crate::keys::{InProject, row};
use crate::path::Path;
use crate::value::{Value, rank};

/// Lays what a trusted project says over what the user's own files say. Keys that a project may
/// not set were refused when its file was read. Adds a notice for each value that is not followed.
pub(crate) fn narrow(below: &mut Entries, project: Entries, notices: &mut Vec<String>) {
    for (path, entry) in project {
        // Reading let no unknown key through.
        let Some(key) = row(&path.segments()) else {
            continue;
        };
        match key.project {
            InProject::Refused(_) => {}
            InProject::Set | InProject::Model | InProject::Off => {
                below.insert(path, entry);
            }
            InProject::Add => add(below, path, entry),
            InProject::Lower => {
                let wider = match (below.get(&path).map(|held| &held.value), &entry.value) {
                    (Some(Value::Count(held)), Value::Count(asked)) => asked > held,
                    (Some(Value::Number(held)), Value::Number(asked)) => asked > held,
                    _ => false,
                };
                follow_unless(wider, below, path, entry, notices);
            }
            InProject::Narrow => {
                let place = |entry: &Entry| match &entry.value {
                    Value::Text(name) => rank(key.kind, name),
                    _ => None,
                };
                let wider = below
                    .get(&path)
                    .is_some_and(|held| place(&entry) > place(held));
                follow_unless(wider, below, path, entry, notices);
            }
        }
    }
}

/// Adds the items of a list to what is there.
pub(crate) fn add(below: &mut Entries, path: Path, entry: Entry) {
    let Entry {
        value: Value::List(new),
        origin,
    } = entry
    else {
        return;
    };
    if new.is_empty() {
        return;
    }
    match below.get_mut(&path) {
        Some(Entry {
            value: Value::List(items),
            origin: held,
        }) => {
            let fresh: Vec<_> = new
                .into_iter()
                .filter(|(item, _)| !items.iter().any(|(old, _)| old == item))
                .collect();
            if !fresh.is_empty() {
                items.extend(fresh);
                *held = origin;
            }
        }
        _ => {
            below.insert(
                path,
                Entry {
                    value: Value::List(new),
                    origin,
                },
            );
        }
    }
}

fn follow_unless(
    wider: bool,
    below: &mut Entries,
    path: Path,
    entry: Entry,
    notices: &mut Vec<String>,
) {
    if wider {
        notices.push(format!(
            "{path} of the {} is not followed: it would allow more than your own settings.",
            entry.origin
        ));
    } else {
        below.insert(path, entry);
    }
}
