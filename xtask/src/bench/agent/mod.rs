//! `cargo xtask bench agent`: what an agent costs besides the model.
//!
//! A scripted model server in this process answers at once, so that one clock times both sides. All columns take their
//! turns in every round; the table shows medians.

mod column;
pub(super) mod figures;
mod interrupt;
mod measure;
mod options;
mod process;
mod run;
mod server;
pub(super) mod table;
pub(super) mod workshop;

use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::json;

use super::machine::Machine;
use crate::metadata::Workspace;
use crate::{project, steps};
use column::Column;
use figures::Figures;
use options::Options;
use run::Bench;

/// The start is short and varies most: it is measured so often in each round.
const STARTS: usize = 3;
/// Many sessions at once take longest, and vary least.
const MOST_CROWDS: usize = 3;

pub(super) fn command(arguments: &[String]) -> anyhow::Result<()> {
    if crate::asks_for_help(arguments) {
        println!("{}", options::HELP);
        return Ok(());
    }
    let options = Options::parse(arguments)?;
    let machine = Machine::look();
    let recto = program()?;
    process::adopt_orphans();
    let bench = Bench {
        server: server::Server::start()?,
        workshop: workshop::Workshop::open()?,
    };
    let root = bench.workshop.root().to_path_buf();
    interrupt::watch(move || {
        process::kill_all();
        let _ = std::fs::remove_dir_all(root);
    })?;
    let files = bench.workshop.file_system();
    println!("{}", machine.line(&files));
    println!("recto: {}", recto.display());
    let columns = able(&bench, column::all(&options.columns, &recto)?);
    let mut figures = Figures::default();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        measure_round(&bench, &columns, &options, round, &mut figures);
    }
    let names: Vec<&'static str> = columns.iter().map(|column| column.name).collect();
    println!("\n{}", table::render(&figures, &names));
    if let Some(path) = &options.json {
        let report = json!({
            "machine": machine.json(&files),
            "program": recto.display().to_string(),
            "rounds": options.rounds,
            "figures": figures.json(&names),
        });
        std::fs::write(path, format!("{report:#}\n"))
            .with_context(|| format!("could not write {}", path.display()))?;
    }
    judge(&options, &names, &figures)
}

/// The columns whose programs can do a step here; the others are left out with their reasons.
fn able(bench: &Bench, columns: Vec<Column>) -> Vec<Column> {
    columns
        .into_iter()
        .filter(|column| {
            let tried = measure::try_out(bench, column);
            if let Err(error) = &tried {
                println!("{} is left out: {error:#}", column.name);
            }
            tried.is_ok()
        })
        .collect()
}

/// Every measurement once, each with all columns side by side. A failure leaves a gap and is told.
fn measure_round(
    bench: &Bench,
    columns: &[Column],
    options: &Options,
    round: usize,
    figures: &mut Figures,
) {
    let mut all = |group: &str, measure: &dyn Fn(&Column, &mut Figures) -> anyhow::Result<()>| {
        for column in columns.iter().filter(|_| options.wants(group)) {
            if let Err(error) = measure(column, figures) {
                println!("{}: {group}: {error:#}", column.name);
                process::sweep();
            }
        }
    };
    for _ in 0..STARTS {
        all("start", &|column, figures| {
            measure::start(bench, column, figures)
        });
    }
    all("steps", &|column, figures| {
        measure::steps(bench, column, figures)
    });
    all("deltas", &|column, figures| {
        measure::deltas(bench, column, figures)
    });
    all("output", &|column, figures| {
        measure::output(bench, column, figures)
    });
    if round <= MOST_CROWDS {
        for count in [8, 32] {
            all("crowd", &|column, figures| {
                measure::crowd(bench, column, figures, count)
            });
        }
    }
}

/// The program to measure: the one that `RECTO_BIN` names, or a release build of this checkout.
fn program() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("RECTO_BIN") {
        let path = PathBuf::from(path);
        return path
            .canonicalize()
            .with_context(|| format!("RECTO_BIN names {}, which can't be used", path.display()));
    }
    steps::perform(&mut project::cargo(&[
        "build",
        "--release",
        "--package",
        "recto",
    ]))?;
    Ok(Workspace::load()?.target_directory.join("release/recto"))
}

fn judge(options: &Options, columns: &[&str], figures: &Figures) -> anyhow::Result<()> {
    if !options.check {
        return Ok(());
    }
    if !columns.contains(&table::JUDGED) {
        bail!(
            "there is nothing to check: the column `{}` is missing",
            table::JUDGED
        );
    }
    match table::missed(figures).as_slice() {
        [] => Ok(()),
        missed => bail!("missed: {}", missed.join("; ")),
    }
}
