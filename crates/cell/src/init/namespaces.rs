//! Namespaces: making them, mapping ids, the user that root becomes, loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::time::ClockId;

use super::{Failed, Step, check};
use crate::wire::{Cgroup, IdMap, Isolation, Mount, MountKind, Setup, Upper};

/// `libc` lacks it. It takes effect for children only, so for PID 1.
const CLONE_NEWTIME: libc::c_int = 0x80;

/// User namespaces that carry a mount's id mapping.
pub(super) struct IdMaps {
    by_owner: BTreeMap<IdMap, OwnedFd>,
    /// Shows layers as the cell's user's; None when they are already.
    pub(super) layers: Option<OwnedFd>,
}

impl IdMaps {
    pub(super) fn get(&self, owner: &IdMap) -> Option<&OwnedFd> {
        self.by_owner.get(owner)
    }
}

/// One mapping for each owner that the set-up's mounts name.
pub(super) fn idmaps(setup: &Setup) -> Result<IdMaps, Failed> {
    let step = "make an id mapping";
    let mut by_owner = BTreeMap::new();
    let mut owners: BTreeSet<IdMap> = setup.mounts.iter().flat_map(owners_of).collect();
    if setup.fake_root {
        owners.insert(IdMap::SYSTEM);
    }
    for owner in owners {
        let map = idmap(owner, setup, "").step(step)?;
        by_owner.insert(owner, map);
    }
    let layers = match setup.layer_owner {
        (uid, gid) if uid != setup.uid && setup.mounts.iter().any(has_layer) => {
            let owner = IdMap { uid, gid, count: 1 };
            // The kernel works in a layer as root, so root stays root there.
            Some(idmap(owner, setup, "0 0 1\n").step(step)?)
        }
        _ => None,
    };
    Ok(IdMaps { by_owner, layers })
}

fn has_layer(mount: &Mount) -> bool {
    let upper = match &mount.kind {
        MountKind::Overlay { upper, .. } => upper.as_ref(),
        MountKind::Bind { .. } | MountKind::Mask | MountKind::Symlink { .. } => None,
    };
    matches!(upper, Some(Upper::Layer { .. }))
}

fn owners_of(mount: &Mount) -> Vec<IdMap> {
    match &mount.kind {
        MountKind::Bind { idmap, .. } => idmap.iter().copied().collect(),
        MountKind::Overlay { lowers, .. } => {
            lowers.iter().filter_map(|(_, idmap)| *idmap).collect()
        }
        MountKind::Mask | MountKind::Symlink { .. } => Vec::new(),
    }
}

/// A user namespace in which the owner on disk is the cell's user. Only its descriptor is kept;
/// the process it needs lives for this function. `more` are further lines of both mappings.
fn idmap(known: IdMap, setup: &Setup, more: &str) -> io::Result<OwnedFd> {
    let launcher = rustix::process::getpid();
    // SAFETY: a raw clone without CLONE_VM is a fork; this process has one thread, and the child
    // only waits to be killed.
    let pid = check(unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::CLONE_NEWUSER | libc::SIGCHLD,
            0,
            0,
            0,
            0,
        )
    })?;
    if pid == 0 {
        // SAFETY: prctl and pause take no pointers; the parent's death kills the child.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        // A parent that was killed before that can't kill it any more.
        while rustix::process::getppid() == Some(launcher) {
            // SAFETY: see above.
            unsafe { libc::pause() };
        }
        // SAFETY: ends the copy at once; it has nothing to clean up.
        unsafe { libc::_exit(0) };
    }
    let lines = |owner: u32, inside: u32| {
        let mut lines = format!("{owner} {inside} {}\n", known.count);
        if setup.runtime.is_some() && owner != inside {
            // A runtime makes files as root, and gives them to the cell's user right afterwards.
            lines.push_str(&format!("{inside} 0 1\n"));
        } else {
            lines.push_str(more);
        }
        lines
    };
    let map = |name: &str, lines: String| std::fs::write(format!("/proc/{pid}/{name}"), lines);
    let fd = map("uid_map", lines(known.uid, setup.uid))
        .and_then(|()| map("gid_map", lines(known.gid, setup.gid)))
        .and_then(|()| File::open(format!("/proc/{pid}/ns/user")));
    // SAFETY: `pid` is our unreaped child; kill and waitpid take no other pointers.
    unsafe {
        libc::kill(pid as i32, libc::SIGKILL);
        libc::waitpid(pid as i32, std::ptr::null_mut(), 0);
    }
    fd.map(OwnedFd::from)
}

