//! Which paths a patch may name at all, before and after links are followed.

use std::path::Path;

use recto_patch::{ReadFailure, normalise};

/// Directories at the root that hold the agent's own configuration.
const AGENT_DIRECTORIES: [&str; 2] = [".recto", ".agents"];

pub(super) const LEAVES: &str = "the path leaves the work tree";

/// Makes a path from a patch relative to the root and plain, and checks it.
///
/// `roots` are the names of the root; an absolute path is welcome below any of them.
pub(super) fn relative(path: &str, roots: &[&Path]) -> Result<String, ReadFailure> {
    // The escape is how a model writes the byte; no file is called that.
    if path.contains('\0') || path.contains("\\u0000") {
        return Err(refused("the path has a NUL byte"));
    }
    let relative = if path.starts_with('/') {
        below_a_root(path, roots).ok_or_else(|| refused(LEAVES))?
    } else {
        path.to_owned()
    };
    if relative.split('/').all(|part| matches!(part, "" | ".")) {
        return Err(ReadFailure::NotAFile);
    }
    let plain = normalise(&relative).ok_or_else(|| refused(LEAVES))?;
    check(&plain)?;
    Ok(plain)
}

/// Checks a plain relative path.
pub(super) fn check(plain: &str) -> Result<(), ReadFailure> {
    if plain
        .split('/')
        .any(|part| part.eq_ignore_ascii_case(".git"))
    {
        return Err(refused("`.git` is not for patches"));
    }
    let first = plain.split('/').next().unwrap_or_default();
    if let Some(name) = AGENT_DIRECTORIES
        .iter()
        .find(|name| first.eq_ignore_ascii_case(name))
    {
        return Err(ReadFailure::Refused(format!(
            "`{name}` holds the agent's own configuration and is not for patches"
        )));
    }
    Ok(())
}

pub(super) fn refused(rule: &str) -> ReadFailure {
    ReadFailure::Refused(rule.to_owned())
}

fn below_a_root(path: &str, roots: &[&Path]) -> Option<String> {
    let plain = format!("/{}", normalise(path.trim_start_matches('/'))?);
    roots.iter().find_map(|root| {
        let below = Path::new(&plain).strip_prefix(root).ok()?;
        below.to_str().map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Result<&str, ()>) {
        let result = relative(path, &[Path::new("/work/tree")]);
        assert_eq!(
            result.as_deref().map_err(|_| ()),
            expected,
            "{path}: {result:?}"
        );
    }

    #[test]
    fn paths_inside() {
        check("a/b", Ok("a/b"));
        check("./x/../a", Ok("a"));
        check("/work/tree/a", Ok("a"));
        check("/work/../work/tree/./a", Ok("a"));
        check("sub/.recto/a", Ok("sub/.recto/a"));
        check(".gitignore", Ok(".gitignore"));
        check(".github/x", Ok(".github/x"));
    }

    #[test]
    fn paths_that_are_refused() {
        for path in [
            "../a",
            "a/../../b",
            "/etc/passwd",
            "/work/tree/../x",
            "/work/treehouse/x",
            "a\0b",
            "a\\u0000b",
            ".git",
            ".git/config",
            "sub/.GIT/x",
            ".Git",
            ".recto/x",
            ".agents",
            "",
            ".",
            "/work/tree",
            "a/..",
        ] {
            check(path, Err(()));
        }
    }
}
