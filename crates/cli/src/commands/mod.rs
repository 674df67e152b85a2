//! The commands, one file each.

pub mod apply_patch;
mod cell;
mod config;
mod demo;
mod doctor;
mod exec;
mod logging;
mod repo;
mod report;
mod script;
mod serve;
mod sessions;
mod signals;
mod task;
mod token;

use clap::CommandFactory as _;

pub(crate) use report::{Closing, verdict_word};

use crate::args::{Cli, Command};
use crate::exit::{DONE, Failure};

/// Runs a command and gives the exit code.
///
/// # Errors
/// [`Failure`] with what to tell the user.
pub fn run(cli: Cli) -> Result<u8, Failure> {
    match cli.command {
        Command::Exec(args) => exec::run(exec::Request::code(*args)),
        Command::Ask(args) => exec::run(exec::Request::ask(*args)),
        Command::Demo(args) => demo::run(&args),
        Command::Sessions(args) => sessions::run(args.command),
        Command::Cell(args) => cell::run(args.command),
        Command::CellKeep => cell::keep(),
        Command::Task(args) => task::run(*args),
        Command::Repo(args) => repo::run(args),
        Command::Token(args) => token::run(args),
        Command::ApplyPatch(args) => apply_patch::run(&args),
        Command::Config(args) => config::run(args.command),
        Command::Doctor(args) => doctor::run(&args),
        Command::Serve(args) => serve::run(args),
        Command::Script(args) => script::run(args.command),
        Command::Completion { shell } => {
            // Made in memory first: the generator panics when standard output goes away.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "recto", &mut script);
            print(&String::from_utf8_lossy(&script))?;
            Ok(DONE)
        }
        Command::CommitJournal { path } => {
            recto_workspace::apply::commit_journal(&path)?;
            Ok(DONE)
        }
    }
}

/// Runs asynchronous work to its end on this thread.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// Runs asynchronous work to its end on several threads.
fn block_on_many<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// Prints to standard output; a reader that went away ends the program quietly.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
