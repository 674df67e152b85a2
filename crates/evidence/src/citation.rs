//! Finds citations in an answer: `【F:src/lib.rs†L3-L9】` and `【1a2b3c†L1-L4】`.

use std::fmt;
use std::ops::Range;

use recto_protocol::ChunkId;

const OPEN: char = '【';
const CLOSE: char = '】';
const DAGGER: char = '†';

/// What a citation points at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// A file of the answer's commit, by its path relative to the work tree, as it was written.
    File(String),
    /// The captured output of a command.
    Chunk(ChunkId),
}

/// Which lines are cited: both ends count, and the first line is 1.
///
/// The numbers are as written, so `first` may be 0 or after `last`; such lines are out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lines {
    /// The first line.
    pub first: u64,
    /// The last line.
    pub last: u64,
}

/// One citation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Citation {
    /// What it points at.
    pub target: Target,
    /// Which lines of it.
    pub lines: Lines,
}

/// A citation and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The citation.
    pub citation: Citation,
    /// Its bytes in the answer, brackets included.
    pub span: Range<usize>,
}

/// Finds all citations, in order. Takes time linear in the answer's length.
pub fn parse(answer: &str) -> Vec<Found> {
    brackets(answer)
        .filter_map(|span| {
            let citation = citation(inside(&answer[span.clone()]))?;
            Some(Found { citation, span })
        })
        .collect()
}

/// Finds brackets that were meant as citations (they begin like one) and are none, so that a
/// misspelt citation is reported and not passed over. Other bracketed text is left alone.
pub fn malformed(answer: &str) -> Vec<Range<usize>> {
    brackets(answer)
        .filter(|span| {
            let inside = inside(&answer[span.clone()]);
            let meant = inside.starts_with("F:")
                || inside
                    .split_once(DAGGER)
                    .is_some_and(|(id, _)| chunk_id(id).is_some());
            meant && citation(inside).is_none()
        })
        .collect()
}

/// The spans of `【…】` that hold neither bracket nor line break.
fn brackets(answer: &str) -> impl Iterator<Item = Range<usize>> {
    // One pass; an opening bracket inside an open one starts afresh, so no byte is read twice.
    let mut open = None;
    answer
        .char_indices()
        .filter_map(move |(at, char)| match char {
            OPEN => {
                open = Some(at);
                None
            }
            '\n' | '\r' => {
                open = None;
                None
            }
            CLOSE => open.take().map(|start| start..at + CLOSE.len_utf8()),
            _ => None,
        })
}

fn inside(bracket: &str) -> &str {
    &bracket[OPEN.len_utf8()..bracket.len() - CLOSE.len_utf8()]
}

fn citation(inside: &str) -> Option<Citation> {
    // From the right, since a path may hold a dagger and line numbers may not.
    let (target, numbers) = inside.rsplit_once(DAGGER)?;
    let target = match target.strip_prefix("F:") {
        Some("") => return None,
        Some(path) => Target::File(path.to_owned()),
        None => Target::Chunk(chunk_id(target)?),
    };
    Some(Citation {
        target,
        lines: lines(numbers)?,
    })
}

fn chunk_id(text: &str) -> Option<ChunkId> {
    let fits = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| ChunkId(text.to_ascii_lowercase()))
}

/// Reads `L3`, `L3-L9`, and the `L3-9` that models write as well.
fn lines(text: &str) -> Option<Lines> {
    let text = text.strip_prefix('L')?;
    match text.split_once('-') {
        None => {
            let line = number(text)?;
            Some(Lines {
                first: line,
                last: line,
            })
        }
        Some((first, last)) => {
            let last = last.strip_prefix('L').unwrap_or(last);
            Some(Lines {
                first: number(first)?,
                last: number(last)?,
            })
        }
    }
}

/// A number too large to be held is larger than any file has lines, which is all that matters.
fn number(digits: &str) -> Option<u64> {
    let fits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| digits.parse().unwrap_or(u64::MAX))
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl fmt::Display for Citation {
    /// The form for people: `src/lib.rs:3-9` or `output 1a2b3c:1-4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::File(path) => write!(f, "{path}:{}", self.lines),
            Target::Chunk(id) => write!(f, "output {id}:{}", self.lines),
        }
    }
}
