//! `recto cell -- CMD`: runs a command just as the agent would.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use recto_protocol::SessionId;
use recto_protocol::ports::cell::{
    Cell, Command, ExitStatus, OutputCap, Process, ProcessControl, ProcessEvent, TtySize,
};
use tokio::signal::unix::{SignalKind, signal};

use super::block_on;
use crate::args::{CellArgs, RunArgs};
use crate::compose::cell::{Wanted, failure, launch};
use crate::compose::home::Home;
use crate::compose::import::Import;
use crate::compose::place::{Place, text};
use crate::compose::settle::settle;
use crate::exit::{Failure, UNAVAILABLE};

/// How long a command may take to end after SIGTERM.
const GRACE: std::time::Duration = std::time::Duration::from_secs(2);
/// What a shell says of a command that could not be started.
const NOT_STARTED: u8 = 127;

/// Runs the command and gives its exit code.
pub fn run(args: CellArgs) -> Result<u8, Failure> {
    block_on(run_inside(args))
}

async fn run_inside(args: CellArgs) -> Result<u8, Failure> {
    let home = Home::find()?;
    home.make()?;
    let place = Place::find(args.cd.as_deref())?;
    let flags = RunArgs {
        sandbox: args.sandbox,
        add_dir: args.add_dir,
        config: args.config,
        ..RunArgs::default()
    };
    let settled = settle(&home, &place, &flags, None)?;
    // Before there is a cell that could change anything.
    let import = Import::begin(&home, place.repository.as_ref(), &settled.policy).await;
    let cell = launch(Wanted {
        home: &home,
        policy: settled.policy.clone(),
        root: place.root(),
        cwd: &place.cwd,
        readable: settled.readable.clone(),
        env: settled.command_env.clone(),
        repository: place.repository.as_ref(),
    })
    .await?;
    let started = cell
        .spawn(Command {
            argv: args.command,
            cwd: Some(text(&place.cwd)),
            tty: args.tty.then(terminal_size),
            stdin: true,
            // Everything is passed on: somebody is watching.
            output: OutputCap {
                head: u64::MAX,
                tail: 0,
            },
            ..Command::default()
        })
        .await;
    let status = match started {
        Ok(process) => follow(process).await,
        Err(error) => {
            cell.close().await;
            return Err(Failure {
                code: NOT_STARTED,
                ..failure(error)
            });
        }
    };
    for line in bring_home(import, cell.as_ref()).await {
        let _ = writeln!(std::io::stderr(), "recto: {line}");
    }
    cell.close().await;
    status
}

/// Brings home what the command has committed; gives what is to be said of it.
async fn bring_home(import: Result<Option<Import>, Failure>, cell: &dyn Cell) -> Vec<String> {
    let name = SessionId(uuid::Uuid::now_v7().to_string());
    let imported = match import {
        Ok(Some(mut import)) => import.bring_home(cell, &name).await,
        Ok(None) => return Vec::new(),
        Err(failure) => Err(failure),
    };
    match imported {
        Ok(imported) => [imported.lines(), imported.warnings()].concat(),
        Err(failure) => vec![failure.message()],
    }
}

async fn reached(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Passes input, output and signals on until the command ends.
async fn follow(process: Process) -> Result<u8, Failure> {
    let Process {
        mut events,
        control,
    } = process;
    let control: Arc<dyn ProcessControl> = control.into();
    feed(Arc::clone(&control));
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut out = std::io::stdout();
    let mut last_word = None;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = reached(last_word) => {
                last_word = None;
                let _ = control.signal(9).await;
                continue;
            }
            Some(()) = interrupt.recv() => {
                let _ = control.signal(2).await;
                continue;
            }
            Some(()) = terminate.recv() => {
                let _ = control.signal(15).await;
                // A command that does not listen is ended all the same.
                last_word = Some(tokio::time::Instant::now() + GRACE);
                continue;
            }
        };
        match event {
            Some(ProcessEvent::Output(bytes)) => {
                // A reader that went away ends the command as it would outside.
                if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
                    let _ = control.signal(13).await;
                }
            }
            Some(ProcessEvent::Dropped(_)) => {}
            Some(ProcessEvent::Limited(limited)) => {
                let _ = writeln!(std::io::stderr(), "recto: {}", limited.text);
            }
            Some(ProcessEvent::Exited(ExitStatus::Code(code))) => {
                return Ok(u8::try_from(code).unwrap_or(u8::MAX));
            }
            Some(ProcessEvent::Exited(ExitStatus::Signal(signal))) => {
                return Ok(u8::try_from(128 + signal).unwrap_or(u8::MAX));
            }
            Some(ProcessEvent::Exited(ExitStatus::CellGone)) | None => return Ok(UNAVAILABLE),
        }
    }
}

/// Passes standard input on from a thread of its own, which ends with the program.
fn feed(control: Arc<dyn ProcessControl>) {
    let runtime = tokio::runtime::Handle::current();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        let mut stdin = std::io::stdin().lock();
        loop {
            let read = stdin.read(&mut buffer).unwrap_or(0);
            let bytes = Bytes::copy_from_slice(&buffer[..read]);
            // An empty write closes the command's input.
            if runtime.block_on(control.write(bytes)).is_err() || read == 0 {
                return;
            }
        }
    });
}

fn terminal_size() -> TtySize {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .filter(|size| size.ws_row > 0 && size.ws_col > 0)
        .map_or(
            TtySize {
                rows: 40,
                cols: 120,
            },
            |size| TtySize {
                rows: size.ws_row,
                cols: size.ws_col,
            },
        )
}
