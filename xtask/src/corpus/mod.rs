//! `cargo xtask corpus`: runs escape attempts against the product and says which get out.
//!
//! Progress and problems go to standard error, so that what is asked for as JSON can be read by a program.
//!
//! Two corpora: our own (`corpus/escape`) and one that is given from outside the project, looked for beside the checkout.
//! A **row** is one mode as one user; in each, every attempt of both is tried.

mod beside;
mod given;
mod known;
mod options;
mod own;
mod pool;
mod stage;
mod subject;
mod table;
mod verdict;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail};

use self::options::{Options, Which};
use self::stage::{Stage, User};
use self::subject::{Mode, Subject};
use self::table::Row;
use crate::project;
use crate::steps::answer;

const HELP: &str = "\
Run escape attempts against the product's cells and judge them from outside.

Usage: cargo xtask corpus [OPTIONS]

Two corpora: our own (corpus/escape) and the one given from outside the project, which is looked for
at ../shared/corpus/sandbox beside the checkout. Before anything else every attempt of our own is
run without isolation, where it must escape.

Options:
      --own              Only our own attempts
      --given [DIR]      Only the given ones, from DIR
      --mode MODE        read-only, workspace or service; may be given again (default: all)
      --as USER          root or user; may be given again (default: all that can be had)
      --backend NAME     Ask for this kind of cell
      --binary PATH      The recto to test (default: $RECTO_BIN, else the release build)
      --filter TEXT      Only attempts whose name contains TEXT
      --required         Only attempts that the mode must stop, and honest programs
      --beside NAME      Also run bwrap or codex, and print the tables side by side
      --no-proof         Leave out the run without isolation
      --json             Print the results as JSON
  -h, --help             Print this help

`service` is a launcher that runs as root, with limits in force. As root, `user` is uid 1000.
Ends with 1 when a required attempt escapes, an honest program breaks, an attempt can't prove
itself, or an exception that is named in xtask/src/corpus/known.rs no longer is one.";

pub(crate) fn command(arguments: &[String]) -> anyhow::Result<()> {
    if crate::asks_for_help(arguments) {
        println!("{HELP}");
        return Ok(());
    }
    run(&Options::parse(arguments)?)
}

/// Runs both corpora in all modes with this binary; the step of `cargo xtask test`.
pub(crate) fn all(binary: PathBuf) -> anyhow::Result<()> {
    run(&Options {
        binary: Some(binary),
        ..Options::default()
    })
}

/// Runs both in gVisor's cells, in one mode as one user: such a cell takes a hundred times as long to make.
pub(crate) fn gvisor(binary: PathBuf) -> anyhow::Result<()> {
    if answer("runsc", &["--version"]).is_none() {
        if std::env::var_os("CI").is_some() {
            bail!("runsc isn't there, and CI must test gVisor's cells");
        }
        println!("*** SKIPPED: runsc isn't there, so nothing was tried in gVisor's cells.");
        return Ok(());
    }
    let user = match answer("id", &["-u"]).as_deref() {
        Some("0") => User::Root,
        _ => User::Ordinary,
    };
    run(&Options {
        binary: Some(binary),
        backend: Some("gvisor".to_owned()),
        modes: vec![Mode::Workspace],
        users: vec![user],
        // The run in the usual cells has it.
        without_proof: true,
        only_required: true,
        ..Options::default()
    })
}

fn run(options: &Options) -> anyhow::Result<()> {
    let binary = find_binary(options)?;
    let given = given::find(options)?;
    if given.is_none() && options.which != Which::Own {
        eprintln!("{}", given::ABSENT);
    }
    let stage = Stage::new(&binary, given.as_deref())?;
    let users = stage.users(&options.users)?;
    let mut problems = Vec::new();
    if options.which != Which::Given && !options.without_proof {
        for user in &users {
            problems.extend(own::proof(&stage, *user, &options.filter)?);
        }
    }
    let subject = Subject::recto(options.backend.clone());
    let rows = rows(options, &stage, &subject, &users, &mut problems)?;
    let mut tables = vec![(subject, rows)];
    for name in &options.beside {
        let peer = beside::subject(name)?;
        // What a peer lets through is shown, and is nobody's failure here.
        let rows = rows_of(options, &stage, &peer, &users)?;
        tables.push((peer, rows));
    }
    if options.as_json {
        println!("{}", table::json(&tables));
    } else {
        table::print(&tables);
    }
    conclude(&problems)
}

fn rows(
    options: &Options,
    stage: &Stage,
    subject: &Subject,
    users: &[User],
    problems: &mut Vec<String>,
) -> anyhow::Result<Vec<Row>> {
    let rows = rows_of(options, stage, subject, users)?;
    problems.extend(known::judge(options.backend.as_deref(), &rows));
    Ok(rows)
}

fn rows_of(
    options: &Options,
    stage: &Stage,
    subject: &Subject,
    users: &[User],
) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for mode in &options.modes {
        for user in users {
            // A service is started by root; so is nothing that an ordinary user starts.
            if *mode == Mode::Service && *user != User::Root {
                continue;
            }
            rows.push(row(options, stage, subject, *mode, *user)?);
        }
    }
    Ok(rows)
}

fn row(
    options: &Options,
    stage: &Stage,
    subject: &Subject,
    mode: Mode,
    user: User,
) -> anyhow::Result<Row> {
    let started = Instant::now();
    let command = subject.command(stage, mode);
    let mut verdicts = Vec::new();
    if options.which != Which::Given {
        verdicts.extend(own::row(stage, user, mode, &command, options)?);
    }
    if options.which != Which::Own && stage.given().is_some() {
        verdicts.extend(given::row(stage, user, mode, &command, options)?);
    }
    let row = Row {
        mode,
        user,
        verdicts,
        took: started.elapsed(),
    };
    eprintln!(
        "{} {} {}: {:.0} s",
        subject.name,
        mode.name(),
        user.name(),
        row.took.as_secs_f64()
    );
    Ok(row)
}

fn find_binary(options: &Options) -> anyhow::Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| project::root().join("target"), PathBuf::from);
    let named = options
        .binary
        .clone()
        .or_else(|| std::env::var_os("RECTO_BIN").map(PathBuf::from));
    let path = named.unwrap_or_else(|| target.join("release/recto"));
    path.canonicalize().with_context(|| {
        format!(
            "there is no {}; build it with cargo build --release -p recto",
            path.display()
        )
    })
}

fn conclude(problems: &[String]) -> anyhow::Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    for problem in problems {
        eprintln!("problem: {problem}");
    }
    bail!("{} problems", problems.len())
}
