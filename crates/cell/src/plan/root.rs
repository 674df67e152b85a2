//! The system directories of a cell: the host's as they are, or a base with layers over it.

mod veil;

use std::path::{Path, PathBuf};

use recto_protocol::ports::cell::CellError;

use super::{paths, setup_error};
use crate::layer::{self, Layer, UPPER};
use crate::spec::{CellSpec, RootView};
use crate::wire::{IdMap, Mount, MountKind, Upper};

/// Most layers over a base; the kernel's option for them has little room.
const MOST_LOWERS: usize = 8;
/// What of the host's /var package managers need; the rest is the host's.
const VAR: [&str; 4] = [
    "/var/lib/dpkg",
    "/var/lib/apt",
    "/var/cache/apt",
    "/var/cache/debconf",
];
/// Directories of a base that every cell has its own of.
const OWN: [&str; 6] = ["proc", "dev", "sys", "run", "tmp", "home"];
/// Longest user database of a layer that is taken over.
const DATABASE: u64 = 1 << 20;

/// What a cell shows of the system.
pub(super) fn system(spec: &CellSpec, root: bool) -> Result<Vec<Mount>, CellError> {
    let view = &spec.root;
    if *view == RootView::default() {
        return Ok(paths::system());
    }
    check(view, root)?;
    let mut places = match &view.base {
        None => host(),
        Some(base) => directory(base)?,
    };
    let idmap = view.setup.is_some().then_some(IdMap::SYSTEM);
    let veil = match (&view.base, &view.setup) {
        // Root-only files of the host would be the fake root's.
        (None, Some(layer)) => {
            let shown = places
                .iter()
                .map(|(at, _)| at.as_path())
                .chain([Path::new("/var")]);
            let veil = veil::make(layer.directory(), shown, &VAR);
            Some(veil.map_err(|error| setup_error("hide the system's secrets", error))?)
        }
        _ => None,
    };
    let mut mounts = Vec::new();
    if view.base.is_none() {
        mounts.extend(paths::system().into_iter().filter(|mount| {
            let is_link = matches!(mount.kind, MountKind::Symlink { .. });
            is_link && !mount.at.starts_with("/var")
        }));
        let var = veil.clone().or_else(|| veil::kept(&view.lowers));
        places.extend(var.map(|veil| ("/var".into(), Source::Veil(veil))));
    }
    for (at, source) in places {
        mounts.extend(shown(view, at, source, veil.as_deref(), idmap));
    }
    Ok(mounts)
}

/// The users and groups that layers have added, as lines of their databases.
pub(super) fn database(spec: &CellSpec) -> (String, String) {
    let read = |name: &str| {
        let etc = layer::part_of(Path::new("/etc"));
        let mut texts = spec.root.lowers.iter().filter_map(|layer| {
            let directory = layer.directory().join(&etc).join(UPPER);
            let path = directory.join(name);
            let meta = std::fs::symlink_metadata(&path).ok()?;
            let is_plain = meta.is_file() && meta.len() <= DATABASE;
            is_plain.then(|| std::fs::read_to_string(path).ok())?
        });
        texts.next().unwrap_or_default()
    };
    (read("passwd"), read("group"))
}

/// Where a shown directory comes from.
enum Source {
    Directory(PathBuf),
    /// Only what was put into the veil.
    Veil(PathBuf),
    Link(PathBuf),
}

fn check(view: &RootView, root: bool) -> Result<(), CellError> {
    let refuse = |reason: &str, remedy: &str| {
        Err(CellError::Unavailable {
            reason: reason.to_owned(),
            remedy: remedy.to_owned(),
        })
    };
    if view.setup.is_some() && !root {
        return refuse(
            "only a harness that is root can let commands be root inside a cell, which \
             installing system packages needs",
            "Run recto as root for this, or install into the project or the home.",
        );
    }
    if view.lowers.len() > MOST_LOWERS {
        return refuse(
            "more than 8 layers lie over each other",
            "Make one setup do what several do now.",
        );
    }
    Ok(())
}

/// The host's system directories, without what is a link.
fn host() -> Vec<(PathBuf, Source)> {
    let system = paths::SYSTEM.iter().chain(&VAR).map(Path::new);
    system
        .filter(|path| std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()))
        .map(|path| (path.to_owned(), Source::Directory(path.to_owned())))
        .collect()
}

/// All of a base directory but what a cell has its own of.
fn directory(base: &Path) -> Result<Vec<(PathBuf, Source)>, CellError> {
    let base = paths::real_directory("find the base", base)?;
    let entries = std::fs::read_dir(&base).map_err(|error| setup_error("read the base", error))?;
    let mut places = Vec::new();
    for entry in entries.flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        if OWN.iter().any(|own| name == *own) {
            continue;
        }
        let at = Path::new("/").join(&name);
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => places.push((at, Source::Directory(path))),
            Ok(kind) if kind.is_symlink() => {
                let target = std::fs::read_link(&path);
                places.extend(target.ok().map(|target| (at, Source::Link(target))));
            }
            _ => {}
        }
    }
    Ok(places)
}

/// One directory with its layers; None when there is nothing to show.
fn shown(
    view: &RootView,
    at: PathBuf,
    source: Source,
    veil: Option<&Path>,
    idmap: Option<IdMap>,
) -> Option<Mount> {
    let part = layer::part_of(&at);
    let mut lowers: Vec<(PathBuf, Option<IdMap>)> = view
        .lowers
        .iter()
        .map(|layer| layer.directory().join(&part).join(UPPER))
        .filter(|path| path.is_dir())
        .map(|path| (path, None))
        .collect();
    match source {
        Source::Link(target) => {
            let kind = MountKind::Symlink { target };
            return Some(Mount { at, kind });
        }
        Source::Veil(veil) => lowers.push((veil.join(&part), idmap)),
        Source::Directory(path) => {
            let veil = veil
                .map(|veil| veil.join(&part))
                .filter(|path| path.is_dir());
            lowers.extend(veil.map(|path| (path, idmap)));
            lowers.push((path, idmap));
        }
    }
    let upper = view.setup.as_ref().map(|layer| upper(layer, part));
    let kind = match (upper, lowers.len()) {
        (None, 1) => {
            let (source, idmap) = lowers.pop()?;
            MountKind::Bind {
                source,
                writable: false,
                idmap,
            }
        }
        (upper, _) => MountKind::Overlay { lowers, upper },
    };
    Some(Mount { at, kind })
}

fn upper(layer: &Layer, part: String) -> Upper {
    Upper::Layer {
        directory: layer.directory().to_owned(),
        part,
    }
}
