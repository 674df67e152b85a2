//! The repository's own references, read without its configuration.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::super::discover::{Repository, limited_file, small_file};
use super::super::oid::Oid;
use super::super::refs::{Head, HeadError, is_ref_name};
use super::super::reftable;
use super::super::run::Git;

/// Largest list of packed references that is read: about a million.
const PACKED: u64 = 128 << 20;
/// How deep directories of references may lie.
const DEPTH: usize = 64;

/// References by their full names.
pub(super) type Refs = BTreeMap<String, Oid>;

/// What a repository's branches, tags and HEAD were when a session began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// What was checked out; moves along when commits are adopted.
    pub head: Head,
    /// Branches and tags as they were last seen inside.
    pub refs: Refs,
}

impl Git {
    /// Reads what a later [`Git::import`] compares with, before the cell can change it. Only
    /// repositories with reftables take a process.
    ///
    /// # Errors
    /// When HEAD or the references cannot be read.
    pub async fn import_base(&self, repository: &Repository) -> Result<Base, HeadError> {
        let head = self.head(repository).await?;
        let mut refs = Refs::new();
        for place in ["refs/heads/", "refs/tags/"] {
            refs.extend(list(self, repository, place).await?);
        }
        Ok(Base { head, refs })
    }
}

/// The references below `place`, which ends with a slash. Symbolic ones and what is none is left
/// out.
pub(super) async fn list(
    git: &Git,
    repository: &Repository,
    place: &str,
) -> Result<Refs, HeadError> {
    if repository.common_dir.join("reftable").is_dir() {
        return in_tables(git, repository, place).await;
    }
    let mut refs = Refs::new();
    let packed = repository.common_dir.join("packed-refs");
    match limited_file(&packed, PACKED) {
        Ok(bytes) => read_packed(&bytes, place, &mut refs),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => {
            return Err(HeadError::Read {
                path: packed,
                source,
            });
        }
    }
    let name = place.trim_end_matches('/');
    read_loose(&repository.common_dir.join(name), name, DEPTH, &mut refs);
    Ok(refs)
}

async fn in_tables(git: &Git, repository: &Repository, place: &str) -> Result<Refs, HeadError> {
    let copy = reftable::copy(&repository.common_dir, git.scratch())?;
    let bytes = git
        .call("for-each-ref")
        .dir(copy.path())
        .option("--git-dir", copy.path())
        .args(["--format=%(objectname) %(refname)", place])
        .read()
        .await?;
    let mut refs = Refs::new();
    read_packed(&bytes, place, &mut refs);
    Ok(refs)
}

fn read_packed(bytes: &[u8], place: &str, refs: &mut Refs) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some((oid, name)) = std::str::from_utf8(line)
            .ok()
            .and_then(|line| line.split_once(' '))
        else {
            continue;
        };
        if let (Some(oid), true) = (Oid::parse(oid), name.starts_with(place)) {
            refs.insert(name.to_owned(), oid);
        }
    }
}

/// Loose references win over packed ones. Links are not followed.
fn read_loose(dir: &Path, name: &str, depth: usize, refs: &mut Refs) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let (Ok(kind), Ok(part)) = (entry.file_type(), entry.file_name().into_string()) else {
            continue;
        };
        let full = format!("{name}/{part}");
        if kind.is_dir() && depth > 0 {
            read_loose(&entry.path(), &full, depth - 1, refs);
        } else if kind.is_file() && is_ref_name(&full) && !part.ends_with(".lock") {
            let text = small_file(&entry.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            if let Some(oid) = Oid::parse(text.trim_end()) {
                refs.insert(full, oid);
            }
        }
    }
}
