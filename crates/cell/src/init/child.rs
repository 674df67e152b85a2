//! Starting one command: everything is prepared first, then a vfork-like clone runs it.
//!
//! The child shares PID 1's memory until it executes, so it allocates nothing, only calls the
//! kernel, and leaves its error where PID 1 finds it. PID 1 stands still meanwhile.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::check;
use crate::wire::{Resize, Spawn, SpawnError, SpawnStage};

/// A started command's process id and PID 1's ends of its streams.
pub(super) struct Started {
    pub(super) pid: i32,
    pub(super) output: OwnedFd,
    /// The write end of its standard input; for a terminal, a second handle to the master.
    pub(super) input: Option<OwnedFd>,
    pub(super) terminal: bool,
}

/// What the child needs, as pointers that stay valid while PID 1 waits for it.
struct Plan {
    programs: Vec<*const libc::c_char>,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    cwd: *const libc::c_char,
    stdio: [i32; 3],
    terminal: bool,
    die_with_parent: bool,
    failure: Option<SpawnError>,
}

const STACK: usize = 64 << 10;
const PIPE: usize = 1 << 20;

/// Starts commands; keeps the stack that their children borrow.
pub(super) struct Starter {
    stack: Vec<u8>,
    null: File,
    env: Vec<(String, String)>,
    cwd: CString,
    /// Without a pid namespace, children are told to die with us.
    die_with_parent: bool,
}

impl Starter {
    pub(super) fn new(
        env: Vec<(String, String)>,
        cwd: &Path,
        die_with_parent: bool,
    ) -> std::io::Result<Self> {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        let cwd = c_string(cwd.as_os_str()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
        Ok(Self {
            stack: vec![0; STACK],
            null,
            env,
            cwd,
            die_with_parent,
        })
    }

    pub(super) fn start(&mut self, spawn: &Spawn) -> Result<Started, SpawnError> {
        let request = |errno| SpawnError {
            stage: SpawnStage::Request,
            errno,
        };
        let argv = spawn
            .argv
            .iter()
            .map(|arg| c_string(arg.as_ref()))
            .collect::<Result<Vec<_>, _>>();
        let argv = argv.map_err(request)?;
        let program = spawn.argv.first().filter(|name| !name.is_empty());
        let program = program.ok_or_else(|| request(libc::EINVAL))?;
        let env = self.merged(&spawn.env);
        let path = env
            .iter()
            .find(|(key, _)| key == "PATH")
            .map_or("", |(_, value)| value);
        let programs = candidates(program, path).map_err(request)?;
        let variables = env
            .iter()
            .map(|(key, value)| c_string(format!("{key}={value}").as_ref()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(request)?;
        let cwd = match &spawn.cwd {
            Some(cwd) => c_string(cwd.as_ref()).map_err(request)?,
            None => self.cwd.clone(),
        };
        let io = Streams::new(spawn, &self.null).map_err(|e| SpawnError {
            stage: SpawnStage::Io,
            errno: e.raw_os_error(),
        })?;
        let mut plan = Plan {
            programs: pointers(&programs, false),
            argv: pointers(&argv, true),
            envp: pointers(&variables, true),
            cwd: cwd.as_ptr(),
            stdio: io.child.each_ref().map(AsRawFd::as_raw_fd),
            terminal: spawn.tty.is_some(),
            die_with_parent: self.die_with_parent,
            failure: None,
        };
        let pid = self.clone_child(&mut plan)?;
        if let Some(failure) = plan.failure {
            // SAFETY: `pid` is our child, which has exited or is about to; no status is wanted.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            return Err(failure);
        }
        Ok(Started {
            pid,
            output: io.output,
            input: io.input,
            terminal: spawn.tty.is_some(),
        })
    }

    fn clone_child(&mut self, plan: &mut Plan) -> Result<i32, SpawnError> {
        let top = self.stack.as_mut_ptr_range().end.cast::<u128>();
        // The stack grows down and must be 16-byte aligned.
        let top = top.map_addr(|address| address & !15);
        // SAFETY: `top` is the aligned end of a stack that outlives the child's use of it, because
        // CLONE_VFORK suspends us until the child has executed or exited; `plan` likewise.
        let pid = unsafe {
            libc::clone(
                run_child,
                top.cast(),
                libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
                std::ptr::from_mut(plan).cast(),
            )
        };
        match check(pid.into()) {
            Ok(_) => Ok(pid),
            Err(e) => Err(SpawnError {
                stage: SpawnStage::Fork,
                errno: e.raw_os_error().unwrap_or(libc::EIO),
            }),
        }
    }

    /// The cell's environment with a command's own variables over it.
    fn merged(&self, own: &[(String, String)]) -> Vec<(String, String)> {
        let mut env: Vec<(String, String)> = self
            .env
            .iter()
            .filter(|(key, _)| !own.iter().any(|(k, _)| k == key))
            .cloned()
            .collect();
        env.extend_from_slice(own);
        env
    }
}

/// Both sides' descriptors of a command's streams.
struct Streams {
    child: [OwnedFd; 3],
    output: OwnedFd,
    input: Option<OwnedFd>,
}

impl Streams {
    fn new(spawn: &Spawn, null: &File) -> rustix::io::Result<Self> {
        if let Some(size) = spawn.tty {
            return Self::terminal(size);
        }
        let clone = |fd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, 3);
        let (output, out) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        nonblocking(&output)?;
        // A bigger pipe means fewer turns; a user who has used up the limit keeps the small one.
        let _ = rustix::pipe::fcntl_setpipe_size(&output, PIPE);
        let (stdin, input) = if spawn.stdin {
            let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
            nonblocking(&writer)?;
            (reader, Some(writer))
        } else {
            (rustix::io::fcntl_dupfd_cloexec(null, 3)?, None)
        };
        Ok(Self {
            child: [stdin, clone(&out)?, out],
            output,
            input,
        })
    }

    fn terminal(size: Resize) -> rustix::io::Result<Self> {
        let master =
            rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        rustix::pty::unlockpt(&master)?;
        let slave = other_side(&master)?;
        resize(&master, size)?;
        nonblocking(&master)?;
        let clone = |fd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, 3);
        Ok(Self {
            child: [clone(&slave)?, clone(&slave)?, slave],
            input: Some(clone(&master)?),
            output: master,
        })
    }
}

/// The side of a terminal that the command gets.
fn other_side(master: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    match rustix::pty::ioctl_tiocgptpeer(master, flags) {
        // gVisor lacks the call. The name is the same terminal: nothing else is mounted there.
        Err(rustix::io::Errno::NOTTY) => {
            let name = rustix::pty::ptsname(master, Vec::new())?;
            let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
            rustix::fs::open(name, flags, Mode::empty())
        }
        side => side,
    }
}

/// Tells a terminal its size; its foreground processes get SIGWINCH.
pub(super) fn resize(master: &OwnedFd, size: Resize) -> rustix::io::Result<()> {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.cols,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(master, size)
}

fn nonblocking(fd: &OwnedFd) -> rustix::io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK)
}

