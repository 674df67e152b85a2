//! The rows of the table, and what is asked of cells.

/// A row, in the table's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Row {
    Once,
    Ready,
    ReadyBest,
    ReadyTimes,
    Closed,
    Large,
    Command,
    CommandTail,
    KillAll,
    Close,
    Idle,
    Many,
    Mounts,
    Cgroups,
    Processes,
    Files,
    Descriptors,
    Threads,
    Busy,
    BusyMedian,
    BusyOutside,
    Forks,
    ForksMedian,
    ForksOutside,
    Memory,
    MemoryMedian,
    MemoryOutside,
    Disk,
    DiskMedian,
    DiskOutside,
    Output,
    OutputMedian,
    OutputOutside,
}

/// A row with its title and its goal.
struct Line(Row, &'static str, Option<f64>);

const LINES: &[Line] = &[
    Line(Row::Once, "`true`, from nothing to nothing, ms", None),
    Line(Row::Ready, "new cell until ready, ms", Some(6.0)),
    Line(Row::ReadyBest, "  best tenth", None),
    Line(Row::ReadyTimes, "  times a plain spawn", None),
    Line(Row::Closed, "close of an idle cell, ms", None),
    Line(Row::Large, "new cell on 20,000 files, ms", Some(6.0)),
    Line(Row::Command, "`true` in a cell above plain, ms", Some(1.0)),
    Line(Row::CommandTail, "  95th percentiles", None),
    Line(Row::KillAll, "kill of 200 processes, ms", Some(100.0)),
    Line(Row::Close, "close with 200 processes, ms", Some(100.0)),
    Line(Row::Idle, "an idle cell (of 100), PSS in MB", Some(1.0)),
    Line(Row::Many, "a cell of 500 in a row, ms", None),
    Line(Row::Mounts, "  left: mounts", Some(0.0)),
    Line(Row::Cgroups, "  left: cgroups", Some(0.0)),
    Line(Row::Processes, "  left: processes", Some(0.0)),
    Line(Row::Files, "  left: files", Some(0.0)),
    Line(Row::Descriptors, "  left: descriptors", Some(0.0)),
    Line(Row::Threads, "  left: threads", Some(0.0)),
    Line(Row::Busy, "p95 beside 64 busy loops, times", Some(2.0)),
    Line(Row::BusyMedian, "  median", Some(2.0)),
    Line(Row::BusyOutside, "  plain spawn there", None),
    Line(Row::Forks, "p95 beside a fork bomb, times", Some(2.0)),
    Line(Row::ForksMedian, "  median", Some(2.0)),
    Line(Row::ForksOutside, "  plain spawn there", None),
    Line(Row::Memory, "p95 beside a memory hog, times", Some(2.0)),
    Line(Row::MemoryMedian, "  median", Some(2.0)),
    Line(Row::MemoryOutside, "  plain spawn there", None),
    Line(Row::Disk, "p95 beside a disk filler, times", Some(2.0)),
    Line(Row::DiskMedian, "  median", Some(2.0)),
    Line(Row::DiskOutside, "  plain spawn there", None),
    Line(Row::Output, "p95 beside an output flood, times", Some(2.0)),
    Line(Row::OutputMedian, "  median", Some(2.0)),
    Line(Row::OutputOutside, "  plain spawn there", None),
];

/// Loads of a neighbour: the driver's name, the rows of the cell's tail and median, and that of the
/// host's tail beside it.
pub(super) const LOADS: &[(&str, Row, Row, Row)] = &[
    ("busy", Row::Busy, Row::BusyMedian, Row::BusyOutside),
    ("forks", Row::Forks, Row::ForksMedian, Row::ForksOutside),
    ("memory", Row::Memory, Row::MemoryMedian, Row::MemoryOutside),
    ("disk", Row::Disk, Row::DiskMedian, Row::DiskOutside),
    ("output", Row::Output, Row::OutputMedian, Row::OutputOutside),
];

impl Row {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        LINES.iter().map(|line| line.0)
    }

    pub(super) fn title(self) -> &'static str {
        LINES[self as usize].1
    }

    /// At most this is asked for; nothing where a figure only explains another one.
    pub(super) fn goal(self) -> Option<f64> {
        LINES[self as usize].2
    }

    /// The rows of what may not be left, by the word that the counts use.
    pub(super) fn left(what: &str) -> Option<Self> {
        let title = format!("  left: {what}");
        LINES.iter().find(|line| line.1 == title).map(|line| line.0)
    }

    pub(super) fn key(self) -> String {
        format!("{self:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::{LINES, LOADS, Row};

    #[test]
    fn every_row_stands_where_its_number_says() {
        for (place, line) in LINES.iter().enumerate() {
            assert_eq!(line.0 as usize, place, "{}", line.1);
        }
        assert_eq!(LINES.len(), Row::OutputOutside as usize + 1);
    }

    #[test]
    fn the_goals_of_the_issue_are_held() {
        let goals = [Row::Ready, Row::Command, Row::KillAll, Row::Idle].map(Row::goal);
        assert_eq!(goals, [Some(6.0), Some(1.0), Some(100.0), Some(1.0)]);
        assert_eq!(Row::left("cgroups"), Some(Row::Cgroups));
        assert!(
            LOADS
                .iter()
                .all(|load| load.1.goal() == Some(2.0) && load.2.goal() == Some(2.0))
        );
    }
}
