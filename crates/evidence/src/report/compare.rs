//! What became of the tests between two reports.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Outcome, TestName, TestReport};

/// The difference of two reports, by the names of tests, each list in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Failed before, does not any more.
    pub fixed: Vec<TestName>,
    /// Fails now and did not before.
    pub broken: Vec<TestName>,
    /// Failed before and now.
    pub still_failing: Vec<TestName>,
    /// Only in the later report. Known where the earlier one names all its tests.
    pub added: Vec<TestName>,
    /// Only in the earlier report. Known where the later one names all its tests.
    pub removed: Vec<TestName>,
    /// Whether a report does not name all its tests. What is *fixed* may have been removed then,
    /// and what is *broken* may be new.
    #[serde(default)]
    pub is_partial: bool,
}

/// Compares two reports. Only names are compared, so both should come from like commands.
pub fn compare(before: &TestReport, after: &TestReport) -> Comparison {
    let (before, after) = (Side::of(before), Side::of(after));
    let mut found = Comparison {
        is_partial: !(before.names_all && after.names_all),
        ..Comparison::default()
    };
    for &test in &before.failed {
        let passes = after.others.get(test) == Some(&Outcome::Passed);
        let is_gone = !after.failed.contains(test) && !after.others.contains_key(test);
        if after.failed.contains(test) {
            found.still_failing.push(test.clone());
        } else if passes || is_gone && !after.names_all && after.is_complete {
            found.fixed.push(test.clone());
        }
    }
    for &test in &after.failed {
        if !before.failed.contains(test) && before.is_complete {
            found.broken.push(test.clone());
        }
    }
    if before.names_all {
        found.added = after.missing_in(&before);
    }
    if after.names_all {
        found.removed = before.missing_in(&after);
    }
    found
}

/// A report as sets of names.
struct Side<'a> {
    failed: BTreeSet<&'a TestName>,
    others: BTreeMap<&'a TestName, Outcome>,
    names_all: bool,
    is_complete: bool,
}

impl<'a> Side<'a> {
    fn of(report: &'a TestReport) -> Self {
        let failing = report.failing.iter().map(|failing| &failing.test);
        let mut failed: BTreeSet<&TestName> = failing.collect();
        let mut others = BTreeMap::new();
        for result in &report.tests {
            match result.outcome {
                Outcome::Failed => drop(failed.insert(&result.test)),
                outcome => drop(others.insert(&result.test, outcome)),
            }
        }
        Self {
            failed,
            others,
            names_all: report.names_all(),
            is_complete: report.is_complete,
        }
    }

    fn missing_in(&self, other: &Self) -> Vec<TestName> {
        let all: BTreeSet<&TestName> = self
            .failed
            .iter()
            .copied()
            .chain(self.others.keys().copied())
            .collect();
        let missing = all
            .into_iter()
            .filter(|test| !other.failed.contains(*test) && !other.others.contains_key(*test));
        missing.cloned().collect()
    }
}
