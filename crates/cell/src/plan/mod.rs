//! From a [`CellSpec`] to the orders for `cell-init`: what is shown where, and the environment.

mod env;
mod files;
mod git;
mod paths;

pub use paths::secrets_of;

use std::io;
use std::path::{Path, PathBuf};

use recto_protocol::policy::{Access, Network};
use recto_protocol::ports::cell::CellError;

use crate::quarantine::Absent;
use crate::spec::{CELL_USER, CellSpec};
use crate::wire::{self, IdMap, Isolation, Mount, MountKind, Setup};

/// The private home directory of an isolated cell.
const HOME: &str = "/home/recto";

/// What to do about a work tree that holds too much.
const IN_A_PROJECT: &str = "Go into a project's directory and start recto there.";

/// Orders for `cell-init`, and what must be done outside for them.
pub(crate) struct Plan {
    pub(crate) setup: Setup,
    /// Directories that must exist while the cell lives, because they are protected by a mount.
    pub(crate) stubs: Vec<StubPlan>,
    /// What is not there and must not be when the cell has ended.
    pub(crate) absent: Vec<Absent>,
}

/// A directory to make.
pub(crate) struct StubPlan {
    pub(crate) path: PathBuf,
    /// Who owns its tree, when the harness is root.
    pub(crate) owner: Option<(u32, u32)>,
}

/// Looks at the file system and decides.
pub(crate) fn plan(spec: &CellSpec) -> Result<Plan, CellError> {
    let work_tree = paths::real_directory("find the work tree", &spec.work_tree)?;
    if work_tree == Path::new("/") {
        return Err(CellError::Unavailable {
            reason: "the work tree / holds the whole system".to_owned(),
            remedy: IN_A_PROJECT.to_owned(),
        });
    }
    if spec.policy.access == Access::DangerFullAccess {
        return Ok(direct(spec, work_tree));
    }
    let root = rustix::process::geteuid().is_root();
    let (uid, gid) = if root {
        (CELL_USER, CELL_USER)
    } else {
        (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        )
    };
    let mut binds = paths::system();
    for path in &spec.readable {
        if let Some(bind) = paths::tool(path) {
            binds.push(bind);
        }
    }
    let writable = spec.policy.access == Access::WorkspaceWrite;
    let mut trees = vec![work_tree.clone()];
    if writable {
        for path in &spec.policy.writable {
            trees.push(paths::real_directory(
                "find a writable directory",
                Path::new(path),
            )?);
        }
    }
    for tree in &trees {
        binds.retain(|mount| mount.at != *tree);
        binds.push(bind(tree.clone(), writable, owner(tree, root)?));
    }
    let (mut protected, mut stubs, mut absent) = (Vec::new(), Vec::new(), Vec::new());
    for tree in &trees {
        let git = git::protect(tree, root, writable)?;
        for mount in git.shown {
            binds.retain(|other| other.at != mount.at);
            binds.push(mount);
        }
        let owner = owner(tree, root)?.map(|owner| (owner.uid, owner.gid));
        for path in git.stubs {
            if !stubs.iter().any(|stub: &StubPlan| stub.path == path) {
                stubs.push(StubPlan { path, owner });
            }
        }
        protected.extend(git.protected);
        absent.extend(git.absent);
    }
    absent.retain(|absent| !absent.names.is_empty());
    // A tree below a place that is a link inside: the place is a plain directory then.
    let below: Vec<PathBuf> = binds.iter().map(|mount| mount.at.clone()).collect();
    binds.retain(|mount| {
        !matches!(mount.kind, MountKind::Symlink { .. })
            || !below
                .iter()
                .any(|at| *at != mount.at && at.starts_with(&mount.at))
    });
    // Parents before children; what is equally deep keeps its order.
    binds.sort_by_key(|mount| mount.at.components().count());
    let mut mounts = binds;
    if writable {
        mounts.extend(protected);
    } else {
        stubs.clear();
        absent.clear();
    }
    mounts.extend(paths::masks(spec, &work_tree, &mounts)?);

    let user = files::user_name(uid, root);
    let network_open = spec.policy.network == Network::Open;
    if network_open && spec.doors.is_some() {
        return Err(CellError::Unavailable {
            reason: "a cell with the host's network has no loopback of its own for doors".into(),
            remedy: "Ask for the network `allow` or `none`.".into(),
        });
    }
    let doors = spec.doors.as_ref().map_or(&[][..], |doors| &doors.list);
    let mut files = files::own(&user, uid, gid, HOME, network_open, doors);
    files.extend(spec.files.iter().cloned());
    let env = env::isolated(spec, &mounts, &user, HOME);
    Ok(Plan {
        setup: Setup {
            isolation: if root {
                Isolation::Root
            } else {
                Isolation::User
            },
            parent: 0,
            uid,
            gid,
            network_open,
            cwd: spec.cwd.clone().unwrap_or(work_tree),
            env,
            home: HOME.into(),
            mounts,
            files,
            limits: limits(spec),
            doors: doors.iter().map(|door| door.at).collect(),
        },
        stubs,
        absent,
    })
}

/// No isolation: the same orders with nothing to mount.
fn direct(spec: &CellSpec, work_tree: PathBuf) -> Plan {
    let home = spec.home.clone().unwrap_or_else(|| PathBuf::from("/"));
    Plan {
        setup: Setup {
            isolation: Isolation::Direct,
            parent: 0,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            network_open: true,
            cwd: spec.cwd.clone().unwrap_or(work_tree),
            env: env::direct(
                spec,
                &files::user_name(rustix::process::geteuid().as_raw(), false),
            ),
            home,
            mounts: Vec::new(),
            files: Vec::new(),
            limits: limits(spec),
            doors: Vec::new(),
        },
        stubs: Vec::new(),
        absent: Vec::new(),
    }
}

fn limits(spec: &CellSpec) -> wire::Limits {
    wire::Limits {
        processes: spec.limits.processes,
        scratch_bytes: spec.limits.scratch_bytes,
        scratch_inodes: spec.limits.scratch_inodes,
    }
}

fn bind(at: PathBuf, writable: bool, idmap: Option<IdMap>) -> Mount {
    Mount {
        kind: MountKind::Bind {
            source: at.clone(),
            writable,
            idmap,
        },
        at,
    }
}

/// Who the cell's user stands for in a tree, when the harness is root.
fn owner(tree: &Path, root: bool) -> Result<Option<IdMap>, CellError> {
    use std::os::unix::fs::MetadataExt;
    if !root {
        return Ok(None);
    }
    let meta = std::fs::symlink_metadata(tree)
        .map_err(|error| setup_error(&format!("look at {}", tree.display()), error))?;
    Ok(Some(IdMap {
        uid: meta.uid(),
        gid: meta.gid(),
    }))
}

fn setup_error(step: &str, source: io::Error) -> CellError {
    CellError::Setup {
        step: step.to_owned(),
        source,
    }
}