/// Leaves the host's namespaces. As an ordinary user, ids are mapped to themselves.
pub(super) fn unshare(setup: &Setup) -> Result<(), Failed> {
    let mut flags = libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | CLONE_NEWTIME;
    if !setup.network_open {
        flags |= libc::CLONE_NEWNET;
    }
    if setup.isolation == Isolation::User {
        if setup.runtime.is_some() {
            // A runtime is root in its namespace, and makes another one for its sandbox.
            new_user_namespace(setup, (0, 0), flags)?;
            return hostname();
        }
        new_user_namespace(setup, setup.inside, flags)?;
        // Nothing inside may make another one. The filter says so too.
        let _ = std::fs::write("/proc/sys/user/max_user_namespaces", "0");
        leave_watching()?;
    } else {
        // SAFETY: takes flags only; this process has one thread.
        check(unsafe { libc::unshare(flags) }.into()).step("unshare namespaces")?;
    }
    clocks()?;
    hostname()
}

/// What the kernel lets a user have for watching files, and the part of it that one cell of the
/// user's may take: the rest is for editors outside.
const WATCHING: [(&str, u64); 2] = [("instances", 4), ("watches", 2)];

fn leave_watching() -> Result<(), Failed> {
    for (what, part) in WATCHING {
        let step = || format!("limit inotify {what}");
        // A kernel without it has nothing to share.
        let Ok(all) = std::fs::read_to_string(format!("/proc/sys/fs/inotify/max_user_{what}"))
        else {
            continue;
        };
        let all: u64 = all.trim().parse().map_err(io::Error::other).step(&step())?;
        let most = all.div_ceil(part).to_string();
        std::fs::write(format!("/proc/sys/user/max_inotify_{what}"), most).step(&step())?;
    }
    Ok(())
}

/// The cell's clocks of running time start with it, so that they don't tell how long the machine
/// has been running.
fn clocks() -> Result<(), Failed> {
    let now = |clock| rustix::time::clock_gettime(clock).tv_sec;
    let (monotonic, boot) = (now(ClockId::Monotonic), now(ClockId::Boottime));
    let offsets = format!("monotonic -{monotonic} 0\nboottime -{boot} 0\n");
    std::fs::write("/proc/self/timens_offsets", offsets).step("set the clocks")
}

/// Enters a user namespace in which this user has the number `inside`.
fn new_user_namespace(setup: &Setup, inside: (u32, u32), flags: libc::c_int) -> Result<(), Failed> {
    // SAFETY: takes flags only; this process has one thread.
    check(unsafe { libc::unshare(flags | libc::CLONE_NEWUSER) }.into())
        .step("unshare the user namespace")?;
    std::fs::write("/proc/self/setgroups", "deny").step("deny setgroups")?;
    let line = |inside: u32, outside: u32| format!("{inside} {outside} 1\n");
    std::fs::write("/proc/self/uid_map", line(inside.0, setup.uid)).step("map the user")?;
    std::fs::write("/proc/self/gid_map", line(inside.1, setup.gid)).step("map the group")
}

fn hostname() -> Result<(), Failed> {
    rustix::system::sethostname(b"cell").step("set the host name")
}

/// Enters the cell's control groups of version 1: only a thread that moves itself does so at once.
/// This process has one.
pub(super) fn enter_cgroups(cgroup: &Cgroup) -> Result<(), Failed> {
    for directory in &cgroup.join {
        std::fs::write(directory.join("tasks"), "0").step("enter a control group")?;
    }
    Ok(())
}

/// Hides the way to the cell's control groups.
pub(super) fn unshare_cgroup() -> Result<(), Failed> {
    // SAFETY: takes flags only; this process has one thread.
    check(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) }.into())
        .map(drop)
        .step("unshare the cgroup namespace")
}

