//! The system calls that a cell's processes may not make, and the filter made from them.
//!
//! A deny-list: what is not named is allowed, because the namespaces already hold and tools need
//! almost everything. What is named has no use in a build or a test and has been a way out before.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;
use recto_protocol::ports::cell::CellError;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule,
};

/// One refused system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Its name.
    pub name: &'static str,
    /// Its number on this architecture.
    pub number: i64,
    /// Why it is refused.
    pub reason: &'static str,
}

macro_rules! denied {
    ($($name:ident $constant:ident $reason:literal)*) => {
        &[$(Denied { name: stringify!($name), number: libc::$constant, reason: $reason }),*]
    };
}

/// System calls that fail with EPERM whatever their arguments.
pub const DENIED: &[Denied] = denied! {
    unshare SYS_unshare "a new user namespace brings back every capability"
    setns SYS_setns "enters other namespaces"
    mount SYS_mount "changes the file view"
    umount2 SYS_umount2 "takes masks away"
    pivot_root SYS_pivot_root "changes the file view"
    chroot SYS_chroot "the classic way out of a chroot; needs no place here"
    open_tree SYS_open_tree "mount interface"
    move_mount SYS_move_mount "mount interface"
    fsopen SYS_fsopen "mount interface; file system parsers are attack surface"
    fsconfig SYS_fsconfig "mount interface"
    fsmount SYS_fsmount "mount interface"
    fspick SYS_fspick "mount interface"
    mount_setattr SYS_mount_setattr "mount interface"
    keyctl SYS_keyctl "keyrings cross namespaces"
    add_key SYS_add_key "keyrings cross namespaces"
    request_key SYS_request_key "keyrings cross namespaces; starts a program on the host"
    bpf SYS_bpf "kernel attack surface"
    perf_event_open SYS_perf_event_open "kernel attack surface; observes the host"
    userfaultfd SYS_userfaultfd "widens kernel races"
    io_uring_setup SYS_io_uring_setup "makes system calls that no filter sees"
    io_uring_enter SYS_io_uring_enter "makes system calls that no filter sees"
    io_uring_register SYS_io_uring_register "makes system calls that no filter sees"
    process_vm_readv SYS_process_vm_readv "reads another process' memory"
    process_vm_writev SYS_process_vm_writev "writes another process' memory"
    pidfd_getfd SYS_pidfd_getfd "takes descriptors out of another process"
    kcmp SYS_kcmp "tells kernel pointers apart"
    open_by_handle_at SYS_open_by_handle_at "opens files without a path"
    name_to_handle_at SYS_name_to_handle_at "makes handles for it"
    kexec_load SYS_kexec_load "replaces the kernel"
    kexec_file_load SYS_kexec_file_load "replaces the kernel"
    init_module SYS_init_module "loads kernel code"
    finit_module SYS_finit_module "loads kernel code"
    delete_module SYS_delete_module "unloads kernel code"
    reboot SYS_reboot "stops the machine"
    swapon SYS_swapon "changes the machine's memory"
    swapoff SYS_swapoff "changes the machine's memory"
    quotactl SYS_quotactl "changes the machine's quotas"
    quotactl_fd SYS_quotactl_fd "changes the machine's quotas"
    acct SYS_acct "writes an accounting file"
    syslog SYS_syslog "reads the kernel's log and addresses"
    settimeofday SYS_settimeofday "sets the machine's clock"
    clock_settime SYS_clock_settime "sets the machine's clock"
    clock_adjtime SYS_clock_adjtime "sets the machine's clock"
    adjtimex SYS_adjtimex "sets the machine's clock"
    sethostname SYS_sethostname "no use inside"
    setdomainname SYS_setdomainname "no use inside"
    vhangup SYS_vhangup "hangs up a terminal"
    lookup_dcookie SYS_lookup_dcookie "kernel profiling"
    fanotify_init SYS_fanotify_init "watches whole file systems"
};

