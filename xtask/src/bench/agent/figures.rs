//! The rows of the table with their goals, and the samples that were taken.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A row of the table, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Row {
    Start,
    WholeSession,
    CpuOfOneAnswer,
    FirstStep,
    EarlySteps,
    LateSteps,
    LateToEarly,
    CpuOfSteps,
    MemoryRss,
    MemoryPss,
    Deltas,
    OutputTime,
    OutputMemory,
    EightTime,
    EightRss,
    EightPss,
    EightFailed,
    ManyTime,
    ManyRss,
    ManyPss,
    ManyFailed,
    FirstRequest,
}

impl Row {
    pub(super) const ALL: &[Self] = &[
        Self::Start,
        Self::WholeSession,
        Self::CpuOfOneAnswer,
        Self::FirstStep,
        Self::EarlySteps,
        Self::LateSteps,
        Self::LateToEarly,
        Self::CpuOfSteps,
        Self::MemoryRss,
        Self::MemoryPss,
        Self::Deltas,
        Self::OutputTime,
        Self::OutputMemory,
        Self::EightTime,
        Self::EightRss,
        Self::EightPss,
        Self::EightFailed,
        Self::ManyTime,
        Self::ManyRss,
        Self::ManyPss,
        Self::ManyFailed,
        Self::FirstRequest,
    ];

    /// The rows of 8 or 32 sessions at once: time, RSS, PSS, failures.
    pub(super) fn crowd(count: usize) -> [Self; 4] {
        match count {
            8 => [
                Self::EightTime,
                Self::EightRss,
                Self::EightPss,
                Self::EightFailed,
            ],
            _ => [
                Self::ManyTime,
                Self::ManyRss,
                Self::ManyPss,
                Self::ManyFailed,
            ],
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Start => "process start to first request, ms",
            Self::WholeSession => "one-answer session, start to end, ms",
            Self::CpuOfOneAnswer => "one-answer session, CPU ms",
            Self::FirstStep => "step 1 (may make the cell), ms",
            Self::EarlySteps => "`true` step, steps 6-25 of 200, ms",
            Self::LateSteps => "`true` step, last 20 of 200, ms",
            Self::LateToEarly => "late to early steps, ratio",
            Self::CpuOfSteps => "200 steps, CPU s",
            Self::MemoryRss => "tree at step 50, sum of RSS, MB",
            Self::MemoryPss => "tree at step 50, sum of PSS, MB",
            Self::Deltas => "20,000 deltas above one, ms",
            Self::OutputTime => "command printing 100 MB, ms",
            Self::OutputMemory => "  peak RSS above before, MB",
            Self::EightTime => "8 sessions of 10 steps, s",
            Self::EightRss => "  peak sum of RSS, MB",
            Self::EightPss => "  peak sum of PSS, MB",
            Self::EightFailed => "  failed",
            Self::ManyTime => "32 sessions of 10 steps, s",
            Self::ManyRss => "  peak sum of RSS, MB",
            Self::ManyPss => "  peak sum of PSS, MB",
            Self::ManyFailed => "  failed",
            Self::FirstRequest => "first request, KB",
        }
    }

    /// What the design asks of `recto` on a machine with two processors; at most this.
    ///
    /// The peers' figures that led to these goals were taken elsewhere and aren't repeated here.
    pub(super) fn goal(self) -> Option<f64> {
        match self {
            Self::Start => Some(20.0),
            Self::EarlySteps | Self::LateSteps => Some(6.0),
            // The design says "flat"; a fifth is what the medians of one run differ by on a quiet machine.
            Self::LateToEarly => Some(1.2),
            Self::CpuOfSteps => Some(1.0),
            Self::MemoryRss => Some(25.0),
            Self::Deltas => Some(50.0),
            Self::OutputTime => Some(150.0),
            Self::OutputMemory => Some(16.0),
            Self::ManyTime => Some(3.0),
            Self::ManyRss => Some(600.0),
            Self::EightFailed | Self::ManyFailed => Some(0.0),
            Self::FirstRequest => Some(12.0),
            Self::WholeSession
            | Self::CpuOfOneAnswer
            | Self::FirstStep
            | Self::MemoryPss
            | Self::EightTime
            | Self::EightRss
            | Self::EightPss
            | Self::ManyPss => None,
        }
    }

    fn key(self) -> String {
        format!("{self:?}")
    }
}

/// All samples, by row and column.
#[derive(Default)]
pub(super) struct Figures {
    samples: BTreeMap<(Row, &'static str), Vec<f64>>,
}

impl Figures {
    pub(super) fn add(&mut self, row: Row, column: &'static str, sample: f64) {
        self.samples.entry((row, column)).or_default().push(sample);
    }

    /// The median; for failures the worst, for one is one too many.
    pub(super) fn value(&self, row: Row, column: &'static str) -> Option<f64> {
        let samples = self.samples.get(&(row, column))?;
        Some(match row {
            Row::EightFailed | Row::ManyFailed => samples.iter().copied().fold(0.0, f64::max),
            _ => median(samples),
        })
    }

    pub(super) fn json(&self, columns: &[&'static str]) -> Value {
        let row = |&row: &Row| {
            let of = |&column: &&'static str| {
                let samples = self.samples.get(&(row, column))?;
                let value = json!({ "value": self.value(row, column), "samples": samples });
                Some((column.to_owned(), value))
            };
            json!({
                "row": row.key(), "title": row.title().trim(), "goal": row.goal(),
                "columns": columns.iter().filter_map(of).collect::<serde_json::Map<_, _>>(),
            })
        };
        Row::ALL.iter().map(row).collect()
    }
}

/// The median; the mean of the two in the middle when there are two.
pub(in crate::bench) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.as_slice() {
        [] => f64::NAN,
        sorted if sorted.len() % 2 == 1 => sorted[middle],
        sorted => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, Row, median};

    #[test]
    fn the_middle_is_the_median_and_one_failure_is_not_averaged_away() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        let mut figures = Figures::default();
        for sample in [0.0, 0.0, 1.0] {
            figures.add(Row::ManyFailed, "recto", sample);
        }
        assert_eq!(figures.value(Row::ManyFailed, "recto"), Some(1.0));
    }

    #[test]
    fn every_row_is_listed_once_in_the_order_of_the_table() {
        assert!(Row::ALL.is_sorted());
        let mut keys: Vec<String> = Row::ALL.iter().map(|row| row.key()).collect();
        keys.dedup();
        assert_eq!(keys.len(), Row::FirstRequest as usize + 1);
    }
}
