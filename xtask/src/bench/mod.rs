//! `cargo xtask bench`: measurements. Each subject is one module of this directory.

use anyhow::bail;

const HELP: &str = "\
Measure.

Usage: cargo xtask bench <SUBJECT> [OPTIONS]

Subjects:
  agent  One agent against a scripted model server: start, steps, memory, streams (not measured yet)";

pub(crate) fn command(arguments: &[String]) -> anyhow::Result<()> {
    if crate::asks_for_help(arguments) {
        println!("{HELP}");
        return Ok(());
    }
    match arguments.first().map(String::as_str) {
        Some("agent") => bail!("`bench agent` measures nothing yet"),
        Some(other) => bail!("`{other}` is no subject\n\n{HELP}"),
        None => bail!("a subject is missing\n\n{HELP}"),
    }
}
