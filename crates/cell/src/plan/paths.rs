//! Which host paths a cell sees, and which it must not.

use std::io;
use std::path::{Path, PathBuf};

use recto_protocol::ports::cell::CellError;

use super::{IN_A_PROJECT, setup_error};
use crate::spec::CellSpec;
use crate::wire::{Mount, MountKind};

/// What holds programs, libraries and their settings. Not: homes, /run, /srv, /mnt, /media, /var.
pub(super) const SYSTEM: [&str; 10] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix",
];

/// Whether a place, without links on its way, lies where every cell can read.
pub fn is_system_place(path: &Path) -> bool {
    SYSTEM.iter().any(|root| path.starts_with(root))
}

/// Secrets that are hidden even when a tree that is shown contains them.
const SECRETS: [&str; 12] = [
    ".ssh",
    ".aws",
    ".gnupg",
    ".netrc",
    ".docker",
    ".kube",
    ".azure",
    ".config/gh",
    ".config/gcloud",
    ".git-credentials",
    ".cargo/credentials",
    ".cargo/credentials.toml",
];

/// The system's directories, and the links between them.
pub(super) fn system() -> Vec<Mount> {
    let mut mounts: Vec<Mount> = SYSTEM
        .iter()
        .filter_map(|path| tool(Path::new(path)))
        .collect();
    for (at, target) in [("/var/tmp", "/tmp"), ("/var/run", "/run")] {
        mounts.push(Mount {
            at: at.into(),
            kind: MountKind::Symlink {
                target: target.into(),
            },
        });
    }
    mounts
}

/// A directory shown read-only at its own path, or the same symbolic link; None if it's missing.
pub(super) fn tool(path: &Path) -> Option<Mount> {
    let meta = std::fs::symlink_metadata(path).ok()?;
    if meta.is_symlink() && path.parent() == Some(Path::new("/")) {
        let target = std::fs::read_link(path).ok()?;
        return Some(Mount {
            at: path.to_owned(),
            kind: MountKind::Symlink { target },
        });
    }
    // A linked tool directory appears where it is asked for; what it links to is its source.
    let source = std::fs::canonicalize(path)
        .ok()
        .filter(|source| source.is_dir())?;
    let parent = std::fs::canonicalize(path.parent()?).ok()?;
    let at = parent.join(path.file_name()?);
    Some(Mount {
        at,
        kind: MountKind::Bind {
            source,
            writable: false,
            idmap: None,
        },
    })
}

/// A directory by its real, absolute, UTF-8 path.
pub(super) fn real_directory(step: &str, path: &Path) -> Result<PathBuf, CellError> {
    let step = || format!("{step} {}", path.display());
    let real = std::fs::canonicalize(path).map_err(|error| setup_error(&step(), error))?;
    if !path.is_absolute() || real.to_str().is_none() {
        return Err(setup_error(&step(), io::ErrorKind::InvalidInput.into()));
    }
    if !real.is_dir() {
        return Err(setup_error(&step(), io::ErrorKind::NotADirectory.into()));
    }
    Ok(real)
}

/// The places of a user's home that hold secrets; a cell never shows them.
pub fn secrets_of(home: &Path) -> Vec<PathBuf> {
    SECRETS.map(|name| home.join(name)).into()
}

/// Masks for what must not be seen and would be.
pub(super) fn masks(
    spec: &CellSpec,
    work_tree: &Path,
    mounts: &[Mount],
) -> Result<Vec<Mount>, CellError> {
    let secrets = spec.home.iter().flat_map(|home| secrets_of(home));
    let mut masks: Vec<Mount> = Vec::new();
    for path in spec.hidden.iter().cloned().chain(secrets) {
        let Ok(real) = std::fs::canonicalize(&path) else {
            continue;
        };
        for at in [real.clone(), path] {
            let shown = is_shown(&at, mounts);
            if !shown || masks.iter().any(|mask| mask.at == at) {
                continue;
            }
            if mounts.iter().any(|mount| mount.at.starts_with(&at)) {
                return Err(unhidable(&at, work_tree));
            }
            masks.push(Mount {
                at,
                kind: MountKind::Mask,
            });
        }
    }
    Ok(masks)
}

/// The error for a place that can neither be shown nor hidden.
fn unhidable(at: &Path, work_tree: &Path) -> CellError {
    let (at, tree) = (at.display(), work_tree.display());
    let reason = if work_tree.starts_with(at.to_string()) {
        format!("the work tree {tree} lies in {at}, which commands must not see")
    } else {
        format!(
            "commands must not see {at}, but the work tree {tree} or another directory that they \
             may use needs it"
        )
    };
    CellError::Unavailable {
        reason,
        remedy: format!(
            "{IN_A_PROJECT} If {at} is recto's own directory, RECTO_HOME can also name one outside \
             the work tree."
        ),
    }
}

/// Whether a host path lies in something that is shown.
pub(super) fn is_shown(path: &Path, mounts: &[Mount]) -> bool {
    mounts.iter().any(|mount| {
        let shows = matches!(
            mount.kind,
            MountKind::Bind { .. } | MountKind::Overlay { .. }
        );
        shows && path.starts_with(&mount.at)
    })
}
