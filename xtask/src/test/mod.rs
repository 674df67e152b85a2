//! `cargo xtask test`: from a fresh machine to the result of every test, in one command.

mod options;
mod packages;
mod prerequisites;
mod runner;

use std::path::PathBuf;

use anyhow::bail;

use self::options::Options;
use crate::metadata::Workspace;
use crate::project::cargo;
use crate::steps::{Steps, perform};

const HELP: &str = "\
Prepare the machine and run every test.

Usage: cargo xtask test [OPTIONS] [-- ARGUMENTS]

Needs Rust, a C compiler and the network for its first run. Everything else it finds, or installs
(as root on Debian and Ubuntu), or it prints the command that installs it. Test packages go to
target/test-env, pinned by hash; a second run finds them there. The tests themselves run offline.

Options:
      --fast           Leave out the release build and what drives it: black-box tests, the escape corpus
  -p, --package CRATE  Test this crate only, without tidy; may be given again
  -h, --help           Print this help

ARGUMENTS go to cargo nextest run, or to cargo test where nextest isn't installed.

Variables set for the tests:
  RECTO_TEST_ENV  venv/bin/python (with pytest), pypi/NAME-VERSION (source), sdk/node_modules
  RECTO_BIN       The release binary (not with --fast)";

pub(crate) fn command(arguments: &[String]) -> anyhow::Result<()> {
    if crate::asks_for_help(arguments) {
        println!("{HELP}");
        return Ok(());
    }
    let options = Options::parse(arguments)?;
    let workspace = Workspace::load()?;
    for name in &options.packages {
        if workspace.find(name).is_none() {
            bail!("the workspace has no crate `{name}`");
        }
    }
    run(&options, &workspace)
}

fn run(options: &Options, workspace: &Workspace) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    steps.run("prerequisites", prerequisites::ensure)?;
    let environment = workspace.target_directory.join("test-env");
    steps.run("test packages", || packages::ensure(&environment))?;
    let binary = match options.fast {
        true => None,
        false => Some(steps.run("release build", || build_release(workspace))?),
    };
    let runner = runner::Runner::find(options, environment, binary.clone());
    steps.run("build of the tests", || perform(&mut runner.build()))?;
    if let Some(mut doc_tests) = runner.doc_tests(workspace) {
        steps.run("doc tests", || perform(&mut doc_tests))?;
    }
    // Last of the test runs, so that its summary is the last one of the log.
    steps.run("tests", || perform(&mut runner.tests()))?;
    if let Some(binary) = binary.filter(|_| options.packages.is_empty()) {
        steps.run("escape corpus", || crate::corpus::all(binary.clone()))?;
        steps.run("escape corpus, gVisor", || crate::corpus::gvisor(binary))?;
    }
    if options.packages.is_empty() {
        steps.run("tidy", || crate::tidy::run(true))?;
    }
    steps.finish();
    Ok(())
}

fn build_release(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    perform(&mut cargo(&["build", "--release", "-p", "recto"]))?;
    let binary = workspace.target_directory.join("release/recto");
    if !binary.is_file() {
        bail!("the build left no binary at {}", binary.display());
    }
    Ok(binary)
}
