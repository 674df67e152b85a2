//! Takes home what was committed inside a cell, where `.git` is a copy-on-write view.
//!
//! What comes out is hostile: a list of references, and a pack. The pack is indexed and checked in
//! a [`quarantine`] of our own, which has the repository's objects as alternates; only what passes
//! every limit, git's fsck and a walk from each tip is put into the repository. References go to
//! `refs/recto/<session>/`, which nobody else uses; the branch that the user has checked out
//! follows where that is a plain fast-forward ([`adopt`]). Nothing is deleted or forced, and the
//! repository's configuration, hooks and remotes are neither read nor written.

mod adopt;
mod ask;
mod host;
mod land;
mod name;
mod notable;
mod quarantine;
mod spool;
mod trees;
mod words;

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use super::discover::Repository;
use super::oid::Oid;
use super::refs::HeadError;
use super::run::{Git, RunError};
use host::Refs;
use quarantine::Quarantine;

pub use adopt::{Fate, Kept};
pub use ask::{Ask, Inside, listing};
pub use host::Base;
pub use name::NameProblem;
pub use notable::{Notable, NotableKind};
pub use spool::Spool;

/// How much one import may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the list of references.
    pub listing_bytes: u64,
    /// New or moved references. Of more, the first by name are taken.
    pub refs: usize,
    /// Bytes of the pack.
    pub pack_bytes: u64,
    /// Objects in it.
    pub objects: u32,
    /// Bytes of one object, unpacked.
    pub object_bytes: u64,
    /// Bytes of all new trees together, unpacked.
    pub tree_bytes: u64,
    /// Files and directories of one tree.
    pub paths: u64,
    /// Bytes of one path.
    pub path_bytes: u64,
    /// Directories below each other.
    pub depth: u64,
    /// Time that one call of git may take.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            listing_bytes: 32 << 20,
            refs: 1000,
            pack_bytes: 256 << 20,
            objects: 200_000,
            object_bytes: 100 << 20,
            tree_bytes: 128 << 20,
            paths: 1_000_000,
            path_bytes: 4095,
            depth: 128,
            time: Duration::from_secs(120),
        }
    }
}

/// Why nothing could be imported. The repository is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The cell's list of references is not complete, or none.
    #[error("git in the cell does not tell its branches")]
    Listing,
    /// The session's name can't be a part of a reference.
    #[error("the session's name can't be a part of a reference")]
    Session,
    /// More than is taken.
    #[error("there are more than {limit} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much is taken.
        limit: u64,
    },
    /// The cell gave something else than a pack.
    #[error("git in the cell gave no pack")]
    NoPack,
    /// A tree can't be read.
    #[error("a tree is malformed")]
    Tree,
    /// Git does not take the pack: it is damaged, or its objects are not what git makes.
    #[error("git refuses the new objects: {0}")]
    Refused(String),
    /// The repository's references cannot be read.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// Git failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The pack could not be kept.
    #[error("cannot keep what comes out of the cell")]
    Spool(#[source] io::Error),
    /// The quarantine could not be made.
    #[error("cannot make a place to check the new objects in")]
    Quarantine(#[source] io::Error),
}

impl ImportError {
    fn too_much(what: &'static str, limit: u64) -> Self {
        Self::TooMuch { what, limit }
    }
}

/// What is new inside, as far as names can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// New and moved branches and tags whose names are taken.
    refs: Refs,
    /// The commit that is checked out inside without any branch.
    detached: Option<Oid>,
    refused: Vec<Refused>,
    deleted: Vec<String>,
    inside: Inside,
}

/// A reference that was not imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its name as the cell gave it: not safe to print.
    pub name: String,
    /// Why.
    pub reason: RefusedReason,
}

/// Why a reference was not imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedReason {
    /// Its name is not taken.
    #[error(transparent)]
    Name(#[from] NameProblem),
    /// Another one's name differs in case only, or lies below it.
    #[error("its name collides with that of another one")]
    Collision,
    /// It does not lead to a commit, or a branch leads to something else.
    #[error("it does not lead to a commit")]
    NoCommit,
    /// There are too many.
    #[error("there are too many new ones")]
    TooMany,
    /// Git did not write it.
    #[error("git could not write it: {0}")]
    Write(String),
}

/// A reference that was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedRef {
    /// Its name inside: `refs/heads/…`, `refs/tags/…`, or `HEAD` for a commit without a branch.
    pub name: String,
    /// Its name in the repository, below `refs/recto/`.
    pub at: String,
    /// What it leads to.
    pub oid: Oid,
    /// What became of the user's own reference of that name.
    pub fate: Fate,
}

/// What was imported, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// What the repository has now.
    pub refs: Vec<ImportedRef>,
    /// What it has not.
    pub refused: Vec<Refused>,
    /// Branches and tags that were deleted inside; the repository still has them.
    pub deleted: Vec<String>,
    /// The branch that is checked out inside, when it is not the user's.
    pub switched: Option<String>,
    /// Changes that act beyond their contents.
    pub notable: Vec<Notable>,
    /// New objects.
    pub objects: u32,
}

