//! Passes input, output and signals between this program and a command in a cell.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use recto_protocol::ports::cell::{CellError, ExitStatus, Process, ProcessControl, ProcessEvent};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::terminal::{self, Raw};
use crate::exit::Failure;
use crate::output::filter::Filter;
use crate::output::safe::safe;
use crate::output::tell;

/// How long a command may take to end after SIGTERM or SIGHUP.
const GRACE: Duration = Duration::from_secs(2);
/// What a terminal sends at the end of its input.
const END_OF_INPUT: &[u8] = b"\x04";
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGPIPE: i32 = 13;
const SIGTERM: i32 = 15;

/// Follows a command until it ends, and gives the exit code that tells how.
///
/// # Errors
/// When the cell ends first.
pub async fn follow(process: Process, tty: bool) -> Result<u8, Failure> {
    let Process {
        mut events,
        control,
    } = process;
    let control: Arc<dyn ProcessControl> = control.into();
    let mut signals = Signals::listen()?;
    // From here on every way out gives the terminal back.
    let _raw = tty.then(Raw::set).flatten();
    feed(Arc::clone(&control), tty);
    let mut out = Out::new();
    let mut last_word = None;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = reached(last_word) => {
                last_word = None;
                let _ = control.signal(SIGKILL).await;
                continue;
            }
            heard = signals.next() => {
                // A command that has ended needs none of it.
                let _ = match heard {
                    Heard::Signal(number) => control.signal(number).await,
                    Heard::Resized => control.resize(terminal::size()).await,
                };
                if matches!(heard, Heard::Signal(SIGHUP | SIGTERM)) {
                    // One that does not listen is ended all the same.
                    last_word = Some(Instant::now() + GRACE);
                }
                continue;
            }
        };
        match event {
            Some(ProcessEvent::Output(bytes)) => {
                // A reader that went away ends the command as it would outside.
                if out.write(&bytes).is_err() {
                    let _ = control.signal(SIGPIPE).await;
                }
            }
            Some(ProcessEvent::Dropped(_)) => {}
            Some(ProcessEvent::Limited(limited)) => tell(&format!("{}\n", safe(&limited.text))),
            Some(ProcessEvent::Exited(ExitStatus::Code(code))) => {
                return Ok(u8::try_from(code).unwrap_or(u8::MAX));
            }
            Some(ProcessEvent::Exited(ExitStatus::Signal(signal))) => {
                return Ok(u8::try_from(128 + signal).unwrap_or(u8::MAX));
            }
            Some(ProcessEvent::Exited(ExitStatus::CellGone)) | None => {
                return Err(Failure::unavailable(CellError::Gone));
            }
        }
    }
}

/// Where output goes: to a terminal filtered, else as it is.
struct Out {
    filter: Option<Filter>,
}

impl Out {
    fn new() -> Self {
        Self {
            filter: std::io::stdout().is_terminal().then(Filter::default),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        match &mut self.filter {
            Some(filter) => out.write_all(filter.pass(bytes))?,
            None => out.write_all(bytes)?,
        }
        out.flush()
    }
}

impl Drop for Out {
    /// Switches off what the command has left on in the terminal.
    fn drop(&mut self) {
        if let Some(filter) = &mut self.filter {
            let mut out = std::io::stdout().lock();
            // A terminal that has gone needs nothing.
            let _ = out.write_all(filter.finish()).and_then(|()| out.flush());
        }
    }
}

enum Heard {
    Signal(i32),
    Resized,
}

/// The signals that are passed on.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    resize: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            resize: signal(SignalKind::window_change())?,
        })
    }

    async fn next(&mut self) -> Heard {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Heard::Signal(SIGINT),
            Some(()) = self.terminate.recv() => Heard::Signal(SIGTERM),
            Some(()) = self.hang_up.recv() => Heard::Signal(SIGHUP),
            Some(()) = self.resize.recv() => Heard::Resized,
            else => std::future::pending().await,
        }
    }
}

async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Passes standard input on from a thread of its own, which ends with the program.
fn feed(control: Arc<dyn ProcessControl>, tty: bool) {
    let runtime = tokio::runtime::Handle::current();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        let mut stdin = std::io::stdin().lock();
        loop {
            let read = stdin.read(&mut buffer).unwrap_or(0);
            let bytes = match read {
                0 if tty => Bytes::from_static(END_OF_INPUT),
                // An empty write closes the command's input.
                _ => Bytes::copy_from_slice(&buffer[..read]),
            };
            if runtime.block_on(control.write(bytes)).is_err() || read == 0 {
                return;
            }
        }
    });
}
