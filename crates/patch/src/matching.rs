//! Finds a run of lines in a file, exactly or nearly, in time linear in the file.
//!
//! Each line becomes a number, equal for lines that count as equal on one level, and the run is
//! then searched among numbers. A text of equal lines is no harder than any other, and a run with
//! a line the file lacks is turned down without a search.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::collections::HashMap;

/// The most comparisons one file's hunks may take; about a tenth of a second.
pub(crate) const MAX_WORK: u64 = 100_000_000;

/// The work allowed was used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted;

/// Where a run may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The first time it comes.
    First,
    /// The time that is closest to this index.
    Near(usize),
    /// Only as the last lines.
    End,
}

/// How alike two lines must be, from strict to loose.
const LEVELS: [fn(&str) -> Cow<'_, str>; 4] = [
    |line| Cow::Borrowed(line),
    |line| Cow::Borrowed(line.trim_end()),
    |line| Cow::Borrowed(line.trim()),
    plain_punctuation,
];

/// The loosest level.
const LOOSEST: usize = LEVELS.len() - 1;

/// A file's lines, ready to be searched.
pub(crate) struct Index<'a> {
    lines: Vec<&'a str>,
    levels: [OnceCell<Level<'a>>; LEVELS.len()],
    work: Cell<u64>,
}

impl<'a> Index<'a> {
    pub(crate) fn new(lines: Vec<&'a str>) -> Self {
        Index {
            lines,
            levels: Default::default(),
            work: Cell::new(0),
        }
    }

    pub(crate) fn lines(&self) -> &[&'a str] {
        &self.lines
    }

    /// Returns where the run starts, at `from` or later. A strict match anywhere beats a loose one.
    pub(crate) fn find(
        &self,
        run: &[&str],
        from: usize,
        place: Place,
    ) -> Result<Option<usize>, Exhausted> {
        let fits = run.len() <= self.lines.len() && from <= self.lines.len() - run.len();
        if run.is_empty() || !fits {
            return Ok(None);
        }
        for number in 0..LEVELS.len() {
            let level = self.level(number);
            self.spend(run.len())?;
            let Some(run) = level.numbers(run, number, from) else {
                continue;
            };
            if let Some(found) = self.search(&level.ids, &run, from, place)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Says whether two lines are equal on the loosest level.
    pub(crate) fn alike(&self, one: &str, other: &str) -> bool {
        LEVELS[LOOSEST](one) == LEVELS[LOOSEST](other)
    }

    /// Allows more work, for hints after a failure.
    pub(crate) fn refresh(&self) {
        self.work.set(0);
    }

    fn level(&self, number: usize) -> &Level<'a> {
        self.levels[number].get_or_init(|| Level::new(&self.lines, LEVELS[number]))
    }

    fn spend(&self, steps: usize) -> Result<(), Exhausted> {
        let work = self.work.get().saturating_add(steps as u64);
        self.work.set(work);
        if work > MAX_WORK {
            Err(Exhausted)
        } else {
            Ok(())
        }
    }

    fn search(
        &self,
        ids: &[u32],
        run: &[u32],
        from: usize,
        place: Place,
    ) -> Result<Option<usize>, Exhausted> {
        if place == Place::End {
            let start = ids.len() - run.len();
            return Ok((start >= from && ids[start..] == *run).then_some(start));
        }
        let mut best: Option<usize> = None;
        let scan = Scan::new(run);
        let mut matched = 0;
        for (at, &id) in ids.iter().enumerate().skip(from) {
            matched = scan.step(matched, id);
            if matched < run.len() {
                continue;
            }
            let start = at + 1 - run.len();
            let Place::Near(wanted) = place else {
                self.spend(at - from)?;
                return Ok(Some(start));
            };
            if best.is_none_or(|best| start.abs_diff(wanted) < best.abs_diff(wanted)) {
                best = Some(start);
            }
            matched = scan.fall_back(matched);
        }
        self.spend(ids.len() - from)?;
        Ok(best)
    }
}

/// The lines as one level sees them.
struct Level<'a> {
    ids: Vec<u32>,
    known: HashMap<Cow<'a, str>, u32>,
    /// Where each number comes last.
    last: Vec<usize>,
}

