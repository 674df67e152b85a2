//! The one door for automation: `cargo xtask <command>`.
//!
//! Arguments are matched by hand: there are few commands, and a flag parser would be compiled before every test run.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its output is for the person who runs it"
)]

mod bench;
mod corpus;
mod metadata;
mod project;
mod real_use;
mod steps;
mod test;
mod tidy;

use std::process::ExitCode;

const HELP: &str = "\
The automation of this repository.

Usage: cargo xtask <COMMAND> [OPTIONS]

Commands:
  tidy      Check layers, sizes, module docs and links; with --all also formatting and lints
  test      Prepare the machine and run every test
  corpus    Try to escape from cells
  bench     Measure
  real-use  Use cells as people do, with a network

Each command explains itself with --help.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> anyhow::Result<()> {
    let Some((command, rest)) = arguments.split_first() else {
        anyhow::bail!("a command is missing\n\n{HELP}");
    };
    match command.as_str() {
        "tidy" => tidy::command(rest),
        "test" => test::command(rest),
        "real-use" => real_use::command(rest),
        "corpus" => corpus::command(rest),
        "bench" => bench::command(rest),
        "help" | "-h" | "--help" => {
            println!("{HELP}");
            Ok(())
        }
        other => anyhow::bail!("`{other}` is no command\n\n{HELP}"),
    }
}

/// Whether the options ask for the help text before any `--`.
fn asks_for_help(arguments: &[String]) -> bool {
    arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| argument == "-h" || argument == "--help")
}