#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[Denied] = denied! {
    iopl SYS_iopl "direct access to devices"
    ioperm SYS_ioperm "direct access to devices"
    modify_ldt SYS_modify_ldt "old segment interface; a source of kernel bugs"
    _sysctl SYS__sysctl "old kernel knobs"
    uselib SYS_uselib "old loader interface"
    ustat SYS_ustat "old interface"
};
#[cfg(not(target_arch = "x86_64"))]
const DENIED_HERE: &[Denied] = &[];

/// System calls that fail with ENOSYS whatever their arguments, because callers know what to do
/// where they are missing.
pub const MISSING: &[Denied] = denied! {
    clone3 SYS_clone3 "its flags can't be seen; callers fall back to `clone`"
    openat2 SYS_openat2 "its mode can't be seen; callers fall back to `openat`"
    io_setup SYS_io_setup "takes contexts that the machine has one number of (`fs.aio-max-nr`); nothing else of that interface works without"
};

/// Bits of a mode that make a program run as its owner or group.
const SET_ID: [u64; 2] = [libc::S_ISUID as u64, libc::S_ISGID as u64];

/// The same number everywhere; `libc` lacks it on some architectures.
const FCHMODAT2: i64 = 452;

/// Calls that set a mode, and which of their arguments it is.
const MODES: &[(i64, u8)] = &[
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (FCHMODAT2, 2),
    (libc::SYS_mknodat, 2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, 1),
];

/// Calls that set a mode if they make a file: which arguments are their flags and the mode.
const OPENS: &[(i64, u8, u8)] = &[
    (libc::SYS_openat, 2, 3),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 1, 2),
];

/// Calls that send a signal to the process, or thread, that their first argument names.
const SIGNALS: &[i64] = &[
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
];

/// The same number everywhere but on architectures that no filter is made for; `libc` lacks it.
const F_SETSIG: u64 = 10;

/// Calls that make a node, and which of their arguments is its kind and mode.
const NODES: &[(i64, u8)] = &[
    (libc::SYS_mknodat, 2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, 1),
];

/// Flags that make a file: `O_CREAT`, and what `O_TMPFILE` adds to `O_DIRECTORY`.
const MAKES: [u64; 2] = [
    libc::O_CREAT as u64,
    (libc::O_TMPFILE & !libc::O_DIRECTORY) as u64,
];

/// Socket families that stay: what programs use to talk to themselves, and route queries.
const FAMILIES: [i32; 4] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

/// The compiled filter, 8 bytes per instruction; made once per process.
///
/// With `may_set_ids` commands can make set-user-id programs.
pub(crate) fn program(may_set_ids: bool) -> Result<Bytes, CellError> {
    static PROGRAMS: [OnceLock<Option<Bytes>>; 2] = [OnceLock::new(), OnceLock::new()];
    PROGRAMS[usize::from(may_set_ids)]
        .get_or_init(|| compile(may_set_ids).ok())
        .clone()
        .ok_or_else(unavailable)
}

/// The filter inside a container with a kernel of its own: the same, and what that kernel leaves out.
pub(crate) fn container_program() -> Result<Bytes, CellError> {
    let compiled = || -> Result<Bytes, seccompiler::Error> {
        let mut rules = rules()?;
        for (number, more) in set_id_rules()?.into_iter().chain(container_rules()?) {
            rules.entry(number).or_insert_with(Vec::new).extend(more);
        }
        filter_of(rules)
    };
    compiled().map_err(|_| unavailable())
}

/// The filter for a container's runtime, which writes files in the name of commands: it makes no
/// set-user-id programs, and is free otherwise.
pub(crate) fn runtime_program() -> Result<Bytes, CellError> {
    let compiled = || -> Result<BpfProgram, seccompiler::Error> {
        let filter = SeccompFilter::new(
            set_id_rules()?,
            SeccompAction::Allow,
            SeccompAction::Errno(libc::EPERM as u32),
            std::env::consts::ARCH.try_into()?,
        )?;
        Ok(filter.try_into()?)
    };
    let program = compiled().map_err(|_| unavailable())?;
    let program = program.iter().map(|i| (i.code, i.jt, i.jf, i.k));
    Ok(program.flat_map(instruction).collect())
}

