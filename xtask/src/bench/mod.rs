//! `cargo xtask bench`: measurements. Each subject is one module of this directory.

mod agent;
mod cell;
mod machine;
mod null_agent;
mod parts;

mod tree;

pub(crate) use agent::workshop::git;

use anyhow::bail;

const HELP: &str = "\
Measure.

Usage: cargo xtask bench <SUBJECT> [OPTIONS]

Subjects:
  agent  One agent against a scripted model server: start, steps, memory, streams
  cell   Cells: start, commands, ends, memory, what is left, neighbours
  parts  Single parts: edits, a log, patches, checkpoints

Each subject explains itself with --help.";

pub(crate) fn command(arguments: &[String]) -> anyhow::Result<()> {
    let Some((subject, rest)) = arguments.split_first() else {
        bail!("a subject is missing\n\n{HELP}");
    };
    match subject.as_str() {
        "agent" => agent::command(rest),
        "parts" => parts::command(rest),
        "cell" => cell::command(rest),
        // The floor of `agent`, which starts it as a process of its own.
        "null-agent" => null_agent::command(rest),
        "-h" | "--help" => {
            println!("{HELP}");
            Ok(())
        }
        other => bail!("`{other}` is no subject\n\n{HELP}"),
    }
}
