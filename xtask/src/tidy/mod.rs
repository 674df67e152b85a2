//! `cargo xtask tidy`: what the compiler doesn't check.

mod functions;
mod layer_table;
mod layers;
mod links;
mod mask;
mod sizes;
mod text;

use std::path::Path;

use anyhow::bail;

use crate::metadata::Workspace;
use crate::project::{self, File};
use crate::steps::perform;

const HELP: &str = "\
Check layers, sizes, module docs and links.

Usage: cargo xtask tidy [OPTIONS]

Checks:
  layers    Every dependency edge points down, the core stays free of IO, packages stay with
            their owners (xtask/src/tidy/layer_table.rs)
  docs      Every Rust file starts with a module doc; relative links in Markdown resolve
  leftovers No dbg! or todo!, no path of somebody's home directory
  sizes     A report of long files and functions; a file of more than 900 lines fails

Options:
      --all   Also run cargo fmt --check and cargo clippy with warnings denied
  -h, --help  Print this help";

/// Files in these directories are data for tests, not part of the project's text.
const TEST_DATA: &[&str] = &["fixtures", "testdata"];

pub(crate) fn command(arguments: &[String]) -> anyhow::Result<()> {
    if crate::asks_for_help(arguments) {
        println!("{HELP}");
        return Ok(());
    }
    match arguments {
        [] => run(false),
        [option] if option == "--all" => run(true),
        _ => bail!("tidy doesn't know `{}`\n\n{HELP}", arguments.join(" ")),
    }
}

/// Runs the checks; with `all` also formatting and lints. Reports everything before it fails.
pub(crate) fn run(all: bool) -> anyhow::Result<()> {
    let mut findings = inspect(&project::root(), &Workspace::load()?)?;
    if all {
        let tools: [&[&str]; 2] = [
            &["fmt", "--all", "--check"],
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
        ];
        for arguments in tools {
            if let Err(error) = perform(&mut project::cargo(arguments)) {
                findings.problem(format!("{error:#}"));
            }
        }
    }
    findings.conclude()
}

fn inspect(root: &Path, workspace: &Workspace) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let mut sizes = sizes::Sizes::new();
    layers::problems(workspace)
        .into_iter()
        .for_each(|problem| findings.problem(problem));
    for file in project::files(root)?
        .iter()
        .filter(|file| !is_test_data(&file.name))
    {
        if let Some(text) = file.text()? {
            inspect_file(root, file, &text, &mut sizes, &mut findings);
        }
    }
    sizes.judge(&mut findings);
    println!("{}", sizes.report());
    Ok(findings)
}

fn inspect_file(
    root: &Path,
    file: &File,
    text: &str,
    sizes: &mut sizes::Sizes,
    findings: &mut Findings,
) {
    findings
        .problems
        .extend(text::home_problems(&file.name, text));
    if file.has_extension("rs") {
        sizes.add(file, text);
        findings
            .problems
            .extend(text::rust_problems(&file.name, text));
    }
    if file.has_extension("md") {
        let exists = |path: &Path| root.join(path).exists();
        findings
            .problems
            .extend(links::problems(&file.name, text, exists));
    }
}

fn is_test_data(name: &str) -> bool {
    name.split('/').any(|part| TEST_DATA.contains(&part))
}

/// What the checks found: warnings are printed, problems fail.
#[derive(Debug, Default, PartialEq)]
struct Findings {
    warnings: Vec<String>,
    problems: Vec<String>,
}

impl Findings {
    fn warning(&mut self, text: String) {
        self.warnings.push(text);
    }

    fn problem(&mut self, text: String) {
        self.problems.push(text);
    }

    fn conclude(self) -> anyhow::Result<()> {
        for warning in &self.warnings {
            println!("warning: {warning}");
        }
        for problem in &self.problems {
            println!("problem: {problem}");
        }
        match self.problems.len() {
            0 => println!("tidy: no problems, {} warnings", self.warnings.len()),
            1 => bail!("tidy found 1 problem"),
            count => bail!("tidy found {count} problems"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Findings, is_test_data};

    #[test]
    fn one_problem_fails_and_warnings_alone_do_not() {
        let mut findings = Findings::default();
        findings.warning("long".to_owned());
        assert!(findings.conclude().is_ok());
        let mut findings = Findings::default();
        findings.problem("an edge".to_owned());
        assert_eq!(
            findings.conclude().unwrap_err().to_string(),
            "tidy found 1 problem"
        );
    }

    #[test]
    fn test_data_is_recognised_by_its_directory() {
        assert!(is_test_data("crates/a/tests/fixtures/b.rs"));
        assert!(!is_test_data("crates/fixtures.rs"));
    }
}
