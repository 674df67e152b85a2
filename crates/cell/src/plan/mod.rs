//! From a [`CellSpec`] to the orders for `cell-init`: what is shown where, and the environment.

mod env;
mod files;
mod git;
mod paths;

use std::io;
use std::path::{Path, PathBuf};

use recto_protocol::policy::{Access, Network};
use recto_protocol::ports::cell::CellError;

use crate::spec::{CELL_USER, CellSpec};
use crate::wire::{self, IdMap, Isolation, Mount, MountKind, Setup};

/// The private home directory of an isolated cell.
const HOME: &str = "/home/recto";

/// Orders for `cell-init`, and what must be done outside for them.
pub(crate) struct Plan {
    pub(crate) setup: Setup,
    /// Directories that must exist while the cell lives, because they are protected by a mount.
    pub(crate) stubs: Vec<PathBuf>,
    /// Who owns the work tree, when the harness is root.
    pub(crate) owner: Option<(u32, u32)>,
}

/// Looks at the file system and decides.
pub(crate) fn plan(spec: &CellSpec) -> Result<Plan, CellError> {
    let work_tree = paths::real_directory("find the work tree", &spec.work_tree)?;
    if work_tree == Path::new("/") {
        return Err(setup_error(
            "use / as the work tree",
            io::ErrorKind::InvalidInput.into(),
        ));
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
    let git = git::protect(&work_tree, root, writable)?;
    for mount in git.shown {
        binds.retain(|other| other.at != mount.at);
        binds.push(mount);
    }
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
        mounts.extend(git.protected);
    }
    mounts.extend(paths::masks(spec, &mounts)?);

    let owner = owner(&work_tree, root)?.map(|owner| (owner.uid, owner.gid));
    let user = files::user_name(uid, root);
    let env = env::isolated(spec, &mounts, &user, HOME);
    let network_open = spec.policy.network == Network::Open;
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
            files: files::own(&user, uid, gid, HOME, network_open),
            limits: limits(spec),
        },
        stubs: if writable { git.stubs } else { Vec::new() },
        owner,
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
        },
        stubs: Vec::new(),
        owner: None,
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
