//! `cargo xtask bench cell`: what isolation costs, beside a plain spawn and other sandboxes.
//!
//! The cells are made by an example of `recto-cell`, which this program tells what to do and looks
//! at from outside. As root everything is measured as root and as an ordinary user. All columns
//! take their turns in every round; the table shows medians.

mod counts;
mod driver;
mod figures;
mod measure;
mod options;
mod peers;
mod place;
mod rows;

use anyhow::{Context, bail};
use serde_json::json;

use super::machine::Machine;
use figures::Figures;
use measure::Bench;
use options::Options;
use place::Place;

pub(super) fn command(arguments: &[String]) -> anyhow::Result<()> {
    if crate::asks_for_help(arguments) {
        println!("{}", options::HELP);
        return Ok(());
    }
    let options = Options::parse(arguments)?;
    let program = driver::build()?;
    let machine = Machine::look();
    let place = Place::make(&program)?;
    let mut bench = Bench::start(&place)?;
    let files = place.file_system();
    println!("{}", machine.line(&files));
    for (name, reason) in &bench.missing {
        println!("{name} is left out: {reason}");
    }
    let mut figures = Figures::default();
    measure::all(&mut bench, &options, &mut figures);
    let columns = bench.columns();
    println!("\n{}", figures.render(&columns));
    if let Some(path) = &options.json {
        let report = json!({
            "machine": machine.json(&files), "rounds": options.rounds,
            "missing": bench.missing.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "figures": figures.json(&columns), "failures": figures.failures(),
        });
        std::fs::write(path, format!("{report:#}\n"))
            .with_context(|| format!("could not write {}", path.display()))?;
    }
    for failure in figures.failures() {
        println!("failed: {failure}");
    }
    let missed = figures.missed(&columns);
    match missed.is_empty() && figures.failures().is_empty() {
        false if options.check => bail!("missed: {}", missed.join("; ")),
        _ => Ok(()),
    }
}
