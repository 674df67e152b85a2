//! Relative links in Markdown files must lead to a file.

use std::path::{Component, Path, PathBuf};

/// Says which relative links of a page lead nowhere; `exists` is asked with a path from the root.
pub(super) fn problems(name: &str, page: &str, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (line, target) in links(page) {
        let Some(path) = resolve(name, target) else {
            continue;
        };
        if !exists(&path) {
            found.push(format!(
                "{name}:{line} links to {target}, which isn't there"
            ));
        }
    }
    found
}

/// The targets of inline links and of reference definitions, with their lines.
fn links(page: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fence = None;
    for (number, line) in page.lines().enumerate() {
        let start = line.trim_start();
        let marker = ["```", "~~~"]
            .into_iter()
            .find(|marker| start.starts_with(marker));
        match (fence, marker) {
            (None, Some(_)) => fence = marker,
            (Some(open), Some(close)) if open == close => fence = None,
            (Some(_), _) => {}
            (None, None) => {
                found.extend(targets(line).into_iter().map(|target| (number + 1, target)));
            }
        }
    }
    found
}

fn targets(line: &str) -> Vec<&str> {
    if let Some(target) = definition(line) {
        return vec![target];
    }
    let inline = line
        .match_indices("](")
        .filter(|(at, _)| !is_in_code(&line[..*at]));
    inline
        .filter_map(|(at, _)| destination(&line[at + 2..]))
        .collect()
}

/// An odd number of backticks before a place means that it stands in inline code.
fn is_in_code(before: &str) -> bool {
    before.matches('`').count() % 2 == 1 && !before.ends_with('`')
}

/// The target of `[label]: target`.
fn definition(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('[')?;
    let (label, target) = rest.split_once("]: ")?;
    let is_label = !label.starts_with('^') && !label.contains([']', '`']);
    is_label
        .then(|| target.split_whitespace().next())
        .flatten()
        .map(trim_brackets)
}

/// The target of an inline link, without its title.
fn destination(rest: &str) -> Option<&str> {
    let inside = &rest[..rest.find(')')?];
    inside.split_whitespace().next().map(trim_brackets)
}

fn trim_brackets(target: &str) -> &str {
    target.trim_start_matches('<').trim_end_matches('>')
}

/// The path from the root that a target means; `None` for addresses and for places on the page.
fn resolve(name: &str, target: &str) -> Option<PathBuf> {
    let path = target.split(['#', '?']).next().unwrap_or(target);
    let is_address = target.contains("://") || target.starts_with("mailto:");
    if path.is_empty() || is_address {
        return None;
    }
    let whole = match path.strip_prefix('/') {
        Some(from_root) => PathBuf::from(from_root),
        None => Path::new(name).parent().unwrap_or(Path::new("")).join(path),
    };
    Some(normalized(&whole))
}

fn normalized(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            // Beyond the root: kept, so that it can't exist by accident.
            Component::ParentDir if !result.pop() => result.push("outside the repository"),
            Component::ParentDir => {}
            other => result.push(other),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::problems;

    fn check(page: &str, expected: &[&str]) {
        let exists = |path: &Path| path == Path::new("docs/a.md") || path == Path::new("README.md");
        assert_eq!(problems("docs/page.md", page, exists), expected);
    }

    #[test]
    fn a_link_that_leads_nowhere_fails() {
        check(
            "see\n[b](b.md)",
            &["docs/page.md:2 links to b.md, which isn't there"],
        );
        check(
            "[b]: b.md 'title'",
            &["docs/page.md:1 links to b.md, which isn't there"],
        );
        check(
            "[x](a.md) [y](../b.md#c)",
            &["docs/page.md:1 links to ../b.md#c, which isn't there"],
        );
        check(
            "`a` [x](b.md) `c`",
            &["docs/page.md:1 links to b.md, which isn't there"],
        );
        check(
            "[`x`](b.md)",
            &["docs/page.md:1 links to b.md, which isn't there"],
        );
    }

    #[test]
    fn a_link_out_of_the_repository_fails() {
        let target = "../../README.md";
        let expected = format!("docs/page.md:1 links to {target}, which isn't there");
        check(&format!("[up]({target})"), &[&expected]);
    }

    #[test]
    fn a_link_that_resolves_passes() {
        check(
            "[a](a.md) [a](./a.md#part) [r](../README.md \"title\") [r](/README.md)",
            &[],
        );
    }

    #[test]
    fn addresses_anchors_and_code_are_no_files() {
        check(
            "[a](https://example.org/b.md) [c](#d) [e](mailto:f@example.org)",
            &[],
        );
        check("```\n[b](b.md)\n```\n`[b](b.md)`", &[]);
    }
}
