//! Ctrl-C and SIGTERM: the measured programs are ended and the files removed before this process goes.

use std::io::Read;
use std::os::fd::IntoRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use anyhow::Context;

/// The exit code of a program that was interrupted.
const EXIT_CODE: i32 = 130;

/// Where the handler writes; none before `watch`.
static PIPE: AtomicI32 = AtomicI32::new(-1);

static HAPPENED: AtomicBool = AtomicBool::new(false);

/// Whether a signal came: nothing may be started any more.
pub(super) fn happened() -> bool {
    HAPPENED.load(Ordering::SeqCst)
}

/// From here on a signal runs `clean_up` and ends this process.
///
/// A handler and not a blocked signal that a thread waits for: programs inherit what is blocked.
pub(super) fn watch(clean_up: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let (mut reader, writer) = std::io::pipe().context("could not make a pipe")?;
    PIPE.store(writer.into_raw_fd(), Ordering::Relaxed);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let handler = note as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: the handler only loads an atomic number and calls write, both allowed in a handler.
        let before = unsafe { libc::signal(signal, handler) };
        if before == libc::SIG_IGN {
            // SAFETY: this restores what was; who started us in the background wants it so.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
    }
    std::thread::spawn(move || {
        if reader.read_exact(&mut [0]).is_ok() {
            HAPPENED.store(true, Ordering::SeqCst);
            clean_up();
            std::process::exit(EXIT_CODE);
        }
    });
    Ok(())
}

extern "C" fn note(_signal: libc::c_int) {
    let fd = PIPE.load(Ordering::Relaxed);
    // SAFETY: the pointer is to one byte that lives for ever, and write is safe to call in a handler.
    unsafe { libc::write(fd, c"!".as_ptr().cast(), 1) };
}
