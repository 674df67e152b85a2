//! Lets the user's own branches follow what was imported, where nothing of theirs is in the way.

use std::collections::BTreeSet;

use super::super::refs::Head;
use super::super::run::RunError;
use super::super::state::Operation;
use super::super::{Oid, Repository};
use super::ask::Inside;
use super::host::{Base, Refs};
use super::land::{Linked, Move};
use super::name::short;
use super::{ImportError, Imported};

/// Bytes that `ls-tree` may write of the new commit: what the index will come to.
const MOST_LISTED: u64 = 256 << 20;

/// What became of the user's own branch or tag of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The branch that is checked out moved on, and the index with it.
    Moved {
        /// Where it was; none when it had no commit yet.
        from: Option<Oid>,
    },
    /// There was none, so it was made.
    Created,
    /// Nothing: the commits are below `refs/recto/` only.
    Kept(Kept),
}

/// Why the user's own branch or tag did not follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    /// It is not the branch that is checked out.
    #[error("it exists and is not checked out")]
    Elsewhere,
    /// A commit without a branch.
    #[error("it belongs to no branch")]
    Detached,
    /// Another branch was checked out inside.
    #[error("another branch was checked out inside")]
    SwitchedInside,
    /// The user checked out something else meanwhile.
    #[error("something else is checked out by now")]
    Switched,
    /// The user's branch moved meanwhile.
    #[error("your branch has moved meanwhile")]
    Moved,
    /// The new commits do not follow from the branch's.
    #[error("its history was rewritten")]
    Rewritten,
    /// A merge or the like was begun and not ended.
    #[error("a {0} is going on")]
    Busy(&'static str),
    /// Staged changes are in the way.
    #[error("staged changes are in the way: {0}")]
    Index(String),
    /// A short name would mean two things.
    #[error("something else has that name, or one that differs in case only")]
    Ambiguous,
    /// The new commit holds more files than can be looked at.
    #[error("it holds too many files")]
    TooLarge,
    /// Git did not move it.
    #[error("git could not write it: {0}")]
    Write(String),
}

/// The branch that HEAD names.
pub(super) fn branch_of(head: &Head) -> Option<&str> {
    match head {
        Head::Branch { name, .. } => Some(name),
        Head::Detached(_) => None,
    }
}

/// Decides on each imported reference, and moves or makes the user's own.
pub(super) async fn adopt(
    linked: &Linked<'_>,
    host: &Refs,
    base: &mut Base,
    inside: &Inside,
    imported: &mut Imported,
) -> Result<(), ImportError> {
    let mut taken = Taken::of(host);
    for one in &mut imported.refs {
        let branch = branch_of(&base.head) == Some(one.name.as_str());
        one.fate = if one.name == "HEAD" {
            Fate::Kept(Kept::Detached)
        } else if branch {
            advance(linked, base, inside, &one.oid).await?
        } else if host.contains_key(&one.name) {
            Fate::Kept(Kept::Elsewhere)
        } else if !taken.is_free(&one.name) {
            Fate::Kept(Kept::Ambiguous)
        } else {
            let change = Move {
                name: &one.name,
                to: &one.oid,
                from: None,
            };
            match linked.write(&[change], "recto: made in a cell").await {
                Ok(()) => Fate::Created,
                Err(why) => Fate::Kept(Kept::Write(why)),
            }
        };
        if one.fate == Fate::Created {
            taken.add(&one.name);
        }
    }
    Ok(())
}

/// Moves the branch that is checked out on to a new commit, and the index with it.
async fn advance(
    linked: &Linked<'_>,
    base: &mut Base,
    inside: &Inside,
    to: &Oid,
) -> Result<Fate, ImportError> {
    let quarantine = linked.quarantine;
    let keep = |why| Ok(Fate::Kept(why));
    let Head::Branch { name, commit: from } = &base.head else {
        return keep(Kept::Detached);
    };
    if inside.branch.as_ref() != Some(name) {
        return keep(Kept::SwitchedInside);
    }
    match quarantine.git.head(quarantine.repository).await? {
        Head::Branch { name: now, .. } if now != *name => return keep(Kept::Switched),
        Head::Detached(_) => return keep(Kept::Switched),
        // Somebody else's import of the same session was faster.
        Head::Branch { commit, .. } if commit.as_ref() == Some(to) => {
            return Ok(moved(base, to));
        }
        Head::Branch { commit, .. } if commit != *from => return keep(Kept::Moved),
        Head::Branch { .. } => {}
    }
    if let Some(what) = busy(quarantine.repository, &base.head) {
        return keep(Kept::Busy(what));
    }
    if let Some(from) = from
        && !follows(linked, from, to).await?
    {
        return keep(Kept::Rewritten);
    }
    if !is_listable(linked, to).await? {
        return keep(Kept::TooLarge);
    }
    // The index goes first: after a kill between the two, the new contents are staged.
    if let Err(why) = index(linked, from.as_ref(), Some(to)).await? {
        return keep(Kept::Index(why));
    }
    let change = Move {
        name,
        to,
        from: from.as_ref(),
    };
    if let Err(why) = linked.write(&[change], "recto: commits of a session").await {
        // Staged changes of the user were in no way before, so they are in none now.
        let _ = index(linked, Some(to), from.as_ref()).await?;
        return keep(Kept::Write(why));
    }
    Ok(moved(base, to))
}

