//! Giving up: descriptors, keyring, limits, capabilities, system calls.

use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

use super::{Failed, Step, check};
use crate::wire::Limits;

/// The last number that a descriptor can have; gVisor refuses larger ones.
const LAST: u32 = i32::MAX as u32;

/// Closes everything but the stream (0), the liveness pipe (1) and the null device (2).
pub(super) fn close_inherited() -> Result<(), Failed> {
    // SAFETY: nothing in this fresh process owns a descriptor above 2.
    check(unsafe { libc::syscall(libc::SYS_close_range, 3u32, LAST, 0u32) })
        .map(drop)
        .step("close inherited descriptors")
}

/// Commands expect every signal to do what it usually does. What the harness ignores (`nohup`, a
/// shell's background jobs) is inherited through every exec otherwise.
pub(super) fn usual_signals() {
    for signal in (1..=64).filter(|signal| *signal != libc::SIGPIPE) {
        // Those that can't be set (KILL, STOP, glibc's own) are refused, and are as they should be.
        // SAFETY: the default action is no handler of ours; this process has one thread.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Dies when the harness' launching thread dies. A harness that is dead already is noticed by
/// `parent`, or (in a new pid namespace, where no parent is visible) by the end of the stream.
pub(super) fn die_with_parent(parent: Option<i32>) -> Result<(), Failed> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .step("ask for the parent's death signal")?;
    match parent {
        Some(pid) if rustix::process::getppid().map(|p| p.as_raw_nonzero().get()) != Some(pid) => {
            Err(Failed {
                step: "find the harness alive".into(),
                errno: libc::ESRCH,
            })
        }
        _ => Ok(()),
    }
}

pub(super) fn no_core_dumps() -> Result<(), Failed> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none).step("forbid core dumps")
}

/// A session keyring of the cell's own; kernels without keyrings have none to leak.
pub(super) fn new_session_keyring() -> Result<(), Failed> {
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: the operation takes a null name for an anonymous keyring.
    let joined = check(unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            JOIN_SESSION_KEYRING,
            std::ptr::null::<libc::c_char>(),
        )
    });
    match joined {
        Err(error) if error.raw_os_error() != Some(libc::ENOSYS) => {
            Err(error).step("join a new session keyring")
        }
        _ => Ok(()),
    }
}

/// Where memory runs out, the kernel takes a cell's processes before the user's own.
pub(super) fn first_to_go() {
    // Best effort: it bounds nothing, and a harness may be as expendable already.
    let _ = std::fs::write("/proc/self/oom_score_adj", "300");
}

/// A realtime harness' cells are not: a busy one would stop the machine, and the kernel keeps such
/// processes out of control groups.
pub(super) fn no_realtime() -> Result<(), Failed> {
    // SAFETY: takes a number and returns one.
    let policy = unsafe { libc::sched_getscheduler(0) };
    if !matches!(
        policy & !libc::SCHED_RESET_ON_FORK,
        libc::SCHED_FIFO | libc::SCHED_RR
    ) {
        return Ok(());
    }
    let usual = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters live until the call returns.
    let set = unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const usual) };
    check(set.into())
        .map(drop)
        .step("leave realtime scheduling")
}

/// Bounds what each of the cell's processes may take, and their number, which is counted per user
/// namespace, so per cell.
pub(super) fn limits(limits: &Limits) -> Result<(), Failed> {
    lower(Resource::Nproc, limits.processes).step("limit processes")?;
    lower(Resource::Nofile, limits.open_files).step("limit open files")?;
    lower(Resource::Fsize, limits.disk_bytes).step("limit file sizes")
}

/// Lowers a limit, and what is in force of it.
fn lower(resource: Resource, most: u64) -> rustix::io::Result<()> {
    let old = rustix::process::getrlimit(resource);
    let maximum = old.maximum.map_or(most, |old| old.min(most));
    let current = match resource {
        // Programs that use `select` rely on the usual small number, and others raise it.
        Resource::Nofile => old.current.map_or(maximum, |old| old.min(maximum)),
        _ => maximum,
    };
    let new = Rlimit {
        current: Some(current),
        maximum: Some(maximum),
    };
    rustix::process::setrlimit(resource, new)
}

/// What a user's processes, in cells or not, may have together; a cell takes a part of it only.
const SHARED: [(Resource, u64, &str); 3] = [
    (Resource::Sigpending, 512, "limit queued signals"),
    (Resource::Msgqueue, 400 << 10, "limit message queues"),
    (Resource::Memlock, 1 << 20, "limit locked memory"),
];

