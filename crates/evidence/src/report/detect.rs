//! Decides whose report an output is, by the command that printed it.

use super::cargo::CargoTest;
use super::go::GoTest;
use super::go_json::GoJson;
use super::jest::Jest;
use super::junit::junit;
use super::lines::lines;
use super::mocha::Mocha;
use super::nextest::Nextest;
use super::node::NodeTest;
use super::phpunit::Phpunit;
use super::pytest::Pytest;
use super::rspec::Rspec;
use super::surefire::Surefire;
use super::tally::Reader;
use super::tap::Tap;
use super::unittest::Unittest;
use super::vitest::Vitest;
use super::{Runner, TestReport};
use crate::shell::{Line, Step};
use crate::tools::{Subject, is_reader, recognise};

/// Finds the test report in a command's output.
///
/// The command line comes first. Where it names a runner, only that runner's form is looked for.
/// Where that runner writes into a file, the output is somebody else's. Where it only prints or reads (`echo`, `cat`, `grep`, …), there is no report, whatever the output
/// looks like; nor has a compiler, a linter, a program in the line itself (`python -c`), or a line
/// that can't be read. Any other command (`make test`, a script) may run a runner: then every form is
/// looked for, and it has to be all there, from the line that begins a run to the one that ends it.
pub fn detect(command: &str, output: &str) -> Option<TestReport> {
    let line = Line::parse(command);
    let heard = || line.steps.iter().filter(|step| !step.is_silent);
    let runners: Vec<Runner> = heard().filter_map(|step| recognise(step)?.runner).collect();
    if !runners.is_empty() {
        let mut report = read(readers(&runners), output, false)?;
        report.is_complete &= report.runner.has_total() || !heard().any(|step| step.is_filtered);
        return Some(report);
    }
    let prints_no_report = |step: &Step| {
        is_reader(step)
            || recognise(step)
                .is_some_and(|action| !action.is_script && !action.shows.contains(&Subject::Tests))
    };
    if heard().all(prints_no_report) {
        return None;
    }
    let beginning = output.trim_start();
    if beginning.starts_with("<?xml") || beginning.starts_with("<testsuite") {
        return junit(beginning).ok();
    }
    read(all(), output, true)
}

fn read(mut readers: Vec<Box<dyn Reader>>, output: &str, by_form: bool) -> Option<TestReport> {
    for line in lines(output) {
        for reader in &mut readers {
            reader.line(&line);
        }
    }
    let mut reports = readers
        .into_iter()
        .filter_map(|reader| reader.finish(by_form));
    let mut whole = reports.next()?;
    for report in reports {
        whole.join(report);
    }
    Some(whole)
}

/// The readers for named runners, each once.
fn readers(runners: &[Runner]) -> Vec<Box<dyn Reader>> {
    let mut known: Vec<Runner> = runners.to_vec();
    known.sort_unstable();
    known.dedup();
    let mut readers: Vec<Box<dyn Reader>> =
        known.iter().filter_map(|&runner| reader(runner)).collect();
    if known.contains(&Runner::GoTest) {
        readers.push(Box::new(GoJson::default()));
    }
    // These write TAP where they are asked to.
    let speaks_tap = [Runner::Vitest, Runner::Mocha, Runner::NodeTest];
    if let Some(&runner) = known.iter().find(|runner| speaks_tap.contains(runner)) {
        readers.push(Box::new(Tap::new(runner)));
    }
    readers
}

fn all() -> Vec<Box<dyn Reader>> {
    let mut readers: Vec<Box<dyn Reader>> =
        ALL.iter().filter_map(|&runner| reader(runner)).collect();
    readers.push(Box::new(GoJson::default()));
    readers
}

const ALL: &[Runner] = &[
    Runner::CargoTest,
    Runner::Nextest,
    Runner::Pytest,
    Runner::Unittest,
    Runner::GoTest,
    Runner::Jest,
    Runner::Vitest,
    Runner::Mocha,
    Runner::NodeTest,
    Runner::Tap,
    Runner::Rspec,
    Runner::Phpunit,
    Runner::Surefire,
];

fn reader(runner: Runner) -> Option<Box<dyn Reader>> {
    Some(match runner {
        Runner::CargoTest => Box::new(CargoTest::default()),
        Runner::Nextest => Box::new(Nextest::default()),
        Runner::Pytest => Box::new(Pytest::default()),
        Runner::Unittest => Box::new(Unittest::default()),
        Runner::GoTest => Box::new(GoTest::default()),
        Runner::Jest => Box::new(Jest::default()),
        Runner::Vitest => Box::new(Vitest::default()),
        Runner::Mocha => Box::new(Mocha::default()),
        Runner::NodeTest => Box::new(NodeTest::default()),
        Runner::Tap => Box::new(Tap::new(runner)),
        Runner::Rspec => Box::new(Rspec::default()),
        Runner::Phpunit => Box::new(Phpunit::default()),
        Runner::Surefire => Box::new(Surefire::default()),
        Runner::Junit | Runner::Several => return None,
    })
}
