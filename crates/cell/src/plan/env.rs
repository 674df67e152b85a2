//! The environment of commands: built from nothing. What isn't named here never gets inside.

use std::path::Path;

use super::paths;
use crate::spec::CellSpec;
use crate::wire::Mount;

/// Where programs are when nothing else is said.
const SYSTEM_PATH: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// Variables that point tools to their directories, when those are shown.
const TOOLS: [(&str, &str); 5] = [
    ("CARGO_HOME", ".cargo"),
    ("RUSTUP_HOME", ".rustup"),
    ("PYENV_ROOT", ".pyenv"),
    ("NVM_DIR", ".nvm"),
    ("GOMODCACHE", "go/pkg/mod"),
];

type Env = Vec<(String, String)>;

/// For an isolated cell.
pub(super) fn isolated(spec: &CellSpec, mounts: &[Mount], user: &str, home: &str) -> Env {
    let visible = |path: &str| {
        let path = Path::new(path);
        path.is_absolute() && path.is_dir() && paths::is_shown(&real(path), mounts)
    };
    let mut env = common(user, home, &search_path(&spec.path, visible));
    env.push(("TMPDIR".into(), "/tmp".into()));
    if let Some(real_home) = &spec.home {
        for (name, directory) in TOOLS {
            let path = real_home.join(directory);
            if path.is_dir() && paths::is_shown(&path, mounts) {
                env.extend(path.to_str().map(|path| (name.to_owned(), path.to_owned())));
            }
        }
    }
    with_own(env, spec)
}

/// For a cell without isolation: the same, with the real home and every directory of `PATH`.
pub(super) fn direct(spec: &CellSpec, user: &str) -> Env {
    let home = spec.home.as_deref().and_then(Path::to_str).unwrap_or("/");
    with_own(
        common(
            user,
            home,
            &search_path(&spec.path, |path| path.starts_with('/')),
        ),
        spec,
    )
}

fn common(user: &str, home: &str, path: &str) -> Env {
    let shell = if Path::new("/bin/bash").exists() {
        "/bin/bash"
    } else {
        "/bin/sh"
    };
    [
        ("PATH", path),
        ("HOME", home),
        ("USER", user),
        ("LOGNAME", user),
        ("SHELL", shell),
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
        ("TERM", "dumb"),
        ("NO_COLOR", "1"),
        ("PAGER", "cat"),
        ("GIT_PAGER", "cat"),
        ("GIT_TERMINAL_PROMPT", "0"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

fn with_own(mut env: Env, spec: &CellSpec) -> Env {
    env.retain(|(key, _)| !spec.env.iter().any(|(own, _)| own == key));
    env.extend_from_slice(&spec.env);
    env
}

fn search_path(user: &str, visible: impl Fn(&str) -> bool) -> String {
    let mut entries: Vec<&str> = Vec::new();
    for entry in user.split(':').chain(SYSTEM_PATH) {
        if !entries.contains(&entry) && visible(entry) {
            entries.push(entry);
        }
    }
    entries.join(":")
}

/// /bin may be a link to /usr/bin; what counts is whether the real one is shown.
fn real(path: &Path) -> std::path::PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_path_keeps_order_and_loses_what_is_not_visible() {
        let path = search_path("/home/u/bin:/usr/bin:relative:/usr/bin", |p| {
            p.starts_with("/usr")
        });
        assert_eq!(path, "/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin");
    }
}
