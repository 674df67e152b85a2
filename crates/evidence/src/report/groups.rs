//! The groups that are open while a tree of results is read.

use super::lines::cut;

/// Deeper groups, and more of their names, are left out: a hostile tree must not make names long.
const MOST_GROUPS: usize = 32;
const GROUP_BYTES: usize = 128;

/// Open groups, outermost first, each with its indentation.
#[derive(Default)]
pub(super) struct Groups(Vec<(usize, String)>);

impl Groups {
    /// Opens a group, after closing those that it isn't inside of.
    pub(super) fn open(&mut self, indent: usize, name: &str) {
        self.close(indent);
        if self.0.len() < MOST_GROUPS {
            self.0.push((indent, cut(name, GROUP_BYTES).to_owned()));
        }
    }

    /// Closes the groups at and beyond an indentation.
    pub(super) fn close(&mut self, indent: usize) {
        while self.0.last().is_some_and(|(at, _)| *at >= indent) {
            self.0.pop();
        }
    }

    /// Closes all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether a group of this name is open at just this indentation.
    pub(super) fn is_open(&self, indent: usize, name: &str) -> bool {
        let found = self.0.iter().find(|(at, _)| *at == indent);
        found.is_some_and(|(_, group)| group == cut(name, GROUP_BYTES))
    }

    /// The full name of a test at an indentation, groups first.
    pub(super) fn path(&self, indent: usize, name: &str, join: &str) -> String {
        let outer = self.0.iter().filter(|(at, _)| *at < indent);
        let mut path = String::new();
        for (_, group) in outer {
            path.push_str(group);
            path.push_str(join);
        }
        path + name
    }
}
