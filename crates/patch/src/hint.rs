//! Says what a file holds instead of what a hunk expected.

use crate::matching::{Index, Place};
use crate::parse::{Hunk, HunkLine};

/// How many lines that start like the hunk are looked at.
const MAX_CANDIDATES: usize = 200;

/// How much of one line is quoted.
const MAX_QUOTE: usize = 120;

/// Returns a hint for lines that were not found at `from` or later.
pub(crate) fn for_lines(
    index: &Index<'_>,
    hunk: &Hunk,
    old: &[&str],
    from: usize,
) -> Option<String> {
    index.refresh();
    if let Some(at) = find(index, old, 0) {
        return Some(if hunk.at_end && at >= from {
            format!(
                "The lines are at line {}, which is not the end of the file; leave out \
                 `*** End of File`.",
                at + 1
            )
        } else {
            format!(
                "The lines are at line {}, before the hunk above ends; put hunks in the file's \
                 order.",
                at + 1
            )
        });
    }
    let new = new_lines(hunk);
    if let Some(at) = find(index, &new, 0).filter(|_| !new.is_empty()) {
        return Some(format!(
            "The lines the patch would leave are at line {} already; it may have been applied.",
            at + 1
        ));
    }
    closest(index, old)
}

/// Returns a hint for a `@@` line that was not found at `from` or later.
pub(crate) fn for_context(index: &Index<'_>, context: &str, from: usize) -> Option<String> {
    index.refresh();
    if let Some(at) = find(index, &[context], 0).filter(|&at| at < from) {
        return Some(format!(
            "The line is at line {}, before the hunk above ends; put hunks in the file's order.",
            at + 1
        ));
    }
    let wanted = context.trim();
    let at = index
        .lines()
        .iter()
        .position(|line| line.contains(wanted))?;
    Some(format!(
        "A `@@` line must be a whole line of the file; line {} contains it: {}",
        at + 1,
        quote(index.lines()[at])
    ))
}

fn find(index: &Index<'_>, run: &[&str], from: usize) -> Option<usize> {
    index.find(run, from, Place::First).ok().flatten()
}

fn new_lines(hunk: &Hunk) -> Vec<&str> {
    hunk.lines
        .iter()
        .filter_map(|line| match line {
            HunkLine::Context(text) | HunkLine::Add(text) => Some(text.as_str()),
            HunkLine::Remove(_) => None,
        })
        .collect()
}

/// Points at the place where most of the lines match from the first one on.
fn closest(index: &Index<'_>, old: &[&str]) -> Option<String> {
    let lines = index.lines();
    let first = old.iter().position(|line| !line.trim().is_empty())?;
    let old = &old[first..];
    let best = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| index.alike(line, old[0]))
        .take(MAX_CANDIDATES)
        .map(|(at, _)| (matching_prefix(index, &lines[at..], old), at))
        // The first of equally good places.
        .max_by_key(|&(length, at)| (length, std::cmp::Reverse(at)));
    let Some((length, at)) = best else {
        return Some(format!("No line of the file says {}.", quote(old[0])));
    };
    let expected = old.get(length).map(|line| quote(line)).unwrap_or_default();
    Some(match lines.get(at + length) {
        Some(found) => format!(
            "The closest place is line {}: line {} is {}, where the patch expects {expected}.",
            at + 1,
            at + length + 1,
            quote(found),
        ),
        None => format!(
            "The closest place is line {}: the file ends where the patch expects {expected}.",
            at + 1
        ),
    })
}

fn matching_prefix(index: &Index<'_>, lines: &[&str], old: &[&str]) -> usize {
    lines
        .iter()
        .zip(old)
        .take(1000)
        .take_while(|(line, old)| index.alike(line, old))
        .count()
}

fn quote(line: &str) -> String {
    let short: String = line.chars().take(MAX_QUOTE).collect();
    let more = if short.len() < line.len() { "…" } else { "" };
    format!("`{short}{more}`")
}
