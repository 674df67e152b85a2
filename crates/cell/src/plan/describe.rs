//! What a cell would be, without making it: the plan as it can be told to a user.

use std::path::PathBuf;

use recto_protocol::policy::Access;
use recto_protocol::ports::cell::{CellError, Door};

use super::{Plan, plan};
use crate::spec::{CellSpec, Limits};
use crate::wire::{Isolation, Mount, MountKind};

/// A cell as it would be made now.
#[derive(Clone, Debug)]
pub struct Description {
    /// What would hold it; see [`backend`].
    pub backend: &'static str,
    /// User and group that commands see themselves as.
    pub user: (u32, u32),
    /// Whether that is a user of the cell's own, because the harness is root.
    pub is_own_user: bool,
    /// Where commands start.
    pub cwd: PathBuf,
    /// The home directory inside.
    pub home: PathBuf,
    /// Host directories that are shown; with no isolation none is named, and all are there.
    pub shown: Vec<Shown>,
    /// Places in writable directories that commands may not change.
    pub protected: Vec<Protected>,
    /// Places that would be shown and are hidden.
    pub hidden: Vec<PathBuf>,
    /// The names of the variables that commands find.
    pub env: Vec<String>,
    /// What it may take.
    pub limits: Limits,
    /// Places on its loopback that are answered outside.
    pub doors: Vec<Door>,
}

/// A host directory or file that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Where it appears.
    pub path: PathBuf,
    /// Whether commands may write there.
    pub is_writable: bool,
    /// Whether what they write stays out of what is shown: in a layer, or gone with the cell.
    pub is_copy: bool,
}

/// A place in a writable directory that commands may not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protected {
    /// The place.
    pub path: PathBuf,
    /// How it is held.
    pub how: Protection,
}

/// How a place in a writable directory is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// It can't be written.
    ReadOnly,
    /// It is not there, and can't be made.
    Absent,
    /// Commands change a copy; what is there stays as it is.
    Copy,
    /// What is in it may be changed, but it can't be moved away.
    Pinned,
}

/// What holds a cell of this kind: `namespaces`, or `direct` for none at all.
pub fn backend(spec: &CellSpec) -> &'static str {
    match spec.policy.access {
        Access::DangerFullAccess => "direct",
        Access::ReadOnly | Access::WorkspaceWrite => "namespaces",
    }
}

/// Tells what [`launch`](crate::launch) would make, from the same plan. Changes nothing.
///
/// # Errors
/// What would keep it from being made, as far as that shows beforehand.
pub fn describe(spec: &CellSpec) -> Result<Description, CellError> {
    let Plan { setup, stubs, .. } = plan(spec)?;
    let mut description = Description {
        backend: backend(spec),
        user: setup.inside,
        is_own_user: setup.isolation == Isolation::Root,
        cwd: setup.cwd,
        home: setup.home,
        shown: Vec::new(),
        protected: Vec::new(),
        hidden: Vec::new(),
        env: setup.env.into_iter().map(|(name, _)| name).collect(),
        limits: spec.limits,
        doors: spec
            .doors
            .iter()
            .flat_map(|doors| doors.list.clone())
            .collect(),
    };
    description.env.sort();
    for (at, mount) in setup.mounts.iter().enumerate() {
        let path = mount.at.clone();
        let (is_writable, is_copy) = match &mount.kind {
            MountKind::Symlink { .. } => continue,
            MountKind::Mask => {
                description.hidden.push(path);
                continue;
            }
            MountKind::Bind { writable, .. } => (*writable, false),
            MountKind::Overlay { upper, .. } => (upper.is_some(), upper.is_some()),
        };
        if !is_in_writable(mount, &setup.mounts[..at]) {
            let shown = Shown {
                path,
                is_writable,
                is_copy,
            };
            if !description.shown.contains(&shown) {
                description.shown.push(shown);
            }
            continue;
        }
        let is_stub = stubs.iter().any(|stub| stub.path == path);
        let how = match (is_copy, is_writable) {
            (true, true) => Protection::Copy,
            (false, true) => Protection::Pinned,
            _ if is_stub => Protection::Absent,
            _ => Protection::ReadOnly,
        };
        let protected = Protected { path, how };
        if !description.protected.contains(&protected) {
            description.protected.push(protected);
        }
    }
    description.protected.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(description)
}

/// Whether one of the mounts before shows what lies around this one, writable.
fn is_in_writable(mount: &Mount, before: &[Mount]) -> bool {
    before.iter().any(|other| {
        let is_writable = match &other.kind {
            MountKind::Bind { writable, .. } => *writable,
            MountKind::Overlay { upper, .. } => upper.is_some(),
            MountKind::Mask | MountKind::Symlink { .. } => false,
        };
        is_writable && mount.at.starts_with(&other.at)
    })
}
