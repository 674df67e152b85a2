//! Packages from outside that tests use: fetched once, pinned by hash, offline afterwards.
//!
//! `xtask/testenv` says what; here is how. The result is a directory of three parts: `venv` (a
//! Python with pytest), `pypi` (published projects for repair tests) and `sdk` (the client library
//! that the exec interface must satisfy).

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::project;
use crate::steps::perform;

/// Raised when the steps below change, so that existing directories are made anew.
const LAYOUT: &str = "layout 1";
const STAMP: &str = "stamp";
const INPUTS: &[&str] = &[
    "requirements.txt",
    "sdists.txt",
    "package.json",
    "package-lock.json",
    ".npmrc",
];

/// Makes sure that the directory holds exactly what `xtask/testenv` asks for.
pub(super) fn ensure(environment: &Path) -> anyhow::Result<()> {
    let inputs = project::root().join("xtask/testenv");
    let wanted = stamp(&inputs)?;
    if is_current(environment, &wanted) {
        println!("{} is current", environment.display());
        return Ok(());
    }
    // From the start: a half-made directory is never repaired.
    if environment.exists() {
        fs::remove_dir_all(environment)
            .with_context(|| format!("could not remove {}", environment.display()))?;
    }
    fs::create_dir_all(environment)
        .with_context(|| format!("could not create {}", environment.display()))?;
    make_venv(environment, &inputs)?;
    fetch_projects(environment, &inputs)?;
    install_sdk(environment, &inputs)?;
    fs::write(environment.join(STAMP), wanted).context("could not write the stamp")
}

/// All inputs, one after the other: two stamps differ exactly when the inputs do.
fn stamp(inputs: &Path) -> anyhow::Result<String> {
    let mut text = format!("{LAYOUT}\n");
    for name in INPUTS {
        let content = fs::read_to_string(inputs.join(name))
            .with_context(|| format!("could not read xtask/testenv/{name}"))?;
        text.push_str(&format!("--- {name}\n{content}"));
    }
    Ok(text)
}

/// The venv's interpreter is a link: it also has to start, or its Python was removed since.
fn is_current(environment: &Path, wanted: &str) -> bool {
    let has_stamp = fs::read_to_string(environment.join(STAMP)).is_ok_and(|found| found == wanted);
    has_stamp
        && Command::new(environment.join("venv/bin/python"))
            .args(["-c", "import pytest"])
            .output()
            .is_ok_and(|output| output.status.success())
}

fn make_venv(environment: &Path, inputs: &Path) -> anyhow::Result<()> {
    let venv = environment.join("venv");
    perform(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    perform(
        pip(environment, "install")
            .args(["--only-binary", ":all:", "--requirement"])
            .arg(inputs.join("requirements.txt")),
    )
}

/// Fetches source distributions and unpacks them.
fn fetch_projects(environment: &Path, inputs: &Path) -> anyhow::Result<()> {
    let directory = environment.join("pypi");
    perform(
        pip(environment, "download")
            // The venv's own setuptools answers pip; isolation would fetch an unpinned one.
            .args([
                "--no-build-isolation",
                "--no-binary",
                ":all:",
                "--requirement",
            ])
            .arg(inputs.join("sdists.txt"))
            .arg("--dest")
            .arg(&directory),
    )?;
    for entry in fs::read_dir(&directory).context("could not list the fetched projects")? {
        let archive = entry?.path();
        perform(
            Command::new(environment.join("venv/bin/python"))
                .args(["-m", "tarfile", "--extract"])
                .arg(&archive)
                .arg(&directory),
        )?;
    }
    Ok(())
}

fn pip(environment: &Path, subcommand: &str) -> Command {
    let mut command = Command::new(environment.join("venv/bin/python"));
    command.args([
        "-m",
        "pip",
        subcommand,
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
    ]);
    command.args(["--no-deps", "--require-hashes"]);
    command
}

/// Installs the SDK without its optional dependencies: those are the peer's native binaries.
fn install_sdk(environment: &Path, inputs: &Path) -> anyhow::Result<()> {
    let sdk = environment.join("sdk");
    fs::create_dir_all(&sdk).context("could not create the directory of the SDK")?;
    for name in ["package.json", "package-lock.json", ".npmrc"] {
        fs::copy(inputs.join(name), sdk.join(name))
            .with_context(|| format!("could not copy xtask/testenv/{name}"))?;
    }
    let options = [
        "ci",
        "--ignore-scripts",
        "--omit=optional",
        "--no-audit",
        "--no-fund",
    ];
    perform(Command::new("npm").args(options).current_dir(&sdk))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{INPUTS, stamp};
    use crate::project;

    fn input(name: &str) -> String {
        fs::read_to_string(project::root().join("xtask/testenv").join(name)).unwrap()
    }

    #[test]
    fn every_python_package_is_pinned_by_version_and_hash() {
        for name in ["requirements.txt", "sdists.txt"] {
            let text = input(name);
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let loose: Vec<&str> = lines
                .filter(|line| !(line.contains("==") && line.contains("--hash=sha256:")))
                .collect();
            assert_eq!(loose, Vec::<&str>::new());
        }
    }

    #[test]
    fn every_npm_package_is_pinned_by_hash_and_no_registry_is_named() {
        let lock: serde_json::Value = serde_json::from_str(&input("package-lock.json")).unwrap();
        let packages = lock["packages"].as_object().unwrap();
        assert!(packages.len() > 1);
        for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
            assert!(package["integrity"].is_string(), "{name}");
            assert!(package.get("resolved").is_none(), "{name}");
        }
    }

    #[test]
    fn the_stamp_holds_every_input() {
        let text = stamp(&project::root().join("xtask/testenv")).unwrap();
        for name in INPUTS {
            assert!(text.contains(&input(name)), "{name}");
        }
    }
}
