//! `cargo xtask bench parts`: the benchmarks of single crates, which print their own lines.

use super::machine::Machine;
use crate::project::cargo;
use crate::steps::perform;

const HELP: &str = "\
Measure single parts: edits, a session's log, the store of tasks, patches and checkpoints.

Usage: cargo xtask bench parts

Each part is a benchmark of its crate. There are no goals: the lines are for comparing two states of the code.";

/// The crates that have benchmarks.
const CRATES: &[&str] = &["recto-patch", "recto-store", "recto-workspace"];

pub(super) fn command(arguments: &[String]) -> anyhow::Result<()> {
    if crate::asks_for_help(arguments) {
        println!("{HELP}");
        return Ok(());
    }
    if let Some(first) = arguments.first() {
        anyhow::bail!("bench parts doesn't know `{first}`; see --help");
    }
    println!("{}", Machine::look().line("that of TMPDIR"));
    for name in CRATES {
        perform(&mut cargo(&[
            "bench",
            "--quiet",
            "--package",
            name,
            "--benches",
        ]))?;
    }
    Ok(())
}
