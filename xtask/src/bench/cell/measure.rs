//! The measurements: what is asked of the drivers, and which figures come of it.

use serde_json::json;

use super::counts::Counts;
use super::driver::{Driver, number, numbers};
use super::figures::{Figures, percentile};
use super::options::Options;
use super::peers::{PEERS, PLAIN};
use super::place::Place;
use super::rows::{LOADS, Row};
use crate::bench::agent::figures::median;
use crate::bench::tree;

/// Repetitions within a round.
const STARTS: usize = 5;
const COMMANDS: usize = 30;
/// Rounds of what takes seconds.
const LONG_ROUNDS: usize = 3;

/// The drivers and peers of a run.
pub(super) struct Bench<'a> {
    place: &'a Place,
    drivers: Vec<Driver>,
    peers: Vec<(&'static str, &'static [&'static str])>,
    /// Columns that are not here, with reasons.
    pub(super) missing: Vec<(&'static str, String)>,
}

impl<'a> Bench<'a> {
    pub(super) fn start(place: &'a Place) -> anyhow::Result<Self> {
        let drivers = place.users.iter().map(|user| Driver::start(place, user));
        let mut bench = Self {
            place,
            drivers: drivers.collect::<anyhow::Result<_>>()?,
            peers: Vec::new(),
            missing: Vec::new(),
        };
        for peer in PEERS {
            match peer.find(&mut bench.drivers[0]) {
                Ok(argv) => bench.peers.push((peer.name, argv)),
                Err(_) => {
                    let reason = "it is not on the PATH or can't run here".to_owned();
                    bench.missing.push((peer.name, reason));
                }
            }
        }
        Ok(bench)
    }

    pub(super) fn columns(&self) -> Vec<&'static str> {
        let cells = self.drivers.iter().map(|driver| driver.user.name);
        let (plain, others): (Vec<_>, Vec<_>) = self
            .peers
            .iter()
            .map(|peer| peer.0)
            .partition(|name| *name == PLAIN);
        plain.into_iter().chain(cells).chain(others).collect()
    }
}

/// Everything that is wanted. What breaks is told, and the rest goes on.
pub(super) fn all(bench: &mut Bench<'_>, options: &Options, figures: &mut Figures) {
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        if options.wants("start") {
            starts(bench, figures);
        }
        each(bench, figures, options.wants("commands"), &commands);
        each(bench, figures, options.wants("kill"), &kill);
        if round > LONG_ROUNDS {
            continue;
        }
        each(
            bench,
            figures,
            options.wants("neighbours"),
            &|driver, figures| neighbours(driver, options.count(100, 20), figures),
        );
    }
    each(bench, figures, options.wants("idle"), &|driver, figures| {
        idle(driver, options.count(100, 10), figures)
    });
    let place = bench.place;
    each(bench, figures, options.wants("row"), &|driver, figures| {
        row(place, driver, options.count(500, 20), figures)
    });
}

type Measurement<'a> = &'a dyn Fn(&mut Driver, &mut Figures) -> anyhow::Result<()>;

fn each(bench: &mut Bench<'_>, figures: &mut Figures, wanted: bool, measure: Measurement<'_>) {
    for driver in bench.drivers.iter_mut().filter(|_| wanted) {
        let name = driver.user.name;
        if let Err(error) = measure(driver, figures) {
            figures.fail(format!("{name}: {error:#}"));
        }
    }
}

/// Starts of everything, in turns.
fn starts(bench: &mut Bench<'_>, figures: &mut Figures) {
    let peers = bench.peers.clone();
    for _ in 0..STARTS {
        let mut plain = f64::NAN;
        if let Some(first) = bench.drivers.first_mut() {
            for &(name, argv) in &peers {
                let took = first
                    .ask(&json!({"do": "spawn", "argv": argv}))
                    .and_then(|answer| number(&answer, "ms"));
                match took {
                    Ok(took) => {
                        figures.add(Row::Once, name, took);
                        plain = if name == PLAIN { took } else { plain };
                    }
                    Err(error) => figures.fail(format!("{name}: {error:#}")),
                }
            }
        }
        each(bench, figures, true, &|driver, figures| {
            start(driver, plain, figures)
        });
    }
}

