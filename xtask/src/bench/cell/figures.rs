//! The samples, and the table that is made of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::rows::Row;
use crate::bench::agent::figures::median;
use crate::bench::agent::table::number;

/// Columns that goals are for: cells, made as somebody.
const JUDGED: &[&str] = &["root", "user"];

/// All samples by row and column, and what could not be measured.
#[derive(Default)]
pub(super) struct Figures {
    samples: BTreeMap<(Row, &'static str), Vec<f64>>,
    failures: Vec<String>,
}

impl Figures {
    pub(super) fn add(&mut self, row: Row, column: &'static str, sample: f64) {
        self.samples.entry((row, column)).or_default().push(sample);
    }

    /// A measurement that broke. It counts as a missed goal.
    pub(super) fn fail(&mut self, what: String) {
        eprintln!("{what}");
        self.failures.push(what);
    }

    pub(super) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The median; of what may not be there at all, the most.
    fn value(&self, row: Row, column: &'static str) -> Option<f64> {
        let samples = self.samples.get(&(row, column))?;
        Some(match row.goal() {
            Some(0.0) => samples.iter().copied().fold(0.0, f64::max),
            // What a busy machine disturbs least.
            None if row == Row::ReadyBest => percentile(samples, 0.1),
            _ => median(samples),
        })
    }

    pub(super) fn render(&self, columns: &[&'static str]) -> String {
        let mut text = format!("{:<36}", "");
        for column in columns {
            text.push_str(&format!("{column:>11}"));
        }
        text.push_str(&format!("{:>10}\n", "goal"));
        for row in Row::all() {
            let values: Vec<_> = columns
                .iter()
                .map(|column| self.value(row, column))
                .collect();
            if values.iter().all(Option::is_none) {
                continue;
            }
            text.push_str(&format!("{:<36}", row.title()));
            for value in values {
                let shown = value.map_or_else(|| "-".to_owned(), number);
                text.push_str(&format!("{shown:>11}"));
            }
            if let Some(goal) = row.goal() {
                let verdict = if self.misses(row).is_empty() {
                    "ok"
                } else {
                    "missed"
                };
                text.push_str(&format!("{:>10}  {verdict}", format!("<= {goal}")));
            }
            text.push('\n');
        }
        text
    }

    /// Who misses a row's goal, by how much.
    fn misses(&self, row: Row) -> Vec<String> {
        let Some(goal) = row.goal() else {
            return Vec::new();
        };
        let values = JUDGED
            .iter()
            .filter_map(|column| Some((column, self.value(row, column)?)));
        values
            .filter(|(_, value)| *value > goal)
            .map(|(column, value)| format!("{column} {}", number(value)))
            .collect()
    }

    /// The goals that are missed; a run that holds nothing to judge misses all.
    pub(super) fn missed(&self, columns: &[&'static str]) -> Vec<String> {
        if !columns.iter().any(|column| JUDGED.contains(column)) || self.samples.is_empty() {
            return vec!["there is nothing to judge".to_owned()];
        }
        let missed = Row::all().filter_map(|row| {
            let misses = self.misses(row);
            let title = row.title().trim();
            (!misses.is_empty()).then(|| format!("{title}: {}", misses.join(", ")))
        });
        missed.chain(self.failures.iter().cloned()).collect()
    }

    pub(super) fn json(&self, columns: &[&'static str]) -> Value {
        let row = |row: Row| {
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
        Row::all().map(row).collect()
    }
}

/// The value that so large a share of samples doesn't exceed.
pub(super) fn percentile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    // A share of a count of samples: small, and not below nought.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(last)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::{Figures, Row, percentile};

    #[test]
    fn one_thing_left_is_not_averaged_away() {
        let mut figures = Figures::default();
        for sample in [0.0, 0.0, 1.0] {
            figures.add(Row::Mounts, "user", sample);
            figures.add(Row::Ready, "user", sample * 10.0);
        }
        assert_eq!(figures.missed(&["user"]), ["left: mounts: user 1.00"]);
    }

    #[test]
    fn a_broken_or_an_empty_run_is_no_good_one() {
        let mut figures = Figures::default();
        assert_eq!(figures.missed(&["plain", "user"]).len(), 1);
        figures.add(Row::Ready, "user", 1.0);
        assert!(figures.missed(&["user"]).is_empty());
        figures.fail("it broke".to_owned());
        assert_eq!(figures.missed(&["user"]), ["it broke"]);
    }

    #[test]
    fn percentiles_are_samples() {
        let samples: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&samples, 0.95), 96.0);
        assert_eq!(percentile(&[7.0], 0.95), 7.0);
    }
}
