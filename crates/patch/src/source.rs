//! Where a plan's texts come from.

use std::collections::BTreeMap;

use crate::error::ReadFailure;

/// What a path in a patch stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The file behind the name: a link is followed, since its target gets the new text.
    Content,
    /// The name itself: deleting or moving a link leaves its target alone.
    Entry,
}

/// The files a patch is planned against.
pub trait Source {
    /// Returns the one name of what `path` stands for: relative, `/` between components, no `.` or
    /// `..`. Two spellings of one file must get one name.
    fn resolve(&mut self, path: &str, meaning: Meaning) -> Result<String, ReadFailure>;

    /// Returns the bytes of a file that [`Source::resolve`] has named.
    fn read(&mut self, name: &str) -> Result<Vec<u8>, ReadFailure>;

    /// Says whether there is a file (or a link, for [`Meaning::Entry`] names) that could be
    /// replaced or deleted.
    fn probe(&mut self, name: &str) -> Result<(), ReadFailure>;
}

/// Files held in memory, without links or directories.
impl Source for BTreeMap<String, Vec<u8>> {
    fn resolve(&mut self, path: &str, _: Meaning) -> Result<String, ReadFailure> {
        normalise(path).ok_or_else(|| ReadFailure::Refused("the path leaves the tree".to_owned()))
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, ReadFailure> {
        self.get(name).cloned().ok_or(ReadFailure::Missing)
    }

    fn probe(&mut self, name: &str) -> Result<(), ReadFailure> {
        if self.contains_key(name) {
            Ok(())
        } else {
            Err(ReadFailure::Missing)
        }
    }
}

/// Makes a relative path plain by its letters alone; `None` if it is absolute, names the root or
/// leaves it.
///
/// `a/../b` is `b` also where `a` does not exist or is a link: a patch's author means the tree as
/// written, and the check and the write must agree on one reading.
pub fn normalise(path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn plain_paths() {
        let check = |path, expected: Option<&str>| {
            assert_eq!(normalise(path).as_deref(), expected, "{path}");
        };
        check("a", Some("a"));
        check("./sub/../a.txt", Some("a.txt"));
        check("a//b/./c", Some("a/b/c"));
        check("../a", None);
        check("a/../../b", None);
        check("/a", None);
        check(".", None);
        check("", None);
    }
}
