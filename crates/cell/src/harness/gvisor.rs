//! The `gvisor` backend: the same file view as ever, in a container of gVisor's `runsc`.
//!
//! PID 1 of the cell's namespaces becomes `runsc run`, whose container's process is this program
//! again (`cell-init stdio`): the harness holds, watches and kills the outer one as in any cell.

use std::path::{Path, PathBuf};

use recto_protocol::ports::cell::CellError;
use serde_json::{Value, json};

use crate::spec::CellSpec;
use crate::wire::{Isolation, Mount, MountKind, Runtime, Setup};

/// The program, looked up in the user's `PATH` and where distributions put it.
const PROGRAM: &str = "runsc";
const USUAL: &str = "/usr/local/bin:/usr/bin:/usr/local/sbin:/usr/sbin";
/// Where this program lies inside.
const INIT: &str = "/.recto/init";
/// What to do about what gVisor can't.
const NAMESPACES: &str = "Choose the other backend: `cell.backend = \"namespaces\"`.";
/// What gVisor makes itself.
const HOSTED: [&str; 3] = ["/proc", "/sys", "/dev"];
/// What it makes there and no other cell has: FUSE and tunnels.
const DEVICES: [&str; 2] = ["/dev/fuse", "/dev/net"];
/// What commands can't tell from a cell's usual scratch places.
const SCRATCH: [(&str, &str); 3] = [("/tmp", "1777"), ("/run", "755"), ("/dev/shm", "1777")];
/// The user inside when an ordinary user runs it: the only one there is, and the user's own on disk.
const ONLY_USER: u32 = 0;

/// Makes orders for a container out of orders for a cell: those for the launcher (changed in
/// place), and those for the inside.
pub(super) fn contain(spec: &CellSpec, orders: &mut Setup) -> Result<Setup, CellError> {
    if !orders.doors.is_empty() || orders.fake_root {
        return Err(CellError::Unavailable {
            reason: "gVisor's containers have no way out by a proxy, and no fake root".to_owned(),
            remedy: NAMESPACES.to_owned(),
        });
    }
    let program = find(&spec.path, &orders.mounts).ok_or_else(missing)?;
    let exe = std::fs::canonicalize(&spec.exe)
        .map_err(|error| super::launcher::setup("find this program", error))?;
    let scratch = orders.limits.scratch_bytes;
    let user = if orders.isolation == Isolation::User {
        (ONLY_USER, ONLY_USER)
    } else {
        (orders.uid, orders.gid)
    };
    let home = orders.home.clone();
    let mut places: Vec<PathBuf> = HOSTED.map(PathBuf::from).into();
    let mut mounts = vec![json!({"destination": "/proc", "type": "proc", "source": "proc"})];
    let modes = SCRATCH.map(|(at, mode)| (PathBuf::from(at), mode));
    for (at, mode) in modes.into_iter().chain([(home.clone(), "700")]) {
        let size = scratch;
        let (uid, gid) = user;
        let options = [
            format!("mode={mode}"),
            format!("size={size}"),
            format!("uid={uid}"),
            format!("gid={gid}"),
        ];
        mounts.push(json!({
            "destination": at, "type": "tmpfs", "source": "tmpfs", "options": options,
        }));
        places.push(at);
    }
    mounts.extend(hidden());
    mounts.extend(shared(&orders.mounts, &places));
    orders.mounts.push(Mount {
        at: INIT.into(),
        kind: MountKind::Bind {
            source: exe,
            writable: false,
            idmap: None,
        },
    });
    // Scratch places are made with every root.
    places.truncate(HOSTED.len());
    let inside = Setup {
        isolation: Isolation::Given,
        uid: user.0,
        gid: user.1,
        mounts: Vec::new(),
        files: Vec::new(),
        runtime: None,
        ..orders.clone()
    };
    orders.runtime = Some(Runtime {
        program,
        arguments: arguments(orders),
        config: config(user, &mounts).to_string(),
        places,
    });
    Ok(inside)
}

