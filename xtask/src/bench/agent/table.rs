//! The plain table on standard output.

use super::figures::{Figures, Row};

/// The column that the goals are for.
pub(super) const JUDGED: &str = "recto";

/// Writes the table. Rows that nobody was measured for are left out.
pub(super) fn render(figures: &Figures, columns: &[&'static str]) -> String {
    let mut text = format!("{:<38}", "");
    for column in columns {
        text.push_str(&format!("{column:>12}"));
    }
    text.push_str(&format!("{:>10}  {JUDGED}\n", "goal"));
    for &row in Row::ALL {
        let values: Vec<_> = columns
            .iter()
            .map(|column| figures.value(row, column))
            .collect();
        if values.iter().all(Option::is_none) {
            continue;
        }
        text.push_str(&format!("{:<38}", row.title()));
        for value in values {
            let shown = value.map_or_else(|| "-".to_owned(), number);
            text.push_str(&format!("{shown:>12}"));
        }
        let goal = row
            .goal()
            .map_or_else(String::new, |goal| format!("<= {goal}"));
        let verdict = verdict(row, figures.value(row, JUDGED)).unwrap_or_default();
        text.push_str(format!("{goal:>10}  {verdict}").trim_end());
        text.push('\n');
    }
    text
}

/// The rows whose goals were missed.
pub(super) fn missed(figures: &Figures) -> Vec<&'static str> {
    Row::ALL
        .iter()
        .filter(|row| {
            let value = figures.value(**row, JUDGED);
            value
                .zip(row.goal())
                .is_some_and(|(value, goal)| value > goal)
        })
        .map(|row| row.title().trim())
        .collect()
}

/// `ok`, or by how much the goal was missed; nothing without a goal or a figure.
fn verdict(row: Row, value: Option<f64>) -> Option<String> {
    let (value, goal) = value.zip(row.goal())?;
    Some(match value {
        _ if value <= goal => "ok".to_owned(),
        _ if goal == 0.0 => "missed".to_owned(),
        _ => format!("missed by {:.0} %", ((value / goal - 1.0) * 100.0).ceil()),
    })
}

/// Three digits that say something, and no more.
pub(in crate::bench) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{missed, render, verdict};
    use crate::bench::agent::figures::{Figures, Row};

    #[test]
    fn a_goal_is_met_or_missed_by_a_share() {
        assert_eq!(verdict(Row::Start, Some(20.0)).unwrap(), "ok");
        assert_eq!(verdict(Row::Start, Some(25.0)).unwrap(), "missed by 25 %");
        assert_eq!(verdict(Row::ManyFailed, Some(1.0)).unwrap(), "missed");
        assert_eq!(verdict(Row::FirstStep, Some(1.0)), None);
    }

    #[test]
    fn rows_without_figures_are_left_out_and_gaps_are_shown() {
        let mut figures = Figures::default();
        figures.add(Row::Start, "null", 1.0);
        figures.add(Row::FirstRequest, "recto", 13.0);
        let text = render(&figures, &["null", "recto"]);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains('-'), "{text}");
        assert_eq!(missed(&figures), ["first request, KB"]);
    }
}