/// Where a program may be: itself when it has a slash, else in each directory of `PATH`.
fn candidates(program: &str, path: &str) -> Result<Vec<CString>, i32> {
    if program.contains('/') {
        return Ok(vec![c_string(program.as_ref())?]);
    }
    path.split(':')
        .filter(|directory| directory.starts_with('/'))
        .map(|directory| c_string(format!("{directory}/{program}").as_ref()))
        .collect()
}

fn c_string(text: &OsStr) -> Result<CString, i32> {
    CString::new(text.as_bytes()).map_err(|_| libc::EINVAL)
}

fn pointers(strings: &[CString], terminated: bool) -> Vec<*const libc::c_char> {
    let mut pointers: Vec<_> = strings.iter().map(|s| s.as_ptr()).collect();
    if terminated {
        pointers.push(std::ptr::null());
    }
    pointers
}

/// The child. Runs on a borrowed stack in shared memory: system calls only.
extern "C" fn run_child(plan: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `plan` is the `Plan` that `clone_child` passed; its owner is suspended by
    // CLONE_VFORK, so this is the only reference in use.
    let plan = unsafe { &mut *plan.cast::<Plan>() };
    // SAFETY: `plan`'s pointers are NUL-terminated strings and null-terminated lists that PID 1
    // keeps alive; the functions called are thin system calls, safe between clone and exec.
    let failure = unsafe { execute(plan) };
    plan.failure = Some(failure);
    // SAFETY: _exit ends only the child: without CLONE_THREAD it is its own thread group.
    unsafe { libc::_exit(127) }
}

/// Sets the process up and executes it. Returns only when that failed.
///
/// # Safety
/// Only in a freshly cloned child, with a plan whose pointers are valid.
unsafe fn execute(plan: &Plan) -> SpawnError {
    let failed = |stage| SpawnError {
        stage,
        // SAFETY: errno is this thread's own; the sharing parent is suspended.
        errno: unsafe { *libc::__errno_location() },
    };
    // SAFETY: the caller's promise; see `run_child`.
    unsafe {
        libc::setsid();
        if plan.die_with_parent {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        }
        for (to, from) in plan.stdio.iter().enumerate() {
            if libc::dup2(*from, to as i32) < 0 {
                return failed(SpawnStage::Io);
            }
        }
        if plan.terminal && libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
            return failed(SpawnStage::Io);
        }
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32);
        // Rust ignores SIGPIPE and the loop blocks SIGCHLD; programs expect neither.
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        if libc::chdir(plan.cwd) < 0 {
            return failed(SpawnStage::Cwd);
        }
        let mut last = SpawnError {
            stage: SpawnStage::Exec,
            errno: libc::ENOENT,
        };
        for program in &plan.programs {
            libc::execve(*program, plan.argv.as_ptr(), plan.envp.as_ptr());
            let error = failed(SpawnStage::Exec);
            match error.errno {
                libc::ENOENT | libc::ENOTDIR => {}
                // Like a shell: a name that may not be run counts only if nothing else is found.
                libc::EACCES => last = error,
                _ => return error,
            }
        }
        last
    }
}
