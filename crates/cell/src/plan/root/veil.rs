//! What lies between the host's system and a fake root: its secrets must not become readable.
//!
//! A fake root may read whatever root owns, so every file that not everybody may read on the host
//! is taken out of sight by a whiteout, in a directory that is laid over the host's. `/var` is
//! almost empty there, and the password files have no passwords in them.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode};

use crate::layer::{self, Layer};

/// The directory in a layer that holds it.
const VEIL: &str = "veil";
/// Empty directories of /var that programs expect.
const VAR: [&str; 9] = [
    "backups", "cache", "lib", "lib/misc", "local", "log", "mail", "opt", "spool",
];

/// Makes the veil of a layer anew; `own` are places in /var that are shown.
pub(super) fn make<'a>(
    directory: &Path,
    shown: impl Iterator<Item = &'a Path>,
    own: &[&str],
) -> io::Result<PathBuf> {
    let veil = directory.join(VEIL);
    layer::remove(&veil)?;
    private(&veil)?;
    for at in shown {
        let part = veil.join(layer::part_of(at));
        if at == Path::new("/var") {
            var(&part, own)?;
        } else {
            hide(at, &part)?;
        }
        if at == Path::new("/etc") {
            passwords(&part)?;
        }
    }
    Ok(veil)
}

/// The veil that the lowest of kept layers was made with.
pub(super) fn kept(lowers: &[Layer]) -> Option<PathBuf> {
    let veils = lowers
        .iter()
        .rev()
        .map(|layer| layer.directory().join(VEIL));
    veils.into_iter().find(|path| path.is_dir())
}

/// Whiteouts for what not everybody may read, in directories like the host's.
fn hide(from: &Path, to: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(from)?.flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        let (open, place) = (meta.mode(), to.join(entry.file_name()));
        let is_hidden = if meta.is_dir() {
            open & 0o005 != 0o005
        } else {
            meta.is_file() && open & 0o004 == 0
        };
        if is_hidden {
            like(from, to)?;
            rustix::fs::mknodat(CWD, &place, FileType::CharacterDevice, Mode::empty(), 0)?;
        } else if meta.is_dir() {
            hide(&entry.path(), &place)?;
        }
    }
    Ok(())
}

/// Makes a directory of the veil, and those above it, as the host's are.
fn like(from: &Path, to: &Path) -> io::Result<()> {
    if to.is_dir() {
        return Ok(());
    }
    if let (Some(from), Some(to)) = (from.parent(), to.parent()) {
        like(from, to)?;
    }
    let meta = std::fs::metadata(from)?;
    std::fs::create_dir(to)?;
    chown(to, Some(meta.uid()), Some(meta.gid()))?;
    std::fs::set_permissions(to, PermissionsExt::from_mode(meta.mode() & 0o7777))
}

fn var(part: &Path, own: &[&str]) -> io::Result<()> {
    let make = |path: &Path, mode: u32| {
        std::fs::create_dir_all(path)?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode))
    };
    make(part, 0o755)?;
    for name in VAR {
        make(&part.join(name), 0o755)?;
    }
    for place in own {
        make(
            &part.join(
                Path::new(place)
                    .strip_prefix("/var")
                    .unwrap_or(Path::new("")),
            ),
            0o755,
        )?;
    }
    make(&part.join("tmp"), 0o1777)?;
    symlink("/run", part.join("run"))?;
    symlink("/run/lock", part.join("lock"))
}

/// Shadow files in which nobody has a password.
fn passwords(part: &Path) -> io::Result<()> {
    like(Path::new("/etc"), part)?;
    for (names, file, rest) in [
        ("/etc/passwd", "shadow", ":*:19000:0:99999:7:::"),
        ("/etc/group", "gshadow", ":*::"),
    ] {
        let text = std::fs::read_to_string(names).unwrap_or_default();
        let names = text.lines().filter_map(|line| line.split(':').next());
        let lines: String = names.map(|name| format!("{name}{rest}\n")).collect();
        let path = part.join(file);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::write(&path, lines)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640))?;
    }
    Ok(())
}

fn private(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(path)
}
