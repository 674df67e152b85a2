//! How the process that holds a cell leaves the one that started it.

use std::io;

use rustix::process::{Resource, Rlimit};

/// Makes this process one of its own: a session without a terminal, no descriptors but the standard
/// ones, no core dumps, a working directory that pins no mount. To be called first thing, while
/// nothing has been opened.
///
/// # Errors
/// The system's reason.
pub fn detach() -> io::Result<()> {
    // Fails for the leader of a process group, who has been told apart already.
    let _ = rustix::process::setsid();
    // SAFETY: the call takes no pointers; by this function's contract nothing in the process owns a
    // descriptor above 2.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
    if closed < 0 {
        return Err(io::Error::last_os_error());
    }
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none)?;
    std::env::set_current_dir("/")
}
