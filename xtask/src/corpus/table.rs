//! The results as a table for people, or as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::stage::User;
use super::subject::{Mode, Subject};
use super::verdict::{Outcome, Verdict};

/// One mode as one user, with the verdict on every attempt.
pub(super) struct Row {
    pub(super) mode: Mode,
    pub(super) user: User,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) took: Duration,
}

impl Row {
    pub(super) fn failures(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(|it| it.has_failed())
    }

    fn cells(&self) -> [String; 8] {
        let count = |is: &dyn Fn(&&Verdict) -> bool| self.verdicts.iter().filter(is).count();
        let escapes = |tag: &'static str| {
            count(&|it| it.has_tag(tag) && it.outcome == Outcome::Escaped).to_string()
        };
        let controls = |is: &dyn Fn(&&Verdict) -> bool| count(&|it| it.is_control() && is(it));
        [
            self.mode.name().to_owned(),
            self.user.name().to_owned(),
            count(&|it| !it.is_control() && it.is_required).to_string(),
            count(&|it| !it.is_control() && it.has_failed()).to_string(),
            format!(
                "{}/{}, {}/{} needed",
                controls(&|it| it.outcome == Outcome::Works),
                controls(&|_| true),
                controls(&|it| it.is_required && it.outcome == Outcome::Works),
                controls(&|it| it.is_required),
            ),
            escapes("hardening"),
            escapes("host-git"),
            format!("{:.0} s", self.took.as_secs_f64()),
        ]
    }
}

const HEADINGS: [&str; 8] = [
    "mode",
    "as",
    "required",
    "failed",
    "controls",
    "hardening",
    "host git",
    "time",
];

/// Prints a table for each subject, and below it what got out or broke in each row.
pub(super) fn print(tables: &[(Subject, Vec<Row>)]) {
    for (subject, rows) in tables {
        println!("\n{}", subject.name);
        print!("{}", aligned(rows.iter().map(Row::cells)));
        for row in rows {
            for verdict in row.failures() {
                println!(
                    "  {:9} {:4} {:28} {:?} [{}]: {}",
                    row.mode.name(),
                    row.user.name(),
                    verdict.id,
                    verdict.outcome,
                    if verdict.is_own { "own" } else { "given" },
                    verdict.why
                );
            }
        }
    }
    println!();
}

fn aligned(rows: impl Iterator<Item = [String; 8]>) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows);
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|at| lines.iter().map(|line| line[at].len()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Everything, for programs.
pub(super) fn json(tables: &[(Subject, Vec<Row>)]) -> Value {
    let subjects = tables.iter().map(|(subject, rows)| {
        json!({ "subject": subject.name, "rows": rows.iter().map(row).collect::<Vec<_>>() })
    });
    subjects.collect()
}

fn row(row: &Row) -> Value {
    let verdicts = row.verdicts.iter().map(|it| {
        json!({
            "id": it.id,
            "corpus": if it.is_own { "own" } else { "given" },
            "tags": it.tags,
            "outcome": format!("{:?}", it.outcome).to_lowercase(),
            "required": it.is_required,
            "failed": it.has_failed(),
            "seconds": it.seconds,
            "why": it.why,
        })
    });
    json!({
        "mode": row.mode.name(),
        "as": row.user.name(),
        "seconds": row.took.as_secs_f64(),
        "verdicts": verdicts.collect::<Vec<_>>(),
    })
}
