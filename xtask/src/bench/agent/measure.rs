//! The measurements. Each gives its samples to the figures; a round holds all columns, one after the other.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::column::Column;
use super::figures::{Figures, Row, median};
use super::run::{Bench, Running, ms};
use super::server::Script;
use crate::bench::tree::{self, Memory};

const STEPS: usize = 200;
/// Steps are counted from 1 in the tables, and from 0 here.
const EARLY: std::ops::Range<usize> = 5..25;
const LATE: std::ops::Range<usize> = 180..200;
/// The answer to the request after step 49 is step 50; it is held back, and the tree is looked at.
const MEMORY_AT: usize = 50;
const DELTAS: usize = 20_000;
const BIG_OUTPUT: &str = "head -c 100000000 /dev/zero";
/// A session's first command also makes the cell; the big one comes after it.
const BIG_STEP: usize = 1;
const CROWD_STEPS: usize = 10;

/// Tries a column once, so that what can't run here is left out and not measured; also warms the caches.
pub(super) fn try_out(bench: &Bench, column: &Column) -> anyhow::Result<()> {
    bench.alone(column, Script::steps(1, "true")).map(drop)
}

/// The start of a session and its first request.
pub(super) fn start(bench: &Bench, column: &Column, figures: &mut Figures) -> anyhow::Result<()> {
    let run = bench.alone(column, Script::talk(1))?;
    let first = run.exchanges.first().context("there was no request")?;
    let until = first.arrived.saturating_duration_since(run.started);
    figures.add(Row::Start, column.name, ms(until));
    figures.add(Row::CpuOfOneAnswer, column.name, ms(run.ended.cpu));
    figures.add(
        Row::WholeSession,
        column.name,
        ms(run.ended.at.saturating_duration_since(run.started)),
    );
    // A request's size depends on nothing but the program.
    let bytes = u32::try_from(first.body_bytes)?;
    figures.add(Row::FirstRequest, column.name, f64::from(bytes) / 1000.0);
    Ok(())
}

/// 200 steps: the time of early and late ones, the CPU of all, the memory on the way.
pub(super) fn steps(bench: &Bench, column: &Column, figures: &mut Figures) -> anyhow::Result<()> {
    let script = Script::steps(STEPS, "true").holding(MEMORY_AT);
    let running = bench.prepare(column, script)?.start()?;
    running.wait_for_hold()?;
    let memory = tree::memory(&tree::descendants(tree::own()));
    running.session.release();
    let run = running.finish_alone()?;
    let times: Vec<f64> = (0..STEPS)
        .map(|step| run.step_ms(step))
        .collect::<Result<_, _>>()?;
    let (early, late) = (median(&times[EARLY]), median(&times[LATE]));
    figures.add(Row::EarlySteps, column.name, early);
    figures.add(Row::LateSteps, column.name, late);
    figures.add(Row::LateToEarly, column.name, late / early);
    figures.add(Row::FirstStep, column.name, times[0]);
    figures.add(Row::CpuOfSteps, column.name, run.ended.cpu.as_secs_f64());
    figures.add(Row::MemoryRss, column.name, megabytes(memory.rss));
    figures.add(Row::MemoryPss, column.name, megabytes(memory.pss));
    Ok(())
}

/// What 20,000 pieces of a message take, above one piece.
pub(super) fn deltas(bench: &Bench, column: &Column, figures: &mut Figures) -> anyhow::Result<()> {
    let mut took = [0.0; 2];
    for (took, count) in took.iter_mut().zip([1, DELTAS]) {
        let run = bench.alone(column, Script::talk(count))?;
        *took = ms(run.ended.at.saturating_duration_since(run.handed(0)?));
    }
    figures.add(Row::Deltas, column.name, took[1] - took[0]);
    Ok(())
}

/// A command that prints 100 MB: its time in one session, the memory in another, which looking at would slow down.
pub(super) fn output(bench: &Bench, column: &Column, figures: &mut Figures) -> anyhow::Result<()> {
    let script = Script {
        commands: vec!["true", BIG_OUTPUT, "true"],
        deltas: 1,
        held: None,
    };
    let run = bench.alone(column, script.clone())?;
    figures.add(Row::OutputTime, column.name, run.step_ms(BIG_STEP)?);
    let running = bench.prepare(column, script.holding(BIG_STEP))?.start()?;
    running.wait_for_hold()?;
    let before = tree::rss();
    running.session.release();
    let mut most = before;
    while !running
        .session
        .has_requests(BIG_STEP + 2, Duration::from_millis(1))
    {
        if running.process.has_ended(Duration::ZERO) {
            break;
        }
        most = most.max(tree::rss());
    }
    running.finish_alone()?;
    figures.add(Row::OutputMemory, column.name, megabytes(most - before));
    Ok(())
}

/// Many sessions at once: the time without looking at the memory, then the memory.
pub(super) fn crowd(
    bench: &Bench,
    column: &Column,
    figures: &mut Figures,
    count: usize,
) -> anyhow::Result<()> {
    let [wall, rss, pss, failed] = Row::crowd(count);
    let started = Instant::now();
    let running = crowd_of(bench, column, count)?;
    let failures = end(running, column, started);
    figures.add(wall, column.name, failures.1.as_secs_f64());
    figures.add(failed, column.name, f64::from(failures.0));
    let running = crowd_of(bench, column, count)?;
    let mut most = Memory::default();
    while running
        .iter()
        .any(|each| !each.process.has_ended(Duration::ZERO))
    {
        most = most.or_more(tree::memory(&tree::descendants(tree::own())));
        std::thread::sleep(Duration::from_millis(20));
    }
    let failures = end(running, column, started);
    figures.add(failed, column.name, f64::from(failures.0));
    figures.add(rss, column.name, megabytes(most.rss));
    figures.add(pss, column.name, megabytes(most.pss));
    Ok(())
}

fn crowd_of(bench: &Bench, column: &Column, count: usize) -> anyhow::Result<Vec<Running>> {
    let prepared: Vec<_> = (0..count)
        .map(|_| bench.prepare(column, Script::steps(CROWD_STEPS, "true")))
        .collect::<Result<_, _>>()?;
    prepared
        .into_iter()
        .map(super::run::Prepared::start)
        .collect()
}

/// Waits for all; how many failed, and the time from the first start to the last end.
fn end(running: Vec<Running>, column: &Column, fallback: Instant) -> (u32, Duration) {
    let started = running
        .first()
        .map_or(fallback, |first| first.process.started);
    let mut last = started;
    let mut failed = 0;
    for each in running {
        match each.finish() {
            Ok(run) => last = last.max(run.ended.at),
            Err(error) => {
                failed += 1;
                eprintln!("{}: one of many sessions failed: {error:#}", column.name);
                last = last.max(Instant::now());
            }
        }
    }
    super::process::sweep();
    (failed, last.saturating_duration_since(started))
}

fn megabytes(bytes: f64) -> f64 {
    bytes / 1e6
}