/// Leaves the user's programs outside a part of what the kernel counts by user.
pub(super) fn leave_a_part() -> Result<(), Failed> {
    for (resource, most, step) in SHARED {
        let old = rustix::process::getrlimit(resource).maximum;
        let most = Some(old.map_or(most, |old| old.min(most)));
        let new = Rlimit {
            current: most,
            maximum: most,
        };
        rustix::process::setrlimit(resource, new).step(step)?;
    }
    Ok(())
}

/// What a fake root keeps, over the cell's users and what belongs to them: what installing packages
/// needs. None of it reaches anything of the host's.
///
/// `SETFCAP` only where nothing of the host's is written: through an id-mapped mount of a tree of
/// root's, a capability for this root becomes one for the host's.
const FAKE_ROOT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID);

/// Gives up every capability for good, forbids gaining any, and verifies it. A fake root keeps its
/// own few.
pub(super) fn drop_all(fake_root: bool, may_set_ids: bool) -> Result<(), Failed> {
    let kept = match (fake_root, may_set_ids) {
        (true, true) => FAKE_ROOT.union(CapabilitySet::SETFCAP),
        (true, false) => FAKE_ROOT,
        (false, _) => CapabilitySet::empty(),
    };
    not_traceable()?;
    empty_bounding_set(kept)?;
    let mut bits = CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    if !fake_root {
        bits |= CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_SETUID_FIXUP
            | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED;
    }
    rustix::thread::set_capabilities_secure_bits(bits).step("lock the secure bits")?;
    keep_only(kept, is_kernel_root)
}

/// The same in a container, whose runtime may have done a part already: without capabilities there
/// is no bounding set to empty. What counts is verified. `uid` is root where a runtime has only one
/// user, who is an ordinary one outside.
pub(super) fn drop_what_is_left(uid: u32) -> Result<(), Failed> {
    not_traceable()?;
    let has = rustix::thread::capabilities(None).step("read capabilities")?;
    if !has.effective.is_empty() {
        empty_bounding_set(CapabilitySet::empty())?;
    }
    keep_only(CapabilitySet::empty(), || {
        uid != 0 && rustix::process::geteuid().is_root()
    })
}

/// Not traceable by the cell's own processes, which have the same user id.
fn not_traceable() -> Result<(), Failed> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .step("forbid tracing of the cell's init")
}

fn empty_bounding_set(kept: CapabilitySet) -> Result<(), Failed> {
    for capability in 0..64u64 {
        if kept.bits() & (1 << capability) != 0 {
            continue;
        }
        // SAFETY: prctl with PR_CAPBSET_DROP takes numbers only.
        let dropped =
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability as libc::c_ulong, 0, 0, 0) };
        if dropped != 0 {
            match std::io::Error::last_os_error() {
                // The kernel's last capability is passed.
                error if error.raw_os_error() == Some(libc::EINVAL) => break,
                error => return Err(error).step("drop the bounding set"),
            }
        }
    }
    Ok(())
}

/// Gives up all other capabilities, and verifies that nothing more is left and that the user is
/// none who has power by itself.
fn keep_only(kept: CapabilitySet, is_powerful: impl Fn() -> bool) -> Result<(), Failed> {
    let wanted = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, wanted).step("drop capabilities")?;
    rustix::thread::set_no_new_privs(true).step("set no_new_privs")?;
    let left = rustix::thread::capabilities(None).step("read capabilities back")?;
    let locked = rustix::thread::no_new_privs().step("read no_new_privs back")?;
    if left != wanted || !locked || is_powerful() {
        return Err(Failed {
            step: "verify that no privilege is left".into(),
            errno: libc::EPERM,
        });
    }
    Ok(())
}

/// Whether this process is the host's root, whatever it is called in its user namespace.
fn is_kernel_root() -> bool {
    // A line for each range: first id here, first id outside, how many.
    let maps = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let outside = maps.lines().map(|line| line.split_whitespace().nth(1));
    maps.is_empty() || outside.into_iter().any(|id| id.is_none_or(|id| id == "0"))
}

/// Installs the compiled filter: 8 bytes per instruction.
pub(super) fn filter(program: &[u8]) -> Result<(), Failed> {
    let mut instructions: Vec<libc::sock_filter> = program
        .chunks_exact(8)
        .map(|b| libc::sock_filter {
            code: u16::from_ne_bytes([b[0], b[1]]),
            jt: b[2],
            jf: b[3],
            k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
        })
        .collect();
    let len = u16::try_from(instructions.len()).map_err(|_| Failed {
        step: "load the filter".into(),
        errno: libc::E2BIG,
    })?;
    let program = libc::sock_fprog {
        len,
        filter: instructions.as_mut_ptr(),
    };
    // SAFETY: `program` points to `len` instructions that live until the call returns.
    let set = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER as libc::c_ulong,
            std::ptr::from_ref(&program),
            0,
            0,
        )
    };
    check(set.into())
        .map(drop)
        .step("install the seccomp filter")
}
