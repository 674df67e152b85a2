//! What the harness tells a fresh `cell-init` to build. Both sides are the same binary, so this is
//! no promise: it may change with any version.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How PID 1 isolates itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Isolation {
    /// Not at all: plain processes.
    Direct,
    /// As an ordinary user: everything in a user namespace.
    User,
    /// As root: namespaces first, then a dedicated user, then a user namespace.
    Root,
    /// Somebody else has made the place already; only privileges are given up.
    Given,
}

/// The whole place to build.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) isolation: Isolation,
    /// The harness: whoever else is the parent means that the harness has died.
    pub(crate) parent: i32,
    /// User and group in the kernel's eyes.
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// What they are called inside.
    pub(crate) inside: (u32, u32),
    /// The user and group to whom layers belong on disk.
    pub(crate) layer_owner: (u32, u32),
    /// The user and those after it appear as root and its users inside.
    pub(crate) fake_root: bool,
    /// Set-user-id programs and file capabilities may be made: all that is written lies in layers,
    /// where nobody but a cell can reach it.
    pub(crate) may_set_ids: bool,
    /// Keeps the host's network instead of an empty one.
    pub(crate) network_open: bool,
    /// The work tree, by its path inside; files are relative to it.
    pub(crate) work_tree: PathBuf,
    /// The working directory of commands that name none.
    pub(crate) cwd: PathBuf,
    /// Every command's environment.
    pub(crate) env: Vec<(String, String)>,
    /// The private home directory.
    pub(crate) home: PathBuf,
    /// What appears where, parents before children.
    pub(crate) mounts: Vec<Mount>,
    /// Small files of our own: path and content.
    pub(crate) files: Vec<(PathBuf, String)>,
    pub(crate) limits: Limits,
    /// Listeners on the cell's own loopback to hand to the harness.
    #[serde(default)]
    pub(crate) doors: Vec<std::net::SocketAddrV4>,
    /// What PID 1 becomes instead of serving by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) runtime: Option<Runtime>,
}

impl Setup {
    /// The cell's user and group as PID 1 has to write them while it builds.
    pub(crate) fn owner_here(&self) -> (rustix::fs::Uid, rustix::fs::Gid) {
        let only_root = self.runtime.is_some() && self.isolation == Isolation::User;
        let (uid, gid) = if only_root {
            (0, 0)
        } else {
            (self.uid, self.gid)
        };
        (
            rustix::fs::Uid::from_raw(uid),
            rustix::fs::Gid::from_raw(gid),
        )
    }
}

/// A container runtime. Its container shows the set-up's mounts and files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Runtime {
    /// The program, by its path outside.
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// The bundle's `config.json`.
    pub(crate) config: String,
    /// Mount points that the runtime fills itself: devices, /proc, scratch.
    pub(crate) places: Vec<PathBuf>,
}

impl Runtime {
    /// Where the bundle lies, in a mount namespace of its own; something that every system has.
    pub(crate) const PLACE: &str = "/run";
    /// The root file system in it.
    pub(crate) const ROOTFS: &str = "rootfs";
}

/// One thing to show inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mount {
    /// Where it appears.
    pub(crate) at: PathBuf,
    pub(crate) kind: MountKind,
}

/// What a [`Mount`] shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MountKind {
    /// A host directory or file with what is mounted below it.
    Bind {
        source: PathBuf,
        writable: bool,
        /// Shows the owner on disk as the cell's user; None shows ids as they are.
        idmap: Option<IdMap>,
    },
    /// An empty read-only directory or file over something that must not be seen.
    Mask,
    /// A symbolic link.
    Symlink { target: PathBuf },
    /// Directories laid over each other; what is written goes into the upper one.
    Overlay {
        /// The topmost first, each with its id mapping as for a bind. They never change.
        lowers: Vec<(PathBuf, Option<IdMap>)>,
        /// None: it can't be written.
        upper: Option<Upper>,
    },
}

impl IdMap {
    /// All of a system's users, as a fake root's cell shows them.
    pub(crate) const SYSTEM: Self = Self {
        uid: 0,
        gid: 0,
        count: 65_536,
    };
}

/// Where the writes of an overlay go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Upper {
    /// Into the cell's scratch: gone with it.
    Scratch,
    /// Into a part of a layer on disk.
    Layer { directory: PathBuf, part: String },
}

/// The owners on disk that the cell's user, and those after it, stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct IdMap {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// How many ids follow each other, in both.
    pub(crate) count: u32,
}

/// What the cell may take; [`crate::Limits`] with everything decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) memory: u64,
    pub(crate) millicores: Option<u32>,
    pub(crate) processes: u64,
    pub(crate) open_files: u64,
    pub(crate) disk_bytes: u64,
    pub(crate) disk_reserve: u64,
    pub(crate) files: u64,
    pub(crate) output_bytes: u64,
    pub(crate) output_rate: u64,
    /// Milliseconds.
    pub(crate) command_time: Option<u64>,
    pub(crate) cell_time: Option<u64>,
    pub(crate) scratch_bytes: u64,
    pub(crate) scratch_inodes: u64,
    /// The directories whose disk is looked after.
    pub(crate) trees: Vec<PathBuf>,
    pub(crate) cgroup: Cgroup,
}

/// The control groups that hold some of the limits; empty where none may be written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cgroup {
    /// Directories in hierarchies of version 1, which the launcher enters.
    pub(crate) join: Vec<PathBuf>,
    /// A directory of version 2, which PID 1 is made in.
    pub(crate) into: Option<PathBuf>,
    /// Counts processes that were killed for want of memory (a line `oom_kill N`).
    pub(crate) ooms: Option<PathBuf>,
    /// Counts refused processes (a line `max N`).
    pub(crate) refusals: Option<PathBuf>,
}
