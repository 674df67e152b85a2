//! What a cell is made from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use recto_protocol::policy::Policy;
use recto_protocol::ports::cell::{Door, Gateway};

use crate::layer::Layer;

/// The user and group that commands see themselves as when the harness is root, and to whom layers
/// belong on disk; nobody's on common systems (ordinary users end at 60,000, systemd's dynamic ones
/// begin at 61,184 and end at 65,519, its containers begin at 524,288).
pub const CELL_USER: u32 = 65_520;

/// The first of the 2^27 users that cells of a root harness are in the kernel's eyes, each another
/// one. Nobody's: systemd's containers end at 0x6fff_ffff, and what it uses above begins at
/// 0x7ffe_0000. They own nothing on disk: trees and layers are shown as their own.
pub const CELL_USERS: u32 = 0x7400_0000;

/// The first of the 65,536 users that a cell with a fake root has, in the kernel's eyes. Nobody's,
/// like [`CELL_USERS`].
pub const FAKE_ROOT_USERS: u32 = 0x7000_0000;

/// How a cell's PID 1 is started and kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The kernel's own namespaces and filters; needs nothing installed.
    #[default]
    Namespaces,
    /// gVisor's `runsc`: the same, and commands don't speak to this machine's kernel.
    Gvisor,
    /// No isolation at all: plain processes. For `danger-full-access` only, which always means it.
    Direct,
}

/// A cell to make.
#[derive(Clone, Debug)]
pub struct CellSpec {
    /// The binary that answers to `cell-init`.
    pub exe: PathBuf,
    /// How it is kept apart.
    pub backend: Backend,
    /// What may be written and reached.
    pub policy: Policy,
    /// The root of the work tree; absolute. It has the same path inside.
    pub work_tree: PathBuf,
    /// Where commands start that name no directory; the work tree's root if None.
    pub cwd: Option<PathBuf>,
    /// Tool directories that are shown read-only at their own paths.
    pub readable: Vec<PathBuf>,
    /// Files and directories that must not be seen, wherever they lie.
    pub hidden: Vec<PathBuf>,
    /// Where programs are looked up; directories that don't exist inside are left out.
    pub path: String,
    /// The user's home outside; tool variables point into it. Nothing else of it is shown.
    pub home: Option<PathBuf>,
    /// Variables on top of the cell's own.
    pub env: Vec<(String, String)>,
    /// Small files of the cell's own: absolute path and content. They lie over what is shown.
    pub files: Vec<(PathBuf, String)>,
    /// What the cell may take.
    pub limits: Limits,
    /// Places on the cell's loopback that are answered outside. Needs a network of its own.
    pub doors: Option<Doors>,
    /// What commands see in place of the trees' git directories when they may write.
    pub git: GitView,
    /// Takes what is written into the work tree and the further writable directories, which stay
    /// as they are; None writes into them.
    pub work_layer: Option<Layer>,
    /// The user and group in the kernel's eyes, when the harness is root: if None, one of
    /// [`CELL_USERS`] that no other cell is; with a fake root, the first of its users,
    /// [`FAKE_ROOT_USERS`] if None. Cells with different ones can't touch each other's files and
    /// processes even without their namespaces, nor use up what the kernel counts by user. Layers
    /// that were written with a named user belong to it, all others to [`CELL_USER`].
    pub user: Option<u32>,
    /// The system that commands see.
    pub root: RootView,
}

/// The most doors of a cell; the kernel passes at most 253 descriptors at once.
pub const MOST_DOORS: usize = 128;

/// The doors of a cell, and who answers.
#[derive(Clone)]
pub struct Doors {
    /// Where they are; at most [`MOST_DOORS`], no two at the same place.
    pub list: Vec<Door>,
    /// Who takes their connections.
    pub gateway: Arc<dyn Gateway>,
}

impl std::fmt::Debug for Doors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doors")
            .field("list", &self.list)
            .finish_non_exhaustive()
    }
}

/// What commands see in place of a git directory. The host's is never changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GitView {
    /// A copy-on-write view that ends with the cell.
    #[default]
    Scratch,
    /// A copy-on-write view whose changes are kept here: the next cell sees them. The layer may
    /// serve many repositories, each at its own path.
    Layer(Layer),
    /// The git directory itself, read-only: nothing can be committed.
    ReadOnly,
}

