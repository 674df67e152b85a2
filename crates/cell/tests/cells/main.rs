//! Real cells, tried from inside. Run as root, everything is done twice: as root and as an
//! ordinary user. The binary is its own `cell-init`, and its own harness to be killed.

// The whole binary is a test, but clippy only knows functions marked so.
#![allow(clippy::unwrap_used, clippy::print_stdout, unreachable_pub)]

mod commands;
mod confinement;
mod conformance;
mod death;
mod doors;
mod faults;
mod files;
mod git;
mod layers;
mod limits;
mod neighbours;
mod setup;
mod support;
mod tools;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use support::Case;

/// The ordinary user that root also tests as.
const USER: u32 = 1000;

fn main() -> ExitCode {
    let mut args: Vec<_> = std::env::args_os().collect();
    if args.get(1).is_some_and(|word| word == "cell-init") {
        return recto_cell::init_main(args.drain(2..));
    }
    let words: Vec<String> = args
        .iter()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    if words.get(1).map(String::as_str) == Some("harness") {
        return match &words[2..] {
            [mode, tree] if mode == "several" => faults::harness(tree),
            words => death::harness(words),
        };
    }
    // The options of the standard harness, as far as test runners use them.
    let has = |option: &str| words.iter().any(|word| word == option);
    let is_value = |at: usize| words[at - 1] == "--format";
    let filter = (1..words.len())
        .find(|&at| !words[at].starts_with('-') && !is_value(at))
        .map(|at| &words[at]);
    let fits = |name: &str| match filter {
        Some(filter) if has("--exact") => name == filter,
        Some(filter) => name.contains(filter.as_str()),
        None => true,
    };
    let cases: Vec<Case> = [
        commands::CASES,
        confinement::CASES,
        conformance::CASES,
        files::CASES,
        git::CASES,
        layers::CASES,
        limits::CASES,
        neighbours::CASES,
        setup::CASES,
        tools::CASES,
        death::CASES,
        doors::CASES,
        faults::CASES,
    ]
    .concat()
    .into_iter()
    // A cell that another process holds is like any other, but that it lives on.
    .chain(
        commands::CASES
            .iter()
            .filter(|(name, _)| !name.contains("ends_everything"))
            .map(|(name, case)| {
                let name: &str = Box::leak(format!("relayed_{name}").into_boxed_str());
                (name, *case)
            }),
    )
    // Runners ask for the ignored ones separately, and there are none.
    .filter(|(name, _)| fits(name) && !has("--ignored"))
    .collect();
    if has("--list") {
        for (name, _) in &cases {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let who = if support::is_root() { "root" } else { "user" };
    let mut failed = Vec::new();
    for (name, case) in &cases {
        let case = *case;
        let is_relayed = name.starts_with("relayed_");
        support::RELAYED.store(is_relayed, std::sync::atomic::Ordering::Relaxed);
        let ok = std::panic::catch_unwind(|| support::block_on(case())).is_ok();
        println!(
            "test {who}::{name} ... {}",
            if ok { "ok" } else { "FAILED" }
        );
        if !ok {
            failed.push(*name);
        }
    }
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "test result: {verdict}. {} passed; {} failed; as {who}\n",
        cases.len() - failed.len(),
        failed.len()
    );
    if support::is_root() && !again_as_user(&words[1..]) {
        failed.push("as an ordinary user");
    }
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The same binary where an ordinary user can execute it.
fn again_as_user(args: &[String]) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("cells");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    for path in [directory.path(), &copy] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path, mode).unwrap();
    }
    let run = Command::new(&copy)
        .args(args)
        .env("HOME", "/nonexistent")
        .current_dir("/")
        .uid(USER)
        .gid(USER)
        .status();
    run.unwrap().success()
}