/// Notes in the base that its branch is at `to` now.
fn moved(base: &mut Base, to: &Oid) -> Fate {
    let from = match &mut base.head {
        Head::Branch { commit, .. } => commit.replace(to.clone()),
        Head::Detached(_) => None,
    };
    Fate::Moved { from }
}

async fn follows(linked: &Linked<'_>, from: &Oid, to: &Oid) -> Result<bool, RunError> {
    let call = linked.quarantine.call("merge-base");
    let call = call.args(["--is-ancestor", from.as_str(), to.as_str()]);
    match call.read().await {
        Ok(_) => Ok(true),
        Err(RunError::Failed { code: Some(1), .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the commit's files can be listed within bounds: an index of them is made in memory.
async fn is_listable(linked: &Linked<'_>, commit: &Oid) -> Result<bool, RunError> {
    let listed = linked
        .quarantine
        .call("ls-tree")
        .args(["-r", "-z", commit.as_str()])
        .limit(MOST_LISTED)
        .read_some(&[0])
        .await?;
    Ok(!listed.cut)
}

/// Brings the user's index from one commit to another; git's words when something staged is in the
/// way. The work tree is not looked at: it holds the new files already.
async fn index(
    linked: &Linked<'_>,
    from: Option<&Oid>,
    to: Option<&Oid>,
) -> Result<Result<(), String>, RunError> {
    let quarantine = linked.quarantine;
    let empty = quarantine.empty_tree();
    let [from, to] = [from, to].map(|oid| oid.unwrap_or(&empty).as_str());
    let call = linked
        .call("read-tree")
        // What is kept in the index besides its entries stays as it is.
        .config("core.untrackedCache=keep")
        .env(
            "GIT_INDEX_FILE",
            quarantine.repository.git_dir.join("index"),
        )
        .args(["-i", "-m", from, to]);
    match call.read().await {
        Ok(_) => Ok(Ok(())),
        Err(RunError::Failed { message, .. }) => {
            let last = message.lines().last().unwrap_or_default();
            Ok(Err(last.escape_debug().take(300).collect()))
        }
        Err(error) => Err(error),
    }
}

fn busy(repository: &Repository, head: &Head) -> Option<&'static str> {
    let operation = repository.state_with(head.clone()).operation?;
    Some(match operation {
        Operation::Merge => "merge",
        Operation::Rebase => "rebase",
        Operation::Am => "series of patches",
        Operation::CherryPick => "cherry-pick",
        Operation::Revert => "revert",
        Operation::Bisect => "bisection",
    })
}

/// Names that mean something already. Git finds `x` as a tag before a branch, and a branch
/// `origin/x` before what the remote has: a new name must not come between.
struct Taken {
    full: BTreeSet<String>,
    short: BTreeSet<String>,
    remotes: BTreeSet<String>,
}

impl Taken {
    fn of(host: &Refs) -> Self {
        let mut taken = Self {
            full: BTreeSet::new(),
            short: BTreeSet::new(),
            remotes: BTreeSet::new(),
        };
        host.keys().for_each(|name| taken.add(name));
        taken
    }

    fn add(&mut self, name: &str) {
        let name = name.to_lowercase();
        if let Some(remote) = name.strip_prefix("refs/remotes/") {
            self.remotes
                .extend(remote.split('/').next().map(str::to_owned));
        } else if let Some(short) = short(&name).or_else(|| name.strip_prefix("refs/")) {
            self.short.insert(short.to_owned());
        }
        self.full.insert(name);
    }

    fn is_free(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let short = short(&name).unwrap_or(&name);
        let first = short.split('/').next().unwrap_or_default();
        !self.full.contains(&name) && !self.short.contains(short) && !self.remotes.contains(first)
    }
}
