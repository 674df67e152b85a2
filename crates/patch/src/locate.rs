//! Says where in a text each hunk goes.

use std::ops::Range;

use crate::error::MatchError;
use crate::hint;
use crate::matching::{Exhausted, Index, MAX_WORK, Place};
use crate::parse::{Hunk, HunkLine};
use crate::text::Text;

/// Where a hunk goes: the file's lines it replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) hunk: usize,
    pub(crate) lines: Range<usize>,
}

/// Returns which lines of the text the hunks replace (counted from 0), in the file's order.
pub fn locate(text: &str, hunks: &[Hunk]) -> Result<Vec<Range<usize>>, MatchError> {
    let placed = place(&Text::split(text), hunks)?;
    Ok(placed.into_iter().map(|placed| placed.lines).collect())
}

pub(crate) fn place(text: &Text<'_>, hunks: &[Hunk]) -> Result<Vec<Placed>, MatchError> {
    let index = Index::new(text.lines.iter().map(|line| line.content).collect());
    let mut placer = Placer { index, next: 0 };
    let mut placed = Vec::with_capacity(hunks.len());
    for (number, hunk) in hunks.iter().enumerate() {
        placed.push(Placed {
            hunk: number,
            lines: placer.place(hunk)?,
        });
    }
    // Only hunks that add at the end may come early; they are empty ranges, so nothing overlaps.
    placed.sort_by_key(|placed| placed.lines.start);
    Ok(placed)
}

struct Placer<'a> {
    index: Index<'a>,
    /// The first line that no earlier hunk has claimed.
    next: usize,
}

impl Placer<'_> {
    fn place(&mut self, hunk: &Hunk) -> Result<Range<usize>, MatchError> {
        let seek = self.seek_header(hunk)?;
        let old = old_lines(hunk);
        if old.is_empty() {
            return Ok(self.place_addition(hunk, seek));
        }
        let place = match seek {
            _ if hunk.at_end => Place::End,
            Seek::Numbers(numbers) => Place::Near(numbers.before()),
            Seek::None | Seek::After(_) => Place::First,
        };
        let from = self.next;
        match self.find(&old, place)? {
            Some(range) => {
                self.next = range.end;
                Ok(range)
            }
            None => Err(MatchError::Lines {
                lines: old.join("\n"),
                hint: hint::for_lines(&self.index, hunk, &old, from),
            }),
        }
    }

    /// Looks for the lines, and without their last one as long as it is blank: models take the
    /// end of the last line for one more empty line.
    fn find(&self, old: &[&str], place: Place) -> Result<Option<Range<usize>>, MatchError> {
        let mut wanted = old;
        loop {
            if let Some(start) = self
                .index
                .find(wanted, self.next, place)
                .map_err(too_much)?
            {
                return Ok(Some(start..start + wanted.len()));
            }
            match wanted {
                [shorter @ .., ""] if !shorter.is_empty() => wanted = shorter,
                _ => return Ok(None),
            }
        }
    }

    fn place_addition(&mut self, hunk: &Hunk, seek: Seek) -> Range<usize> {
        let end = self.index.lines().len();
        let at = match seek {
            _ if hunk.at_end => return end..end,
            Seek::None => return end..end,
            Seek::After(line) => line,
            Seek::Numbers(numbers) => numbers.before().clamp(self.next, end),
        };
        self.next = at;
        at..at
    }

    fn seek_header(&mut self, hunk: &Hunk) -> Result<Seek, MatchError> {
        let Some(header) = hunk.header.as_deref() else {
            return Ok(Seek::None);
        };
        let found = self
            .index
            .find(&[header], self.next, Place::First)
            .map_err(too_much)?;
        if let Some(line) = found {
            self.next = line + 1;
            return Ok(Seek::After(line + 1));
        }
        if let Some(numbers) = Numbers::parse(header) {
            return Ok(Seek::Numbers(numbers));
        }
        Err(MatchError::Context {
            context: header.to_owned(),
            hint: hint::for_context(&self.index, header, self.next),
        })
    }
}

/// What a hunk's `@@` line tells.
#[derive(Debug, Clone, Copy)]
enum Seek {
    None,
    /// The change comes at this index or later.
    After(usize),
    Numbers(Numbers),
}

/// The old side of a unified diff's `@@ -line,count +line,count @@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbers {
    line: usize,
    count: usize,
}

impl Numbers {
    /// Parses what stands after the first `@@ `.
    fn parse(header: &str) -> Option<Numbers> {
        let mut words = header.split_whitespace();
        let old = words.next()?.strip_prefix('-')?;
        let new = words.next()?.strip_prefix('+')?;
        if !words.next()?.starts_with("@@") {
            return None;
        }
        Numbers::side(new)?;
        Numbers::side(old)
    }

    fn side(text: &str) -> Option<Numbers> {
        let (line, count) = text.split_once(',').unwrap_or((text, "1"));
        Some(Numbers {
            line: line.parse().ok()?,
            count: count.parse().ok()?,
        })
    }

    /// Returns the index of the first line meant; a count of 0 means the place after the line.
    fn before(self) -> usize {
        if self.count == 0 {
            self.line
        } else {
            self.line.saturating_sub(1)
        }
    }
}

/// The lines a hunk expects to find.
fn old_lines(hunk: &Hunk) -> Vec<&str> {
    hunk.lines
        .iter()
        .filter_map(|line| match line {
            HunkLine::Context(text) | HunkLine::Remove(text) => Some(text.as_str()),
            HunkLine::Add(_) => None,
        })
        .collect()
}

fn too_much(_: Exhausted) -> MatchError {
    MatchError::TooMuchWork(MAX_WORK)
}

#[cfg(test)]
mod tests {
    use super::Numbers;

    #[test]
    fn unified_ranges() {
        let check = |header, expected: Option<usize>| {
            assert_eq!(
                Numbers::parse(header).map(Numbers::before),
                expected,
                "{header}"
            );
        };
        check("-1,3 +1,3 @@", Some(0));
        check("-7 +8 @@ fn main()", Some(6));
        check("-7,0 +8,2 @@", Some(7));
        check("-0,0 +1 @@", Some(0));
        check("-1,3 +1,3", None);
        check("def f():", None);
        check("-x,3 +1,3 @@", None);
        check("-99999999999999999999 +1 @@", None);
    }
}
