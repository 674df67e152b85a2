//! The command line: flags, the composition of all parts, and what users see.
//!
//! This is the only crate that names adapters, reads the environment and the home directory, and
//! decides exit codes.

#![allow(
    unreachable_pub,
    reason = "one binary: nothing of it is reached from outside"
)]

mod args;
mod commands;
mod compose;
mod exit;
pub mod output;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

/// Runs the program with this process' arguments.
pub fn main() -> ExitCode {
    let mut raw = std::env::args_os();
    let program = raw.next();
    let first = raw.next();
    // The inside of a cell: nothing else of this program may run before it.
    if first.as_deref() == Some("cell-init".as_ref()) {
        return recto_cell::init_main(raw);
    }
    let rest: Vec<OsString> = program.into_iter().chain(first).chain(raw).collect();
    let called = rest
        .first()
        .and_then(|p| std::path::Path::new(p).file_name().map(Into::into));
    if called == Some(OsString::from("apply_patch")) {
        return commands::apply_patch::as_program(&rest[1..]);
    }
    match args::Cli::try_parse_from(&rest) {
        Ok(cli) => exit::finish(commands::run(cli)),
        Err(error) => {
            // Help and version are no errors; a closed pipe is nothing to report.
            let _ = error.print();
            if let Some(hint) = hint(&rest, &error) {
                output::tell(&format!("\nhint: {hint}\n"));
            }
            if error.use_stderr() {
                exit::USAGE.into()
            } else {
                ExitCode::SUCCESS
            }
        }
    }
}

/// What somebody may have meant who gave a task without quotes: its words look like commands.
fn hint(args: &[OsString], error: &clap::Error) -> Option<String> {
    use clap::error::ErrorKind;
    let command = args.get(1)?.to_str()?;
    let is_about_words = matches!(
        error.kind(),
        ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument
    );
    let words: Vec<_> = args[2..].iter().map(|arg| arg.to_string_lossy()).collect();
    let are_words = words.len() > 1
        && !["resume", "fork"].contains(&words[0].as_ref())
        && words.iter().all(|word| !word.starts_with('-'));
    (["exec", "e", "ask"].contains(&command) && is_about_words && are_words).then(|| {
        let task = output::safe::safe_line(&words.join(" "), 200);
        format!("a task of several words is quoted: recto {command} \"{task}\"")
    })
}
