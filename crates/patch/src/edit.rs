//! Puts hunks into a text.

use crate::error::MatchError;
use crate::locate::{Placed, place};
use crate::parse::{Hunk, HunkLine};
use crate::text::{BYTE_ORDER_MARK, Ending, Line, Text};

/// Returns the text with the hunks applied, or says which one has no place in it.
///
/// A line that no hunk removes keeps its bytes, its ending included. An added line ends like the
/// line it replaces, else like its neighbour. A missing final newline stays missing unless lines
/// are added after the last one.
pub fn edit(before: &str, hunks: &[Hunk]) -> Result<String, MatchError> {
    let text = Text::split(before);
    let placed = place(&text, hunks)?;
    let added: usize = hunks.iter().map(|hunk| hunk.lines.len()).sum();
    let mut writer = Writer {
        usual: text.usual_ending(),
        text: &text,
        out: String::with_capacity(before.len() + added * 40),
        at: 0,
        previous: None,
    };
    if text.has_mark {
        writer.out.push(BYTE_ORDER_MARK);
    }
    for placed in &placed {
        writer.hunk(&hunks[placed.hunk], placed);
    }
    writer.keep_until(text.lines.len());
    let replaces_last = placed.last().filter(|placed| {
        placed.lines.end == text.lines.len() && removes_last(&hunks[placed.hunk], placed)
    });
    if text.lacks_final_newline()
        && replaces_last.is_some_and(|placed| writer.ends_with_added_by(placed.hunk))
    {
        writer.drop_final_newline();
    }
    Ok(writer.out)
}

/// What was written last.
#[derive(Debug, Clone, Copy)]
struct Previous {
    ending: Ending,
    /// The hunk that added it; `None` for a line of the file.
    hunk: Option<usize>,
}

struct Writer<'t, 'a> {
    text: &'t Text<'a>,
    usual: Ending,
    out: String,
    /// The next line of the file.
    at: usize,
    previous: Option<Previous>,
}

impl Writer<'_, '_> {
    fn hunk(&mut self, hunk: &Hunk, placed: &Placed) {
        self.keep_until(placed.lines.start);
        let end = placed.lines.end;
        let mut replaced = Replaced::default();
        for (number, line) in hunk.lines.iter().enumerate() {
            match line {
                HunkLine::Context(_) if self.at < end => {
                    self.keep_until(self.at + 1);
                    replaced = Replaced::default();
                }
                HunkLine::Remove(_) if self.at < end => {
                    replaced.removed(self.text.lines[self.at].ending);
                    self.at += 1;
                }
                // A blank line the file turned out not to have: written only if the patch says
                // that something comes after it.
                HunkLine::Context(content) if adds_after(hunk, number) => {
                    self.add(content, None, placed.hunk);
                }
                HunkLine::Context(_) | HunkLine::Remove(_) => {}
                HunkLine::Add(content) => self.add(content, replaced.next(), placed.hunk),
            }
        }
    }

    fn keep_until(&mut self, end: usize) {
        for line in &self.text.lines[self.at..end] {
            self.write(*line, None);
        }
        self.at = end;
    }

    fn add(&mut self, content: &str, ending: Option<Ending>, hunk: usize) {
        let neighbour = || self.previous.and_then(|previous| previous.ending.present());
        let following = || {
            self.text
                .lines
                .get(self.at)
                .and_then(|line| line.ending.present())
        };
        let ending = ending
            .or_else(neighbour)
            .or_else(following)
            .unwrap_or(self.usual);
        self.write(Line { content, ending }, Some(hunk));
    }

    fn write(&mut self, line: Line<'_>, hunk: Option<usize>) {
        if self
            .previous
            .is_some_and(|previous| previous.ending == Ending::Missing)
        {
            self.out.push_str(self.usual.as_str());
        }
        self.out.push_str(line.content);
        self.out.push_str(line.ending.as_str());
        self.previous = Some(Previous {
            ending: line.ending,
            hunk,
        });
    }

    fn ends_with_added_by(&self, hunk: usize) -> bool {
        self.previous
            .is_some_and(|previous| previous.hunk == Some(hunk))
    }

    fn drop_final_newline(&mut self) {
        let ending = self
            .previous
            .map_or("", |previous| previous.ending.as_str());
        self.out.truncate(self.out.len() - ending.len());
    }
}

/// The endings of the lines that a run of added lines replaces.
#[derive(Debug, Default)]
struct Replaced {
    endings: Vec<Ending>,
    used: usize,
}

impl Replaced {
    fn removed(&mut self, ending: Ending) {
        self.endings.extend(ending.present());
    }

    /// Returns the ending for the next added line: its own replaced line's, else the last one's.
    fn next(&mut self) -> Option<Ending> {
        let ending = self.endings.get(self.used).or(self.endings.last()).copied();
        self.used += 1;
        ending
    }
}

fn adds_after(hunk: &Hunk, number: usize) -> bool {
    hunk.lines[number..]
        .iter()
        .any(|line| matches!(line, HunkLine::Add(_)))
}

/// Says whether the last of the file's lines that the hunk covers goes away.
fn removes_last(hunk: &Hunk, placed: &Placed) -> bool {
    let mut old = hunk
        .lines
        .iter()
        .filter(|line| !matches!(line, HunkLine::Add(_)));
    let last = placed
        .lines
        .len()
        .checked_sub(1)
        .and_then(|last| old.nth(last));
    matches!(last, Some(HunkLine::Remove(_)))
}