impl<'a> Level<'a> {
    fn new(lines: &[&'a str], see: fn(&str) -> Cow<'_, str>) -> Self {
        let mut level = Level {
            ids: Vec::with_capacity(lines.len()),
            known: HashMap::new(),
            last: Vec::new(),
        };
        for (at, &line) in lines.iter().enumerate() {
            // More than u32::MAX lines would need more memory than any caller reads.
            let next = level.last.len() as u32;
            let id = *level.known.entry(see(line)).or_insert(next);
            if id == next {
                level.last.push(at);
            }
            level.last[id as usize] = at;
            level.ids.push(id);
        }
        level
    }

    /// Returns the run's numbers, or `None` if a line of it does not come at `from` or later.
    fn numbers(&self, run: &[&str], level: usize, from: usize) -> Option<Vec<u32>> {
        run.iter()
            .map(|&line| {
                let id = *self.known.get(LEVELS[level](line).as_ref())?;
                (self.last[id as usize] >= from).then_some(id)
            })
            .collect()
    }
}

/// Knuth, Morris and Pratt's search: never looks at a line of the file twice.
struct Scan<'r> {
    run: &'r [u32],
    /// For each length of a partial match, the length of the next shorter one.
    shorter: Vec<usize>,
}

impl<'r> Scan<'r> {
    fn new(run: &'r [u32]) -> Self {
        let mut scan = Scan {
            run,
            shorter: vec![0; run.len() + 1],
        };
        let mut matched = 0;
        for (at, &id) in run.iter().enumerate().skip(1) {
            matched = scan.step(matched, id);
            scan.shorter[at + 1] = matched;
        }
        scan
    }

    /// Returns how much of the run is matched once `id` is read.
    fn step(&self, mut matched: usize, id: u32) -> usize {
        loop {
            if self.run.get(matched) == Some(&id) {
                return matched + 1;
            }
            if matched == 0 {
                return 0;
            }
            matched = self.shorter[matched];
        }
    }

    fn fall_back(&self, matched: usize) -> usize {
        self.shorter[matched]
    }
}

/// Trims the line and makes typographic dashes, quotes and spaces the ones on a keyboard.
fn plain_punctuation(line: &str) -> Cow<'_, str> {
    let line = line.trim();
    if line.is_ascii() {
        return Cow::Borrowed(line);
    }
    Cow::Owned(line.chars().map(plain_char).collect())
}

fn plain_char(c: char) -> char {
    match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        '\u{a0}' | '\u{2002}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => ' ',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &[&str], run: &[&str], from: usize, place: Place, expected: Option<usize>) {
        let index = Index::new(file.to_vec());
        assert_eq!(
            index.find(run, from, place),
            Ok(expected),
            "{run:?} in {file:?}"
        );
    }

    #[test]
    fn strict_beats_loose() {
        check(&["a ", "a"], &["a"], 0, Place::First, Some(1));
        check(&["  a", "a "], &["a"], 0, Place::First, Some(1));
        check(&["x — y", " x - y"], &["x - y"], 0, Place::First, Some(1));
        check(&["“x”"], &["\"x\""], 0, Place::First, Some(0));
        check(&["\"x\""], &["“x”"], 0, Place::First, Some(0));
        check(&["a…b"], &["a...b"], 0, Place::First, None);
    }

    #[test]
    fn places() {
        let file = ["a", "b", "a", "b", "a", "b"];
        check(&file, &["a", "b"], 0, Place::First, Some(0));
        check(&file, &["a", "b"], 1, Place::First, Some(2));
        check(&file, &["a", "b"], 5, Place::First, None);
        check(&file, &["a", "b"], 0, Place::End, Some(4));
        check(&file, &["a"], 0, Place::End, None);
        check(&file, &["a"], 0, Place::Near(3), Some(2));
        check(&file, &["a"], 0, Place::Near(100), Some(4));
        check(&[], &["a"], 0, Place::First, None);
    }

    #[test]
    fn overlapping_partial_matches() {
        check(
            &["a", "a", "b", "a", "a", "a", "b"],
            &["a", "a", "a", "b"],
            0,
            Place::First,
            Some(3),
        );
        check(&["a", "a", "a"], &["a", "a"], 0, Place::Near(1), Some(1));
    }
}
