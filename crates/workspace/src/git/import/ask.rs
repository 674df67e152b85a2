//! What is run inside a cell to learn what it has committed, and what comes back.
//!
//! Commands' output is one stream with their messages, so these are thrown away inside. Whatever
//! git says in there may be a lie: nothing is believed that was not checked outside.

use std::collections::BTreeMap;

use super::super::oid::Oid;
use super::{Base, ImportError};

/// A repository may lie in a tree that is shown as somebody else's.
const GIT: &str = "git -c safe.directory='*' -c core.hooksPath=/dev/null -c core.fsmonitor=false";
/// Most commits that the cell is told not to pack.
const MOST_KNOWN: usize = 4096;
/// Written after the last reference, so that a listing cut short is noticed.
const END: &str = "end";

/// A command for the cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What it reads from standard input.
    pub stdin: Vec<u8>,
}

/// Branches, tags and HEAD as git in a cell tells them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// The branch that is checked out; none for a commit without one, or before the first commit.
    pub branch: Option<String>,
    /// The commit that is checked out.
    pub head: Option<Oid>,
    /// What each branch and tag is at. The names are not checked.
    pub refs: BTreeMap<String, Oid>,
}

/// The command that lists branches, tags and HEAD, to be run in the work tree's root.
pub fn listing() -> Ask {
    let script = format!(
        "exec 2>/dev/null; {GIT} rev-parse HEAD --symbolic-full-name HEAD; echo; \
         {GIT} for-each-ref --format='%(objectname) %(refname)' refs/heads refs/tags && echo {END}"
    );
    Ask {
        argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), script],
        stdin: Vec::new(),
    }
}

impl Inside {
    /// Reads what [`listing`] wrote.
    ///
    /// # Errors
    /// [`ImportError::Listing`] when it is not complete or something else.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImportError> {
        // Names that are no text can't be told to anybody.
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split_terminator('\n');
        let mut inside = Self::default();
        for line in lines.by_ref().take_while(|line| !line.is_empty()) {
            match Oid::parse(line) {
                Some(oid) => inside.head = Some(oid),
                None if line.starts_with("refs/heads/") => inside.branch = Some(line.to_owned()),
                // A commit without a branch, or no commit yet.
                None if line == "HEAD" => {}
                None => return Err(ImportError::Listing),
            }
        }
        loop {
            match lines.next() {
                Some(END) => return Ok(inside),
                Some(line) => {
                    let (oid, name) = line.split_once(' ').ok_or(ImportError::Listing)?;
                    let oid = Oid::parse(oid).ok_or(ImportError::Listing)?;
                    inside.refs.insert(name.to_owned(), oid);
                }
                None => return Err(ImportError::Listing),
            }
        }
    }
}

/// The command that packs what `tips` have and the base has not.
pub(super) fn pack<'a>(tips: impl Iterator<Item = &'a Oid>, base: &Base) -> Ask {
    let mut stdin = Vec::new();
    let mut line = |text: &str| {
        stdin.extend(text.as_bytes());
        stdin.push(b'\n');
    };
    tips.for_each(|tip| line(tip.as_str()));
    line("--not");
    // Branches come before tags. What is left out makes the pack larger, not wrong.
    let known = base.head.commit().into_iter().chain(base.refs.values());
    known.take(MOST_KNOWN).for_each(|oid| line(oid.as_str()));
    let script = format!(
        "exec {GIT} pack-objects --revs --stdout --delta-base-offset --missing=allow-any -q \
         2>/dev/null"
    );
    Ask {
        argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), script],
        stdin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "1111111111111111111111111111111111111111";

    #[test]
    fn a_listing_is_read() {
        let text = format!("{A}\nrefs/heads/main\n\n{A} refs/heads/main\n{A} refs/tags/v1\nend\n");
        let inside = Inside::parse(text.as_bytes()).unwrap();
        assert_eq!(inside.branch.as_deref(), Some("refs/heads/main"));
        assert_eq!(inside.head, Oid::parse(A));
        assert_eq!(inside.refs.len(), 2);
    }

    #[test]
    fn a_listing_without_commits_is_read() {
        let inside = Inside::parse(b"HEAD\n\nend\n").unwrap();
        assert_eq!(inside, Inside::default());
    }

    #[test]
    fn a_listing_that_is_cut_or_false_is_refused() {
        for bad in [
            "".to_owned(),
            "HEAD\n\n".to_owned(),
            format!("{A}\nrefs/heads/main\n\n{A} refs/heads/main\n"),
            format!("{A}\n\n{A}\nend\n"),
            "\nnothing refs/heads/main\nend\n".to_owned(),
            "/etc/passwd\n\nend\n".to_owned(),
        ] {
            assert!(Inside::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
