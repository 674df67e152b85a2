//! PID 1 that becomes a container runtime (gVisor's `runsc`) instead of serving by itself.
//!
//! The file view is the same as ever, built at a private place; the runtime's notes lie in a
//! private tmpfs beside it. Both belong to namespaces that die with this process, so that however
//! it ends, the kernel removes everything: processes, mounts, files.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::MoveMountFlags;

use super::link::Ends;
use super::namespaces::IdMaps;
use super::tree::{TAME, filesystem};
use super::{Failed, Step, check, mounts, privileges};
use crate::wire::{Runtime, Setup};

/// Builds the container's bundle and executes the runtime, with the stream as its input and output
/// and descriptor 2 as it was. Returns only when that failed.
pub(super) fn become_it(
    runtime: &Runtime,
    setup: &Setup,
    idmaps: &IdMaps,
    ends: &Ends,
    filter: &[u8],
) -> Result<Infallible, Failed> {
    // Found before anything is laid over the host's tree.
    let program = rustix::fs::open(
        &runtime.program,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .step("find the container runtime")?;
    let sources = mounts::sources(setup, idmaps)?;
    let proc = filesystem("proc", &[], TAME | libc::MOUNT_ATTR_NOEXEC)?;
    let private = filesystem("tmpfs", &[("mode", "700"), ("size", "64m")], TAME)?;
    for (mount, at) in [(&proc, "/proc"), (&private, Runtime::PLACE)] {
        rustix::mount::move_mount(mount, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .step("attach the container's own places")?;
    }
    let step = "write the container's bundle";
    let bundle = Path::new(Runtime::PLACE);
    let rootfs = bundle.join(Runtime::ROOTFS);
    std::fs::create_dir(&rootfs).step(step)?;
    std::fs::write(bundle.join("config.json"), &runtime.config).step(step)?;
    for lock in mounts::build_at(&rootfs, setup, sources, idmaps, &runtime.places)? {
        // Held by the runtime until it ends, whatever ends it.
        rustix::io::fcntl_setfd(&lock, rustix::io::FdFlags::empty()).step(step)?;
        let _ = std::os::fd::IntoRawFd::into_raw_fd(lock);
    }

    let arguments = std::iter::once("runsc").chain(runtime.arguments.iter().map(String::as_str));
    let arguments: Result<Vec<CString>, _> = arguments.map(CString::new).collect();
    let arguments = arguments.map_err(|_| rustix::io::Errno::INVAL).step(step)?;
    let mut argv: Vec<*const libc::c_char> = arguments.iter().map(|text| text.as_ptr()).collect();
    argv.push(std::ptr::null());
    let environment = [c"PATH=/usr/bin:/bin".as_ptr(), std::ptr::null()];
    // SAFETY: dup, dup2 and execveat get open descriptors, NUL-terminated strings and
    // null-terminated lists that live until the call; this process has one thread.
    unsafe {
        // The write end by whose closing the sweeper learns that nothing lives any more: it stays
        // open, at any number, in everything that the runtime starts.
        check(libc::dup(1).into()).step(step)?;
        check(libc::dup2(ends.input.as_raw_fd(), 0).into()).step(step)?;
        check(libc::dup2(ends.output.as_raw_fd(), 1).into()).step(step)?;
        // Its file server writes to the host's tree in the name of commands.
        privileges::filter(filter)?;
        let failed = libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
        check(failed).step("run the container runtime")?;
    }
    Err(rustix::io::Errno::NOEXEC).step("run the container runtime")
}