fn unavailable() -> CellError {
    CellError::Unavailable {
        reason: format!(
            "no system call filter can be made for {}",
            std::env::consts::ARCH
        ),
        remedy:
            "Run on x86-64 or 64-bit ARM, or without isolation: `--sandbox danger-full-access`."
                .into(),
    }
}

fn instruction((code, jt, jf, k): (u16, u8, u8, u32)) -> [u8; 8] {
    let (code, k) = (code.to_ne_bytes(), k.to_ne_bytes());
    [code[0], code[1], jt, jf, k[0], k[1], k[2], k[3]]
}

fn compile(may_set_ids: bool) -> Result<Bytes, seccompiler::Error> {
    let mut rules = rules()?;
    if !may_set_ids {
        rules.extend(set_id_rules()?);
    }
    filter_of(rules)
}

/// The whole filter: what fails in other ways than with EPERM first, then the rules.
fn filter_of(rules: BTreeMap<i64, Vec<SeccompRule>>) -> Result<Bytes, seccompiler::Error> {
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        std::env::consts::ARCH.try_into()?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    // Only the instructions that follow look at the architecture, which is safe: neither number
    // means anything else on another one.
    let [ld_number, jge, jeq, ret] = [0x20u16, 0x35, 0x15, 0x06];
    let refuse = |errno: i32| 0x0005_0000 | errno as u32;
    // Where the call's arguments are, and how long one is.
    let argument = |number: u32| 16 + 8 * number;
    let missing = MISSING.iter().flat_map(|call| {
        [
            (jeq, 0, 1, call.number as u32),
            (ret, 0, 0, refuse(libc::ENOSYS)),
        ]
    });
    let start = [
        (ld_number, 0, 0, 0),
        // x32 calls have this bit in their number; they would pass a list of x86-64 numbers.
        (jge, 0, 1, 0x4000_0000),
        (ret, 0, 0, refuse(libc::ENOSYS)),
    ];
    let rest = [
        // Takes room on disk that no process' account shows. Callers write instead.
        (jeq, 0, 1, libc::SYS_fallocate as u32),
        (ret, 0, 0, refuse(libc::EOPNOTSUPP)),
        // A netlink family that is refused says that it isn't there: programs that would like to
        // write to the audit log (useradd) go on then.
        (jeq, 0, 5, libc::SYS_socket as u32),
        (ld_number, 0, 0, argument(0)),
        (jeq, 0, 3, libc::AF_NETLINK as u32),
        (ld_number, 0, 0, argument(2)),
        (jeq, 1, 0, libc::NETLINK_ROUTE as u32),
        (ret, 0, 0, refuse(libc::EPROTONOSUPPORT)),
    ];
    let program = program.iter().map(|i| (i.code, i.jt, i.jf, i.k));
    let bytes = start
        .into_iter()
        .chain(missing)
        .chain(rest)
        .chain(program)
        .flat_map(instruction);
    Ok(bytes.collect())
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = DENIED
        .iter()
        .chain(DENIED_HERE)
        .map(|call| (call.number, Vec::new()))
        .collect();
    let when = |conditions: Vec<SeccompCondition>| SeccompRule::new(conditions);
    let arg = SeccompCondition::new;

    let namespaces = [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ];
    let mut clone = Vec::new();
    for flag in namespaces {
        let flag = flag as u64;
        clone.push(when(vec![arg(0, Len::Qword, Op::MaskedEq(flag), flag)?])?);
    }
    rules.insert(libc::SYS_clone, clone);

    let mut ioctl = Vec::new();
    for request in [libc::TIOCSTI, libc::TIOCLINUX] {
        ioctl.push(when(vec![arg(1, Len::Dword, Op::Eq, request)?])?);
    }
    rules.insert(libc::SYS_ioctl, ioctl);

    let mut others = Vec::new();
    for family in FAMILIES {
        others.push(arg(0, Len::Dword, Op::Ne, family as u64)?);
    }
    let other_family = when(others)?;
    rules.insert(libc::SYS_socket, vec![other_family]);
    let not_unix = when(vec![arg(0, Len::Dword, Op::Ne, libc::AF_UNIX as u64)?])?;
    rules.insert(libc::SYS_socketpair, vec![not_unix]);
    Ok(rules)
}

