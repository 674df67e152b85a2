//! `cargo xtask real-use`: what people do in cells, with the real package managers and registries.
//!
//! Apart from the tests, which use no network. Package managers are used as this machine has them
//! configured. What the program can't do yet is told and not counted as done.

mod cases;
mod project;
mod recto;

use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::metadata::Workspace;
use crate::{project as checkout, steps};
use cases::{Outcome, Row};
use project::Project;
use recto::Recto;

const HELP: &str = "\
Use cells as people do: package managers through the proxy and without a network, and a database.

Usage: cargo xtask real-use [OPTIONS]

Options:
  --keep         Keep the projects that were made, and say where they lie
  --allow RULE   A further rule for the proxy, for a machine whose registries are mirrors; may be given again
  --only WORD    Only cases with this word in their name

The release binary is built first, unless RECTO_BIN names the one to use. Fails when a case does.";

#[derive(Default)]
struct Options {
    keep: bool,
    allow: Vec<String>,
    only: Option<String>,
}

pub(crate) fn command(arguments: &[String]) -> anyhow::Result<()> {
    if crate::asks_for_help(arguments) {
        println!("{HELP}");
        return Ok(());
    }
    let options = parse(arguments)?;
    let recto = Recto::find(program()?, options.allow)?;
    let project = Project::make()?;
    let rows = cases::run(&recto, &project, options.only.as_deref());
    println!("\n{}", table(&rows));
    if options.keep {
        println!("kept: {}", project.keep().display());
    }
    let failed = rows.iter().filter(|row| row.outcome.is_failure()).count();
    let skipped = rows
        .iter()
        .filter(|row| matches!(row.outcome, Outcome::Skipped(_)));
    let skipped = skipped.count();
    println!("{} cases: {failed} failed, {skipped} skipped", rows.len());
    if failed > 0 {
        bail!("{failed} cases failed");
    }
    if rows.len() == skipped {
        bail!("nothing was tried");
    }
    Ok(())
}

fn parse(arguments: &[String]) -> anyhow::Result<Options> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || {
            rest.next()
                .with_context(|| format!("`{argument}` needs a value"))
        };
        match argument.as_str() {
            "--keep" => options.keep = true,
            "--allow" => options.allow.push(value()?.clone()),
            "--only" => options.only = Some(value()?.clone()),
            other => bail!("real-use doesn't know `{other}`; see --help"),
        }
    }
    Ok(options)
}

/// The program to use: the one that `RECTO_BIN` names, or a release build of this checkout.
fn program() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("RECTO_BIN") {
        return PathBuf::from(path)
            .canonicalize()
            .context("RECTO_BIN names something that can't be used");
    }
    steps::perform(&mut checkout::cargo(&["build", "--release", "-p", "recto"]))?;
    Ok(Workspace::load()?.target_directory.join("release/recto"))
}

fn table(rows: &[Row]) -> String {
    let lines = rows.iter().map(|row| {
        let (word, note) = match &row.outcome {
            Outcome::Good => ("ok", String::new()),
            Outcome::Skipped(why) => ("SKIPPED", why.clone()),
            Outcome::Failed(why) => ("FAILED", why.clone()),
        };
        let took = row.took.map_or_else(
            || "-".to_owned(),
            |took| format!("{:.2} s", took.as_secs_f64()),
        );
        format!("{:<60}{took:>10}  {word:<8}{note}", row.name)
            .trim_end()
            .to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Row, parse, table};

    #[test]
    fn a_skipped_case_is_loud_and_has_no_time() {
        let row = Row {
            name: "pip".to_owned(),
            took: None,
            outcome: Outcome::Skipped("not built yet".to_owned()),
        };
        assert!(table(&[row]).ends_with("-  SKIPPED not built yet"));
    }

    #[test]
    fn options_are_checked() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let options = parse(&words("--keep --allow a --allow b --only pip")).unwrap();
        assert_eq!((options.keep, options.allow.len()), (true, 2));
        assert!(parse(&words("--allow")).is_err());
        assert!(parse(&words("pip")).is_err());
    }
}
