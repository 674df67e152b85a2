//! From a [`CellSpec`] to the orders for `cell-init`: what is shown where, and the environment.

mod describe;
mod env;
mod files;
mod git;
mod limits;
mod paths;
mod root;
mod survey;
mod tools;
mod trees;
mod user;

pub use describe::{Description, Protected, Protection, Shown, backend, describe};
pub use paths::{is_system_place, secrets_of};

use std::io;
use std::path::{Path, PathBuf};

use recto_protocol::policy::{Access, Network};
use recto_protocol::ports::cell::CellError;

use self::trees::Trees;
use self::user::User;
use crate::aftermath::Aftermath;
use crate::layer;
use crate::spec::{Backend, CellSpec};
use crate::wire::{IdMap, Isolation, Mount, MountKind, Setup, Upper};

/// The private home directory of an isolated cell.
const HOME: &str = "/home/recto";

/// What to do about a work tree that holds too much.
const IN_A_PROJECT: &str = "Go into a project's directory and start recto there.";

/// Orders for `cell-init`, and what must be done outside for them.
pub(crate) struct Plan {
    pub(crate) setup: Setup,
    /// Directories that must exist while the cell lives, because they are protected by a mount.
    pub(crate) stubs: Vec<StubPlan>,
    /// What must be seen to in each writable tree when the cell has ended.
    pub(crate) aftermath: Vec<Aftermath>,
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
    if spec.backend == Backend::Direct {
        return Err(CellError::Unavailable {
            reason: "the backend `direct` isolates nothing, and the policy asks for isolation"
                .into(),
            remedy: "Choose another `cell.backend`, or run without isolation: \
                     `--sandbox danger-full-access`."
                .into(),
        });
    }
    let root = rustix::process::geteuid().is_root();
    let user = User::of(spec, root)?;
    let mut binds = root::system(spec, root)?;
    binds.extend(tools::show(&spec.readable));
    let trees = Trees::look(spec, &work_tree, root)?;
    binds.retain(|mount| !trees.shown.iter().any(|tree| tree.at == mount.at));
    let watched = trees.shown.iter().map(|tree| tree.at.clone()).collect();
    binds.extend(trees.shown);
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
    mounts.extend(trees.over);
    check_layers(&mounts)?;
    mounts.extend(trees.channels.into_iter().map(|at| Mount {
        at,
        kind: MountKind::Mask,
    }));
    mounts.extend(paths::masks(spec, &work_tree, &mounts)?);

    let fake_root = spec.root.setup.is_some();
    let name = if fake_root {
        "root".to_owned()
    } else {
        files::user_name(user.inside.0, root)
    };
    let network_open = spec.policy.network == Network::Open;
    if network_open && spec.doors.is_some() {
        return Err(CellError::Unavailable {
            reason: "a cell with the host's network has no loopback of its own for doors".into(),
            remedy: "Ask for the network `allow` or `none`.".into(),
        });
    }
    let doors = spec.doors.as_ref().map_or(&[][..], |doors| &doors.list);
    let in_database = files::User {
        name: &name,
        uid: user.inside.0,
        gid: user.inside.1,
        home: HOME,
        database: &root::database(spec),
        is_fake_root: fake_root,
    };
    let mut files = files::own(&in_database, network_open, doors);
    files.extend(spec.files.iter().cloned());
    let env = env::isolated(spec, &mounts, &name, HOME);
    Ok(Plan {
        setup: Setup {
            isolation: if root {
                Isolation::Root
            } else {
                Isolation::User
            },
            parent: 0,
            uid: user.kernel.0,
            gid: user.kernel.1,
            inside: user.inside,
            layer_owner: user.layer_owner,
            fake_root,
            may_set_ids: fake_root && !mounts.iter().any(is_host_written),
            network_open,
            cwd: spec.cwd.clone().unwrap_or_else(|| work_tree.clone()),
            work_tree,
            env,
            home: HOME.into(),
            mounts,
            files,
            limits: limits::decide(&spec.limits, watched),
            doors: doors.iter().map(|door| door.at).collect(),
            runtime: None,
        },
        stubs: trees.stubs,
        aftermath: trees.aftermath,
    })
}

/// Whether what is written there is written on the host, as the files of the tree's owner.
fn is_host_written(mount: &Mount) -> bool {
    matches!(mount.kind, MountKind::Bind { writable: true, .. })
}

/// Refuses layers that can't take what is written, before anything is started.
fn check_layers(mounts: &[Mount]) -> Result<(), CellError> {
    for mount in mounts {
        let MountKind::Overlay {
            upper: Some(Upper::Layer { directory, .. }),
            ..
        } = &mount.kind
        else {
            continue;
        };
        layer::Layer::at(directory)
            .check()
            .map_err(|error| CellError::Unavailable {
                reason: error.to_string(),
                remedy: "Keep layers on ext4, xfs, btrfs or tmpfs.".to_owned(),
            })?;
    }
    Ok(())
}

/// No isolation: the same orders with nothing to mount.
fn direct(spec: &CellSpec, work_tree: PathBuf) -> Plan {
    let home = spec.home.clone().unwrap_or_else(|| PathBuf::from("/"));
    let User {
        kernel: (uid, gid),
        inside,
        layer_owner,
    } = User::ours();
    Plan {
        setup: Setup {
            isolation: Isolation::Direct,
            parent: 0,
            uid,
            gid,
            inside,
            layer_owner,
            fake_root: false,
            may_set_ids: true,
            network_open: true,
            cwd: spec.cwd.clone().unwrap_or_else(|| work_tree.clone()),
            work_tree,
            env: env::direct(spec, &files::user_name(uid, false)),
            home,
            mounts: Vec::new(),
            files: Vec::new(),
            limits: limits::decide(&spec.limits, Vec::new()),
            doors: Vec::new(),
            runtime: None,
        },
        stubs: Vec::new(),
        aftermath: Vec::new(),
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
        count: 1,
    }))
}

fn setup_error(step: &str, source: io::Error) -> CellError {
    CellError::Setup {
        step: step.to_owned(),
        source,
    }
}