impl Base {
    /// What is new or moved inside; none when nothing is. Takes no process.
    pub fn news(&self, inside: Inside, limits: &Limits) -> Option<News> {
        let mut news = News {
            refs: Refs::new(),
            detached: None,
            refused: Vec::new(),
            deleted: Vec::new(),
            inside,
        };
        let moved = news.inside.refs.iter();
        let moved = moved.filter(|(name, oid)| self.refs.get(*name) != Some(oid));
        let mut folded = BTreeSet::new();
        for (name, oid) in moved {
            let refuse = |reason| Refused {
                name: name.clone(),
                reason,
            };
            // What the user named is taken as it is.
            if let (false, Err(problem)) = (self.refs.contains_key(name), name::check(name)) {
                keep_few(&mut news.refused, refuse(problem.into()), limits);
            } else if !folded.insert(name.to_lowercase()) || has_prefix(&news.refs, name) {
                keep_few(&mut news.refused, refuse(RefusedReason::Collision), limits);
            } else if news.refs.len() >= limits.refs {
                keep_few(&mut news.refused, refuse(RefusedReason::TooMany), limits);
            } else {
                news.refs.insert(name.clone(), oid.clone());
            }
        }
        let gone = self.refs.keys();
        let gone = gone.filter(|name| !news.inside.refs.contains_key(*name));
        news.deleted = gone.take(limits.refs).cloned().collect();
        if let (None, Some(head)) = (&news.inside.branch, &news.inside.head) {
            let is_known = self.head.commit() == Some(head)
                || news.inside.refs.values().any(|oid| oid == head);
            news.detached = (!is_known).then(|| head.clone());
        }
        let has_switched = news.switched(self).is_some();
        let is_empty = news.refs.is_empty() && news.detached.is_none() && news.refused.is_empty();
        let is_empty = is_empty && news.deleted.is_empty() && !has_switched;
        (!is_empty).then_some(news)
    }
}

/// Whether one of the names is a directory that another would be a file in.
fn has_prefix(refs: &Refs, name: &str) -> bool {
    let parents = name.match_indices('/').map(|(at, _)| &name[..at]);
    let below = format!("{name}/");
    let mut after = refs.range(below.clone()..);
    parents.into_iter().any(|parent| refs.contains_key(parent))
        || after
            .next()
            .is_some_and(|(next, _)| next.starts_with(&below))
}

fn keep_few(list: &mut Vec<Refused>, refused: Refused, limits: &Limits) {
    if list.len() < limits.refs {
        list.push(refused);
    }
}

impl News {
    /// The command that packs the new objects inside; none when there are none to ask for.
    pub fn pack(&self, base: &Base) -> Option<Ask> {
        let mut tips = self.tips().peekable();
        tips.peek()?;
        Some(ask::pack(self.tips(), base))
    }

    fn tips(&self) -> impl Iterator<Item = &Oid> {
        self.refs.values().chain(&self.detached)
    }

    /// The branch that is checked out inside, when it is another than the user's.
    fn switched(&self, base: &Base) -> Option<&String> {
        let inside = self.inside.branch.as_ref()?;
        (adopt::branch_of(&base.head) != Some(inside.as_str())).then_some(inside)
    }
}

impl Git {
    /// Imports what is new inside, and lets the user's branch follow where that is safe. `pack` is
    /// what [`News::pack`]'s command wrote. The base is brought up to date for the next time.
    ///
    /// Run it again after an error or a kill: what was done stays done.
    ///
    /// # Errors
    /// When the pack or one of its objects is refused, or git's or the system's reason. References
    /// that are refused one by one are in the result.
    pub async fn import(
        &self,
        repository: &Repository,
        base: &mut Base,
        news: News,
        pack: Option<Spool>,
        session: &str,
        limits: &Limits,
    ) -> Result<Imported, ImportError> {
        if session.contains('/') || name::check_short(session).is_err() {
            return Err(ImportError::Session);
        }
        let now = self.head(repository).await?;
        let mut imported = Imported::default();
        let switched = news.switched(base).cloned();
        imported.switched = switched.filter(|name| adopt::branch_of(&now) != Some(name));
        let host = host::list(self, repository, "refs/").await?;
        let News {
            mut refs,
            mut detached,
            refused,
            deleted,
            inside,
        } = news;
        imported.refused = refused;
        imported.deleted = deleted;
        imported.deleted.retain(|name| host.contains_key(name));
        // Where the cell writes into the repository itself, all is there already.
        refs.retain(|name, oid| host.get(name) != Some(oid));
        detached = detached.filter(|oid| now.commit() != Some(oid));
        let mut tips = refs.clone();
        tips.extend(detached.map(|oid| ("HEAD".to_owned(), oid)));
        if tips.is_empty() {
            base.refs = inside.refs;
            return Ok(imported);
        }

        let quarantine = Quarantine::new(self, repository, base, limits)?;
        if let Some(pack) = &pack {
            imported.objects = quarantine.take_in(pack).await?;
        }
        let lost = quarantine.without_commit(&tips).await?;
        for name in lost {
            tips.remove(&name);
            imported.refused.push(Refused {
                name,
                reason: RefusedReason::NoCommit,
            });
        }
        quarantine.check_connected(&tips, &host).await?;
        imported.notable = notable::find(&quarantine, &tips, base, &host).await?;

        let linked = land::Linked::new(&quarantine).await?;
        if let (Some(pack), true) = (&pack, imported.objects > 0 && !tips.is_empty()) {
            linked.put_pack(pack).await?;
        }
        linked
            .put_refs(session, &tips, &host, &mut imported)
            .await?;
        adopt::adopt(&linked, &host, base, &inside, &mut imported).await?;
        base.refs = inside.refs;
        Ok(imported)
    }
}