/// A set-user-id program outlives the cell: the tree's owner, which may be root, would own it.
///
/// Directories are caught as well (`chmod g+s`), because the filter can't tell them from files.
fn set_id_rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::Error> {
    let has = |argument, bit| SeccompCondition::new(argument, Len::Dword, Op::MaskedEq(bit), bit);
    let mut rules = BTreeMap::new();
    for (number, mode) in MODES {
        let mut refused = Vec::new();
        for bit in SET_ID {
            refused.push(SeccompRule::new(vec![has(*mode, bit)?])?);
        }
        rules.insert(*number, refused);
    }
    for (number, flags, mode) in OPENS {
        let mut refused = Vec::new();
        // Without such a flag the mode is whatever the register held.
        for (bit, makes) in SET_ID.into_iter().flat_map(|bit| MAKES.map(|it| (bit, it))) {
            refused.push(SeccompRule::new(vec![
                has(*flags, makes)?,
                has(*mode, bit)?,
            ])?);
        }
        rules.insert(*number, refused);
    }
    Ok(rules)
}

/// What the machine's kernel does by itself and gVisor's does not: it protects PID 1 from signals,
/// and asks for a capability before it makes a device node.
fn container_rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::Error> {
    const PID_1: u64 = 1;
    let is = |argument, value| SeccompCondition::new(argument, Len::Dword, Op::Eq, value);
    let mut rules = BTreeMap::new();
    for number in SIGNALS {
        rules.insert(*number, vec![SeccompRule::new(vec![is(0, PID_1)?])?]);
    }
    // Lets a descriptor send any signal to its owner, whom nothing here can see.
    let set_signal = is(1, F_SETSIG)?;
    rules.insert(libc::SYS_fcntl, vec![SeccompRule::new(vec![set_signal])?]);
    for (number, mode) in NODES {
        let mut refused = Vec::new();
        for kind in [libc::S_IFCHR, libc::S_IFBLK] {
            let is_kind = Op::MaskedEq(libc::S_IFMT.into());
            let kind = SeccompCondition::new(*mode, Len::Dword, is_kind, kind.into())?;
            refused.push(SeccompRule::new(vec![kind])?);
        }
        rules.insert(*number, refused);
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles_and_is_short_enough_for_the_kernel() {
        for may_set_ids in [false, true] {
            let program = compile(may_set_ids).unwrap();
            assert!(
                program.len().is_multiple_of(8) && program.len() / 8 < 4096,
                "{}",
                program.len()
            );
        }
    }

    #[test]
    fn every_refused_call_is_documented_with_its_reason() {
        let document = include_str!("../../../docs/cell.md");
        for call in DENIED.iter().chain(MISSING) {
            let line = format!("| `{}` | {} |", call.name, call.reason);
            assert!(document.contains(&line), "docs/cell.md lacks {line}");
        }
    }

    #[test]
    fn no_call_is_listed_twice_and_each_has_a_reason() {
        let mut names: Vec<_> = DENIED
            .iter()
            .chain(DENIED_HERE)
            .chain(MISSING)
            .map(|call| call.name)
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        let mut all = DENIED.iter().chain(MISSING);
        assert!(all.all(|call| !call.reason.is_empty()));
    }
}
