//! The report of long files and functions: warnings, and one hard limit for files.

use super::Findings;
use super::functions::functions;
use crate::project::File;

const FILE_WARNING: usize = 500;
const FILE_LIMIT: usize = 900;
const FUNCTION_WARNING: usize = 80;
const LONGEST: usize = 10;

/// One measured file or function.
struct Size {
    owner: String,
    place: String,
    lines: usize,
}

/// Measures every Rust file.
pub(super) struct Sizes {
    files: Vec<Size>,
    functions: Vec<Size>,
}

impl Sizes {
    pub(super) fn new() -> Self {
        Self {
            files: Vec::new(),
            functions: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, file: &File, source: &str) {
        let owner = owner(&file.name);
        let lines = source.lines().count();
        self.files.push(Size {
            owner: owner.clone(),
            place: file.name.clone(),
            lines,
        });
        for function in functions(source) {
            let place = format!("{}:{} {}", file.name, function.line, function.name);
            self.functions.push(Size {
                owner: owner.clone(),
                place,
                lines: function.lines,
            });
        }
    }

    /// Sorts what is too long into warnings and problems.
    pub(super) fn judge(&self, findings: &mut Findings) {
        for file in &self.files {
            let text = format!("{} has {} lines", file.place, file.lines);
            if file.lines > FILE_LIMIT {
                findings.problem(format!("{text}; the limit is {FILE_LIMIT}"));
            } else if file.lines > FILE_WARNING {
                findings.warning(format!("{text}; plan a split above {FILE_WARNING}"));
            }
        }
        for function in self
            .functions
            .iter()
            .filter(|each| each.lines > FUNCTION_WARNING)
        {
            findings.warning(format!("{} has {} lines", function.place, function.lines));
        }
    }

    /// Writes the quantiles per crate and the longest of all.
    pub(super) fn report(&self) -> String {
        let mut text = format!(
            "{:<12}{:>12}{:>16}\n",
            "crate", "file p50/90", "function p50/90"
        );
        let mut owners: Vec<&str> = self.files.iter().map(|file| file.owner.as_str()).collect();
        owners.dedup();
        for owner in owners {
            let files = quantiles(&self.files, owner);
            let functions = quantiles(&self.functions, owner);
            text.push_str(&format!("{owner:<12}{files:>12}{functions:>16}\n"));
        }
        text.push_str(&longest("files", &self.files));
        text.push_str(&longest("functions", &self.functions));
        text
    }
}

/// The crate a file belongs to, by its directory.
fn owner(name: &str) -> String {
    let inside = name.strip_prefix("crates/").unwrap_or(name);
    inside.split('/').next().unwrap_or(inside).to_owned()
}

fn quantiles(sizes: &[Size], owner: &str) -> String {
    let mut lines: Vec<usize> = sizes
        .iter()
        .filter(|size| size.owner == owner)
        .map(|size| size.lines)
        .collect();
    lines.sort_unstable();
    format!("{}/{}", quantile(&lines, 50), quantile(&lines, 90))
}

/// The nearest-rank quantile of sorted numbers.
fn quantile(sorted: &[usize], percent: usize) -> usize {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

fn longest(what: &str, sizes: &[Size]) -> String {
    let mut sorted: Vec<&Size> = sizes.iter().collect();
    sorted.sort_by(|left, right| {
        right
            .lines
            .cmp(&left.lines)
            .then(left.place.cmp(&right.place))
    });
    let mut text = format!("longest {what}\n");
    for size in sorted.iter().take(LONGEST) {
        text.push_str(&format!("{:>6}  {}\n", size.lines, size.place));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Sizes, quantile};
    use crate::project::File;
    use crate::tidy::Findings;

    fn judged(lines: usize) -> Findings {
        let file = File {
            name: "crates/a/src/b.rs".to_owned(),
            path: PathBuf::new(),
        };
        let mut sizes = Sizes::new();
        sizes.add(&file, &"//\n".repeat(lines));
        let mut findings = Findings::default();
        sizes.judge(&mut findings);
        findings
    }

    #[test]
    fn a_long_file_warns_and_a_very_long_one_fails() {
        assert_eq!(judged(500), Findings::default());
        assert_eq!(judged(501).warnings.len(), 1);
        assert_eq!(judged(900).problems.len(), 0);
        assert_eq!(
            judged(901).problems,
            ["crates/a/src/b.rs has 901 lines; the limit is 900"]
        );
    }

    #[test]
    fn quantiles_take_the_nearest_rank() {
        assert_eq!(quantile(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 50), 5);
        assert_eq!(quantile(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 90), 9);
        assert_eq!(quantile(&[7], 50), 7);
        assert_eq!(quantile(&[], 90), 0);
    }
}
