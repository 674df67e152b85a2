//! The scheduler's classes: how a process is made to give way to others.
//!
//! Three things, because none does it alone (`docs/design/0011-neighbours.md` has the figures).
//! Within a group of processes that the kernel schedules as one, `SCHED_IDLE` runs only where
//! nobody else wants to. Between groups a long slice lets those with shorter ones in at once,
//! instead of at the next tick; and a session, which is such a group where no control group is,
//! gets a smaller share.

use std::fs::File;
use std::io::Write;

/// The longest slice that the kernel gives (since Linux 6.12; older ones ignore it), in nanoseconds.
const SLICE: u64 = 100_000_000;
/// A session's niceness: about a tenth of another one's share.
const NICENESS: &[u8] = b"10";

/// Lowers a thread and what it will start. False when it is lowered already, has ended or is
/// somebody else's.
pub(super) fn lower(thread: i32) -> bool {
    let Some(mut attributes) = attributes(thread) else {
        return false;
    };
    if attributes.sched_policy == libc::SCHED_IDLE as u32 {
        return false;
    }
    // To clear this flag takes a privilege; children are lowered in spite of it.
    attributes.sched_flags &= libc::SCHED_FLAG_RESET_ON_FORK as u64;
    // The slice can't be set together with the class.
    attributes.sched_policy = libc::SCHED_BATCH as u32;
    attributes.sched_runtime = SLICE;
    set(thread, &attributes);
    attributes.sched_policy = libc::SCHED_IDLE as u32;
    attributes.sched_runtime = 0;
    set(thread, &attributes)
}

/// Lowers the session of a process against others. False when that must be tried again: the kernel
/// takes ten such wishes in a second from everybody together.
pub(super) fn lower_session(process: i32) -> bool {
    let file = File::options()
        .write(true)
        .open(format!("/proc/{process}/autogroup"));
    match file.and_then(|mut file| file.write_all(NICENESS)) {
        Err(error) => error.raw_os_error() != Some(libc::EAGAIN),
        Ok(()) => true,
    }
}

fn attributes(thread: i32) -> Option<libc::sched_attr> {
    // SAFETY: an all-zero value is valid: it holds numbers only.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::sched_attr>() as libc::c_uint;
    // SAFETY: `attributes` is a valid place of that size for the result.
    let read = unsafe {
        let place = std::ptr::from_mut(&mut attributes);
        libc::syscall(libc::SYS_sched_getattr, thread, place, size, 0)
    };
    (read == 0).then_some(attributes)
}

fn set(thread: i32, attributes: &libc::sched_attr) -> bool {
    let attributes = std::ptr::from_ref(attributes);
    // SAFETY: `attributes` tells its own size and lives until the call returns.
    unsafe { libc::syscall(libc::SYS_sched_setattr, thread, attributes, 0) == 0 }
}
