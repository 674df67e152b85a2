//! The inside: what `recto cell-init` does. Single-threaded, no runtime, one poll loop.
//!
//! The launcher (a fresh process) reads what to build, makes the namespaces, and forks PID 1 as
//! its own sibling, so that the harness is PID 1's real parent; then it exits. PID 1 builds the
//! root file system, gives up every privilege, and serves the protocol until its end of the stream
//! closes.

mod census;
mod child;
mod class;
mod command;
mod doors;
mod family;
mod files;
mod furniture;
mod guard;
mod isolate;
mod landlock;
mod link;
mod made;
mod mounts;
mod namespaces;
mod overlay;
mod pages;
mod privileges;
mod room;
mod runtime;
mod serve;
mod stats;
mod sweep;
mod tail;
mod tally;
mod tree;
mod watch;

pub(crate) use landlock::is_there as has_landlock;

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs `recto cell-init`; `args` are the arguments after that word.
///
/// Call it first thing in `main`, before any thread or runtime exists.
pub fn init_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args
        .into_iter()
        .map(|arg| arg.into_string().unwrap_or_default());
    match (
        args.next().as_deref(),
        args.next().and_then(|pid| pid.parse().ok()),
    ) {
        (Some("stdio"), None) => isolate::run_inside(),
        (Some("cell"), Some(parent)) => isolate::run(parent, true),
        (Some("direct"), Some(parent)) => isolate::run(parent, false),
        (Some("sweep"), Some(parent)) => sweep::run(parent),
        _ => ExitCode::from(2),
    }
}

/// A step of the set-up that the system refused.
#[derive(Debug)]
struct Failed {
    step: String,
    errno: i32,
}

/// Names the step that a system call belongs to.
trait Step<T> {
    fn step(self, step: &str) -> Result<T, Failed>;
}

impl<T> Step<T> for Result<T, rustix::io::Errno> {
    fn step(self, step: &str) -> Result<T, Failed> {
        self.map_err(|errno| Failed {
            step: step.to_owned(),
            errno: errno.raw_os_error(),
        })
    }
}

impl<T> Step<T> for std::io::Result<T> {
    fn step(self, step: &str) -> Result<T, Failed> {
        self.map_err(|error| Failed {
            step: step.to_owned(),
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        })
    }
}

/// Turns a libc result into the error it left in `errno`.
fn check(result: libc::c_long) -> std::io::Result<libc::c_long> {
    if result < 0 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
