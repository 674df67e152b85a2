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

/// The command that lists branches, tags and HEAD, to be run in the work tree's root. One call of
/// git where a branch is checked out: a star follows its name.
pub fn listing() -> Ask {
    let script = format!(
        "exec 2>/dev/null\n\
         refs=$({GIT} for-each-ref --format='%(objectname) %(refname)%(HEAD)' refs/heads refs/tags) \
         || exit 1\n\
         printf '%s\\n' \"$refs\"\n\
         case $refs in *'*'*) ;; *) echo \"HEAD $({GIT} rev-parse --verify HEAD)\";; esac\n\
         echo {END}"
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
        let mut inside = Self::default();
        for line in text.split_terminator('\n') {
            if line == END {
                return Ok(inside);
            }
            inside.read(line.trim_end_matches(' '))?;
        }
        Err(ImportError::Listing)
    }

    fn read(&mut self, line: &str) -> Result<(), ImportError> {
        // Without any reference there is an empty line, and without a commit nothing after HEAD.
        if line.is_empty() || line == "HEAD" {
            return Ok(());
        }
        let oid = |text| Oid::parse(text).ok_or(ImportError::Listing);
        let (first, second) = line.split_once(' ').ok_or(ImportError::Listing)?;
        if first == "HEAD" {
            self.head = Some(oid(second)?);
            return Ok(());
        }
        let (first, name) = (oid(first)?, second.trim_end_matches('*'));
        if second.ends_with('*') && name.starts_with("refs/heads/") {
            self.branch = Some(name.to_owned());
            self.head = Some(first.clone());
        }
        self.refs.insert(name.to_owned(), first);
        Ok(())
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
        let text = format!("{A} refs/heads/main*\n{A} refs/tags/v1 \nend\n");
        let inside = Inside::parse(text.as_bytes()).unwrap();
        assert_eq!(inside.branch.as_deref(), Some("refs/heads/main"));
        assert_eq!(inside.head, Oid::parse(A));
        assert_eq!(inside.refs.len(), 2);
    }

    #[test]
    fn a_listing_without_a_branch_is_read() {
        let text = format!("{A} refs/heads/main \nHEAD {A}\nend\n");
        let inside = Inside::parse(text.as_bytes()).unwrap();
        assert_eq!((inside.branch, inside.head), (None, Oid::parse(A)));
    }

    #[test]
    fn a_listing_without_commits_is_read() {
        let inside = Inside::parse(b"\nHEAD \nend\n").unwrap();
        assert_eq!(inside, Inside::default());
    }

    #[test]
    fn a_listing_that_is_cut_or_false_is_refused() {
        for bad in [
            "".to_owned(),
            "HEAD \n".to_owned(),
            format!("{A} refs/heads/main*\n"),
            format!("{A}\nend\n"),
            "nothing refs/heads/main\nend\n".to_owned(),
            "HEAD /etc/passwd\nend\n".to_owned(),
        ] {
            assert!(Inside::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