/// Closed directories over what `runsc` adds to `/dev` and no other cell has.
fn hidden() -> [Value; 2] {
    DEVICES.map(|at| {
        json!({
            "destination": at, "type": "tmpfs", "source": "tmpfs", "options": ["ro", "mode=0"],
        })
    })
}

/// What is named apart from the root: what may change from outside, and what lies in a scratch
/// place and would be covered by it. The rest is part of the root, which `runsc` may remember.
fn shared(mounts: &[Mount], places: &[PathBuf]) -> Vec<Value> {
    let mut named: Vec<&Path> = Vec::new();
    for mount in mounts {
        let writable = is_writable(&mount.kind);
        let covered = places.iter().any(|place| mount.at.starts_with(place));
        let inside_another = named.iter().any(|at| mount.at.starts_with(at));
        let shows = matches!(
            mount.kind,
            MountKind::Bind { .. } | MountKind::Overlay { .. }
        );
        if shows && (writable || covered) && !inside_another {
            named.push(&mount.at);
        }
    }
    let root = Path::new(Runtime::PLACE).join(Runtime::ROOTFS);
    let bind = |at: &Path| {
        let below = at.strip_prefix("/").unwrap_or(at);
        json!({
            "destination": at, "type": "bind", "source": root.join(below), "options": ["rbind", "rw"],
        })
    };
    named.into_iter().map(bind).collect()
}

fn is_writable(kind: &MountKind) -> bool {
    match kind {
        MountKind::Bind { writable, .. } => *writable,
        MountKind::Overlay { upper, .. } => upper.is_some(),
        MountKind::Mask | MountKind::Symlink { .. } => false,
    }
}

fn arguments(orders: &Setup) -> Vec<String> {
    let network = if orders.network_open { "host" } else { "none" };
    let rootless = orders.isolation == Isolation::User;
    let mut arguments = vec![
        format!("--root={}/state", Runtime::PLACE),
        format!("--network={network}"),
        // Those of the namespaces hold for the whole container.
        "--ignore-cgroups".into(),
        "--overlay2=none".into(),
    ];
    if rootless {
        arguments.push("--rootless".into());
    }
    arguments.extend(["run", "--bundle", Runtime::PLACE, "cell"].map(str::to_owned));
    arguments
}

fn config(user: (u32, u32), mounts: &[Value]) -> Value {
    let namespaces = ["pid", "mount", "ipc", "uts", "network"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.0.0",
        "hostname": "cell",
        "root": {"path": Runtime::ROOTFS, "readonly": true},
        "process": {
            "terminal": false,
            "user": {"uid": user.0, "gid": user.1},
            "args": [INIT, "cell-init", "stdio"],
            "env": [],
            "cwd": "/",
            "capabilities": {},
            "noNewPrivileges": true,
        },
        "mounts": mounts,
        "linux": {"namespaces": namespaces},
    })
}

/// The program; not one that a cell could have written.
fn find(path: &str, mounts: &[Mount]) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let is_program = |path: &PathBuf| {
        std::fs::metadata(path)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let is_hostile = |path: &PathBuf| {
        mounts
            .iter()
            .any(|mount| is_writable(&mount.kind) && path.starts_with(&mount.at))
    };
    let directories = path.split(':').chain(USUAL.split(':'));
    directories
        .filter(|directory| directory.starts_with('/'))
        .filter_map(|directory| Path::new(directory).join(PROGRAM).canonicalize().ok())
        .find(|path| is_program(path) && !is_hostile(path))
}

fn missing() -> CellError {
    CellError::Unavailable {
        reason: "gVisor's `runsc` is not in PATH".to_owned(),
        remedy: "Install it (Debian, Ubuntu: `apt-get install runsc`), or choose another backend: \
                 `cell.backend = \"namespaces\"`."
            .to_owned(),
    }
}
