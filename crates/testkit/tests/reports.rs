//! Test reports from real runners, run here: every case of `crates/evidence/tests/fixtures` whose
//! runner is on the machine. Of the others the recorded output is read, and the test says so.
//!
//! `RECTO_WRITE_REPORTS=1` records the outputs anew.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed step fails the test, and one that is left out is told"
)]

#[allow(dead_code)]
#[path = "../../evidence/tests/cases/mod.rs"]
mod cases;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cases::{Case, Cases, cases};
use recto_testkit::{test_environment, workspace};

/// Where the recorded outputs say that the project, the runner's own files and the home are.
const PROJECT: &str = "/tmp/sums";
const TOOLS: &str = "/tools";
const HOME: &str = "/home/user";

/// Where runners write their report files, seen from the project.
const REPORT_FILES: &[&str] = &[
    "report.xml",
    "target/nextest/junit/report.xml",
    "target/surefire-reports/TEST-demo.BadTest.xml",
];

/// Runners that `cargo xtask test` brings along or needs itself: they must be there.
const GIVEN: &[&str] = &["cargo", "node", "pytest", "tap", "unittest"];

macro_rules! runners {
    ($($name:ident: $runner:literal,)*) => {
        $(
            #[test]
            fn $name() {
                check($runner);
            }
        )*

        #[test]
        fn no_runner_is_forgotten() {
            let mut known = vec![$($runner),*];
            known.sort_unstable();
            let all = cases::runners();
            let all: Vec<&str> = all.iter().map(String::as_str).filter(|name| !name.contains('.')).collect();
            assert_eq!(known, all);
        }
    };
}

runners! {
    cargo_test: "cargo",
    go_test: "go",
    jest: "jest",
    maven_surefire: "maven",
    mocha: "mocha",
    nextest: "nextest",
    node_test: "node",
    phpunit: "phpunit",
    pytest: "pytest",
    rspec: "rspec",
    tap: "tap",
    unittest: "unittest",
    vitest: "vitest",
}

fn check(runner: &str) {
    let home = tempfile::tempdir().unwrap();
    let all = cases(runner);
    let probe = shell(&all.probe, home.path(), home.path());
    let is_here = probe.status.success();
    assert!(
        is_here || !GIVEN.contains(&runner),
        "{}: {}",
        all.probe,
        text(&probe)
    );
    let mut recorded = Vec::new();
    for case in &all.cases {
        let needs = case.needs.as_ref();
        let can_run = is_here
            && !case.recorded_only
            && needs.is_none_or(|needs| shell(needs, home.path(), home.path()).status.success());
        if can_run {
            recorded.push(run(&all, case, home.path()));
        } else {
            println!(
                "{runner}/{}: not run here, the recorded output is read",
                case.name
            );
            let output = fs::read_to_string(case.recorded("txt")).unwrap();
            let xml = fs::read_to_string(case.recorded("xml")).ok();
            case.check(&output, xml.as_deref());
        }
    }
    if is_writing() && recorded.len() == all.cases.len() {
        let head = "# Written by the recording: which version said it, to which command.\n";
        let text = format!(
            "{head}version = {:?}\n{}",
            text(&probe).trim(),
            recorded.concat()
        );
        fs::write(
            all.cases[0].recorded("txt").with_file_name("recorded.toml"),
            text,
        )
        .unwrap();
    }
}

/// Runs a case in a copy of its project and holds what comes out against what is expected.
fn run(all: &Cases, case: &Case, home: &Path) -> String {
    let directory = home.join("project");
    copy(&all.project, &directory);
    for file in &case.without {
        fs::remove_file(directory.join(file)).unwrap();
    }
    let output = shell(&case.run, &directory, home);
    let said = recorded_text(&text(&output), &directory);
    let files = REPORT_FILES.iter().map(|file| directory.join(file));
    let xml = files
        .filter_map(|file| fs::read_to_string(file).ok())
        .map(|xml| recorded_text(&xml, &directory))
        .next();
    if is_writing() {
        fs::write(case.recorded("txt"), &said).unwrap();
        if let Some(xml) = &xml {
            fs::write(case.recorded("xml"), xml).unwrap();
        }
    }
    case.check(&said, xml.as_deref());
    // Build products stay, so that the next case of a compiled language is quick.
    for file in REPORT_FILES {
        let _ = fs::remove_file(directory.join(file));
    }
    let code = output.status.code().unwrap();
    format!(
        "\n[[case]]\nname = {:?}\nrun = {:?}\nexit_code = {code}\n",
        case.name, case.run
    )
}

/// Runs a line with both outputs in one, as a chunk has them.
fn shell(line: &str, directory: &Path, home: &Path) -> Output {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{{ {line}\n}} 2>&1"));
    command.current_dir(directory).env_clear();
    for name in ["RUSTUP_HOME", "CARGO_HOME", "NODE_PATH", "RUSTUP_TOOLCHAIN"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    // The toolchain lies below the real home, where nothing says otherwise.
    let real_home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    for (name, below) in [("RUSTUP_HOME", ".rustup"), ("CARGO_HOME", ".cargo")] {
        if std::env::var_os(name).is_none() {
            command.env(name, real_home.join(below));
        }
    }
    command
        .env("PATH", path())
        .env("HOME", home)
        .env("LANG", "C.UTF-8")
        .env("CARGO_NET_OFFLINE", "true")
        .env("GOFLAGS", "-mod=mod")
        .env("GOPROXY", "off")
        .output()
        .unwrap()
}

/// The tools of the test environment first.
fn path() -> OsString {
    let mut directories = vec![test_environment("venv").join("bin")];
    directories.push(test_environment("sdk").join("node_modules/.bin"));
    let rest = std::env::var_os("PATH").unwrap_or_default();
    directories.extend(std::env::split_paths(&rest));
    std::env::join_paths(directories).unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Puts the places of the recordings for those of this machine.
fn recorded_text(text: &str, directory: &Path) -> String {
    let directory = directory.canonicalize().unwrap();
    let environment = test_environment("venv");
    let environment = environment.parent().unwrap();
    let text = text.replace(&directory.display().to_string(), PROJECT);
    let text = text.replace(&environment.display().to_string(), TOOLS);
    let text = text.replace(&workspace().display().to_string(), TOOLS);
    match std::env::var("HOME") {
        Ok(home) if home.len() > 1 => text.replace(&format!("{home}/"), &format!("{HOME}/")),
        _ => text,
    }
}

fn is_writing() -> bool {
    std::env::var_os("RECTO_WRITE_REPORTS").is_some()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}