/// Forks PID 1 of the new pid namespace as a child of *our parent*, the harness, into a control
/// group of version 2 if there is one. None is PID 1.
pub(super) fn fork_sibling(group: Option<&Path>) -> Result<Option<i32>, Failed> {
    let group = group
        .map(File::open)
        .transpose()
        .step("open the control group")?;
    let pid = match group {
        Some(group) => fork_into(&group),
        // SAFETY: a raw clone without CLONE_VM is a fork; this process has one thread, so the copy
        // is whole. The only thing glibc's own fork adds is its at-fork handlers; nothing here has
        // any.
        None => check(unsafe {
            libc::syscall(
                libc::SYS_clone,
                libc::CLONE_PARENT | libc::SIGCHLD,
                0,
                0,
                0,
                0,
            )
        }),
    };
    let pid = pid.step("fork the cell's init")?;
    Ok(i32::try_from(pid).ok().filter(|pid| *pid != 0))
}

/// libc's own constant doesn't fit its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A fork whose child begins in a control group. Its death signal is ours, as CLONE_PARENT has it.
fn fork_into(group: &File) -> io::Result<libc::c_long> {
    // SAFETY: an all-zero clone_args asks for a plain fork.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = libc::CLONE_PARENT as u64 | CLONE_INTO_CGROUP;
    args.cgroup = group.as_raw_fd() as u64;
    // SAFETY: as for the plain clone; the pointer and the size describe `args`.
    check(unsafe {
        libc::syscall(
            libc::SYS_clone3,
            std::ptr::from_ref(&args),
            size_of::<libc::clone_args>(),
        )
    })
}

/// Root's last privileged act: become the cell's user, then enter a user namespace as it, so that
/// limits are counted per cell.
pub(super) fn become_cell_user(setup: &Setup) -> Result<(), Failed> {
    set_user(setup)?;
    // The change of user made /proc/self root's; the mappings are written there.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable)
        .step("own /proc/self")?;
    new_user_namespace(setup, setup.inside, 0)
}

/// Becomes the cell's user in a container that has started us as root.
pub(super) fn become_user(setup: &Setup) -> Result<(), Failed> {
    if setup.uid == 0 || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    set_user(setup)
}

fn set_user(setup: &Setup) -> Result<(), Failed> {
    let (uid, gid) = (setup.uid, setup.gid);
    // SAFETY: these take numbers (and an empty list); this process has one thread.
    unsafe {
        check(libc::setgroups(0, std::ptr::null()).into()).step("drop groups")?;
        check(libc::setresgid(gid, gid, gid).into()).step("become the cell's group")?;
        check(libc::setresuid(uid, uid, uid).into()).step("become the cell's user")?;
    }
    Ok(())
}

/// Root's last privileged act for a fake root: enter the user namespace in which the cell's users
/// are a system's, as its root. In the kernel's eyes that is an ordinary user.
pub(super) fn become_fake_root(maps: &IdMaps) -> Result<(), Failed> {
    let map = maps
        .get(&IdMap::SYSTEM)
        .ok_or(rustix::io::Errno::INVAL)
        .step("find the id mapping")?;
    let kind = Some(rustix::thread::LinkNameSpaceType::User);
    rustix::thread::move_into_link_name_space(map.as_fd(), kind).step("become the cell's root")?;
    // SAFETY: these take numbers (and an empty list); this process has one thread.
    unsafe {
        check(libc::setgroups(0, std::ptr::null()).into()).step("drop groups")?;
        check(libc::setresgid(0, 0, 0).into()).step("become the cell's group")?;
        check(libc::setresuid(0, 0, 0).into()).step("become the cell's user")?;
    }
    Ok(())
}

/// Sets the interface flags of `lo`; the kernel adds 127.0.0.1 and ::1 by itself.
pub(super) fn loopback_up() -> io::Result<()> {
    // SAFETY: socket takes numbers only.
    let fd = check(
        unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) }.into(),
    )?;
    // SAFETY: the descriptor was just opened and is owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // SAFETY: an all-zero ifreq is valid: numbers and a NUL-filled name.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which lives until the call returns.
    let set = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS,
            std::ptr::from_ref(&request),
        )
    };
    check(set.into()).map(drop)
}