fn start(driver: &mut Driver, plain: f64, figures: &mut Figures) -> anyhow::Result<()> {
    let name = driver.user.name;
    let once = driver.ask(&json!({"do": "once"}))?;
    figures.add(Row::Once, name, number(&once, "ms")?);
    let lived = driver.ask(&json!({"do": "cell"}))?;
    let ready = number(&lived, "ready")?;
    figures.add(Row::Ready, name, ready);
    figures.add(Row::ReadyBest, name, ready);
    if plain.is_finite() {
        figures.add(Row::ReadyTimes, name, ready / plain);
    }
    figures.add(Row::Closed, name, number(&lived, "closed")?);
    driver.ask(&json!({"do": "tree", "path": driver.user.large()}))?;
    let lived = driver.ask(&json!({"do": "cell"}))?;
    figures.add(Row::Large, name, number(&lived, "ready")?);
    driver.ask(&json!({"do": "tree", "path": driver.user.small()}))?;
    Ok(())
}

fn commands(driver: &mut Driver, figures: &mut Figures) -> anyhow::Result<()> {
    let answer = driver.ask(&json!({"do": "commands", "count": COMMANDS}))?;
    let (inside, outside) = (numbers(&answer, "inside")?, numbers(&answer, "outside")?);
    let name = driver.user.name;
    figures.add(Row::Command, name, median(&inside) - median(&outside));
    let tails = [&inside, &outside].map(|samples| percentile(samples, 0.95));
    figures.add(Row::CommandTail, name, tails[0] - tails[1]);
    Ok(())
}

fn kill(driver: &mut Driver, figures: &mut Figures) -> anyhow::Result<()> {
    let answer = driver.ask(&json!({"do": "kill", "processes": 200}))?;
    let name = driver.user.name;
    figures.add(Row::KillAll, name, number(&answer, "kill_all")?);
    figures.add(Row::Close, name, number(&answer, "close")?);
    Ok(())
}

/// Memory of the harness and all its helpers, shared pages divided, for each cell more.
fn idle(driver: &mut Driver, cells: usize, figures: &mut Figures) -> anyhow::Result<()> {
    // What a first cell brings along is no cell's.
    driver.ask(&json!({"do": "cell"}))?;
    let pss = |driver: &Driver| {
        let mut processes = tree::descendants(driver.pid());
        processes.push(driver.pid());
        tree::memory(&processes).pss
    };
    let before = pss(driver);
    driver.ask(&json!({"do": "hold", "cells": cells}))?;
    let after = pss(driver);
    driver.ask(&json!({"do": "release"}))?;
    figures.add(
        Row::Idle,
        driver.user.name,
        (after - before) / cells as f64 / 1e6,
    );
    Ok(())
}

/// Many cells one after the other, and what they leave.
fn row(
    place: &Place,
    driver: &mut Driver,
    cells: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    // The first ones make what stays for the harness' life: threads, the sweeper.
    driver.ask(&json!({"do": "release"}))?;
    driver.ask(&json!({"do": "row", "cells": 5}))?;
    let before = Counts::take(driver, &place.root);
    let took = driver.ask(&json!({"do": "row", "cells": cells}))?;
    let after = Counts::take(driver, &place.root);
    let name = driver.user.name;
    figures.add(Row::Many, name, number(&took, "ms")? / cells as f64);
    for (what, added) in before.added(&after) {
        if let Some(row) = Row::left(what) {
            figures.add(row, name, added.len() as f64);
        }
        if !added.is_empty() {
            let shown: Vec<&str> = added.iter().take(5).map(String::as_str).collect();
            println!("{name}: {what} left: {}", shown.join(" | "));
        }
    }
    Ok(())
}

/// Tail and median of commands beside a cell that takes all it can, against those beside a quiet one.
fn neighbours(driver: &mut Driver, count: usize, figures: &mut Figures) -> anyhow::Result<()> {
    let name = driver.user.name;
    for (load, tail, middle, outside) in LOADS {
        let answer = driver.ask(&json!({"do": "neighbours", "load": load, "count": count}))?;
        let ratio = |quiet: &str, loaded: &str, share: f64| {
            let [quiet, loaded] = [numbers(&answer, quiet)?, numbers(&answer, loaded)?];
            anyhow::Ok(percentile(&loaded, share) / percentile(&quiet, share))
        };
        figures.add(*tail, name, ratio("quiet", "loaded", 0.95)?);
        figures.add(*middle, name, ratio("quiet", "loaded", 0.5)?);
        let beside = ratio("outside_quiet", "outside_loaded", 0.95)?;
        figures.add(*outside, name, beside);
    }
    Ok(())
}