/// The system directories that a cell shows: a base, and layers over it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootView {
    /// A directory with a root file system; the host's own if None. Of the host's, `/var` is shown
    /// only when there are layers, and of it only what package managers need.
    pub base: Option<PathBuf>,
    /// Layers that have been kept, the topmost first; at most 8. All were written with the same
    /// first user.
    pub lowers: Vec<Layer>,
    /// Takes what is written into the system directories. Commands are then root and its users as
    /// far as they can see, so that packages can be installed; in the kernel's eyes they are
    /// ordinary users with no right over anything but the cell's own files. Needs a harness that
    /// is root.
    pub setup: Option<Layer>,
}

/// What a cell may take. Memory, processes and CPU are held by cgroups where they may be written
/// ([`crate::probe`] tells), else like the rest by resource limits and by the cell's init, which
/// looks after its processes while some run. Each can be set to its type's greatest value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory, with swap and scratch, of all processes together. None is three quarters
    /// of the machine's.
    pub memory: Option<u64>,
    /// Thousandths of a core that all processes together may use. None is all cores. Held by
    /// cgroups only.
    pub millicores: Option<u32>,
    /// Processes and threads.
    pub processes: u64,
    /// Open files of one process.
    pub open_files: u64,
    /// Bytes that may be written to disk during the cell's life, deleted ones included. No single
    /// file may be larger.
    pub disk_bytes: u64,
    /// Bytes that stay free on the work tree's file system; when there is less, what writes most
    /// is killed. Less is kept when less than twice this is free at the start.
    pub disk_reserve: u64,
    /// Files and directories that may be made in writable directories.
    pub files: u64,
    /// Bytes that one command may print in all; most of it is not kept.
    pub output_bytes: u64,
    /// Bytes that one command may print per second, once it has printed a gibibyte.
    pub output_rate: u64,
    /// How long one command may run.
    pub command_time: Option<Duration>,
    /// How long the cell may live.
    pub cell_time: Option<Duration>,
    /// Bytes in /tmp, /run, /dev/shm and the home directory together; they are memory, and at most
    /// half of what the cell may have.
    pub scratch_bytes: u64,
    /// Files and directories in them.
    pub scratch_inodes: u64,
    /// Uses cgroups where they may be written.
    pub cgroups: bool,
}

impl Default for Limits {
    /// Nothing that a build on a laptop meets: 4,096 processes, 65,536 open files, 100 GiB written,
    /// 1 GiB kept free, 2,000,000 files, 10 GiB of output at 64 MiB/s; 2 GiB and 200,000 files of
    /// scratch.
    fn default() -> Self {
        Self {
            memory: None,
            millicores: None,
            processes: 4096,
            open_files: 65_536,
            disk_bytes: 100 << 30,
            disk_reserve: 1 << 30,
            files: 2_000_000,
            output_bytes: 10 << 30,
            output_rate: 64 << 20,
            command_time: None,
            cell_time: None,
            scratch_bytes: 2 << 30,
            scratch_inodes: 200_000,
            cgroups: true,
        }
    }
}

impl CellSpec {
    /// A cell for a work tree with this binary, this process' `PATH` and `HOME` left out.
    pub fn new(policy: Policy, work_tree: impl Into<PathBuf>) -> Self {
        Self {
            exe: PathBuf::from("/proc/self/exe"),
            backend: Backend::default(),
            policy,
            work_tree: work_tree.into(),
            cwd: None,
            readable: Vec::new(),
            hidden: Vec::new(),
            path: String::new(),
            home: None,
            env: Vec::new(),
            files: Vec::new(),
            limits: Limits::default(),
            doors: None,
            git: GitView::default(),
            work_layer: None,
            user: None,
            root: RootView::default(),
        }
    }

    /// Shows the tools of a user: those under their home, and their `PATH`.
    #[must_use]
    pub fn with_tools_of(mut self, home: &Path, path: &str) -> Self {
        self.readable = default_tool_dirs(home);
        self.path = path.to_owned();
        self.home = Some(home.to_owned());
        self
    }
}

/// The tool directories under a home that exist: compilers, package caches, interpreters.
pub fn default_tool_dirs(home: &Path) -> Vec<PathBuf> {
    const NAMES: [&str; 7] = [
        ".cargo",
        ".rustup",
        ".pyenv",
        ".nvm",
        ".local/bin",
        ".local/lib",
        "go",
    ];
    NAMES
        .into_iter()
        .map(|name| home.join(name))
        .filter(|path| path.is_dir())
        .collect()
}
