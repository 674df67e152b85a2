//! From a patch's text to its operations.

use crate::error::ParseError;
use crate::text::{BYTE_ORDER_MARK, split_lines};

/// The longest text that is looked at.
pub const MAX_PATCH_BYTES: usize = 10 * 1024 * 1024;

const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";
const ENVIRONMENT: &str = "*** Environment ID: ";
const ADD: &str = "*** Add File: ";
const DELETE: &str = "*** Delete File: ";
const UPDATE: &str = "*** Update File: ";
const MOVE: &str = "*** Move to: ";
const AT_END: &str = "*** End of File";

/// A parsed patch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patch {
    /// What it does, in order.
    pub ops: Vec<FileOp>,
}

/// What a patch does to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileOp {
    /// Makes a file, or replaces one.
    Add {
        /// The file.
        path: String,
        /// Its whole text; each line ends with a line feed.
        contents: String,
    },
    /// Deletes a file.
    Delete {
        /// The file.
        path: String,
    },
    /// Changes a file, moves it, or both.
    Update {
        /// The file.
        path: String,
        /// Its new name.
        move_to: Option<String>,
        /// The changes, in the file's order; only a move may do without.
        hunks: Vec<Hunk>,
    },
}

/// One change: lines to find, and what they become.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hunk {
    /// The text after `@@ `: a line that comes before the change.
    pub header: Option<String>,
    /// Context, removed and added lines, in order.
    pub lines: Vec<HunkLine>,
    /// Whether the lines must be the file's last ones.
    pub at_end: bool,
}

/// One line of a [`Hunk`], without its mark and its ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HunkLine {
    /// A line that stays.
    Context(String),
    /// A line that goes.
    Remove(String),
    /// A line that comes.
    Add(String),
}

/// Parses a patch.
pub fn parse(text: &str) -> Result<Patch, ParseError> {
    if text.len() > MAX_PATCH_BYTES {
        return Err(ParseError::TooLarge { size: text.len() });
    }
    let text = text.trim_start_matches(BYTE_ORDER_MARK).trim();
    let lines: Vec<&str> = split_lines(text)
        .into_iter()
        .map(|line| line.content)
        .collect();
    let lines = inside_heredoc(&lines);
    if lines.first().is_some_and(|line| line.trim() != BEGIN) {
        return Err(ParseError::NoBegin);
    }
    let Some((last, lines)) = lines.split_last().filter(|(last, _)| last.trim() == END) else {
        return Err(ParseError::NoEnd);
    };
    debug_assert_eq!(last.trim(), END);
    Parser {
        lines,
        at: 1.min(lines.len()),
    }
    .patch()
}

/// Takes off a `<<EOF … EOF` that a model has put around the patch as if a shell would read it.
fn inside_heredoc<'a, 'b>(lines: &'b [&'a str]) -> &'b [&'a str] {
    match lines {
        ["<<EOF" | "<<'EOF'" | "<<\"EOF\"", inside @ .., "EOF"] if inside.len() >= 2 => inside,
        lines => lines,
    }
}

struct Parser<'a, 'b> {
    /// All lines from `*** Begin Patch` up to, not including, `*** End Patch`.
    lines: &'b [&'a str],
    at: usize,
}

impl<'a> Parser<'a, '_> {
    fn patch(mut self) -> Result<Patch, ParseError> {
        self.take_header(ENVIRONMENT);
        let mut ops = Vec::new();
        loop {
            self.skip_blank_before_header();
            if self.peek().is_none() {
                return Ok(Patch { ops });
            }
            ops.push(self.file()?);
        }
    }

    fn peek(&self) -> Option<&'a str> {
        self.lines.get(self.at).copied()
    }

    /// The current line's number; the first line has number 1.
    fn number(&self) -> usize {
        self.at + 1
    }

    /// Takes the current line if it is the header, and returns the rest of it.
    fn take_header(&mut self, header: &str) -> Option<&'a str> {
        let rest = self.peek()?.trim().strip_prefix(header)?.trim_start();
        self.at += 1;
        Some(rest)
    }

    /// Skips blank lines, but only where a header or nothing follows: a blank line amid added
    /// ones is an error, and should be reported where it is.
    fn skip_blank_before_header(&mut self) {
        let rest = &self.lines[self.at..];
        let blank = rest
            .iter()
            .take_while(|line| line.trim().is_empty())
            .count();
        if rest
            .get(blank)
            .is_none_or(|line| line.trim().starts_with("*** "))
        {
            self.at += blank;
        }
    }

    fn file(&mut self) -> Result<FileOp, ParseError> {
        let line = self.number();
        if let Some(path) = self.take_header(ADD) {
            return Ok(FileOp::Add {
                path: path.to_owned(),
                contents: self.contents(),
            });
        }
        if let Some(path) = self.take_header(DELETE) {
            return Ok(FileOp::Delete {
                path: path.to_owned(),
            });
        }
        if let Some(path) = self.take_header(UPDATE) {
            return self.update(path, line);
        }
        let found = self.peek().unwrap_or_default().trim().to_owned();
        Err(ParseError::NotAHeader { line, found })
    }

    fn contents(&mut self) -> String {
        let mut contents = String::new();
        while let Some(line) = self.peek().and_then(|line| line.strip_prefix('+')) {
            contents.push_str(line);
            contents.push('\n');
            self.at += 1;
        }
        contents
    }

    fn update(&mut self, path: &str, line: usize) -> Result<FileOp, ParseError> {
        let move_to = self.take_header(MOVE).map(str::to_owned);
        let mut hunks = Vec::new();
        while let Some(next) = self.peek() {
            if next.trim().is_empty() {
                self.at += 1;
            } else if next.starts_with("***") {
                break;
            } else {
                hunks.push(self.hunk(hunks.is_empty())?);
            }
        }
        // A move alone is a change: the grammar lets a model say it, so it must work.
        if hunks.is_empty() && move_to.is_none() {
            return Err(ParseError::EmptyUpdate {
                line,
                path: path.to_owned(),
            });
        }
        Ok(FileOp::Update {
            path: path.to_owned(),
            move_to,
            hunks,
        })
    }

    fn hunk(&mut self, first: bool) -> Result<Hunk, ParseError> {
        let header = self.marker(first)?;
        let start = self.at;
        let mut hunk = Hunk {
            header,
            ..Hunk::default()
        };
        while let Some(line) = self.peek() {
            if line == AT_END && self.at > start {
                self.at += 1;
                hunk.at_end = true;
                break;
            }
            let Some(line) = change(line) else { break };
            hunk.lines.push(line);
            self.at += 1;
        }
        if hunk.lines.is_empty() {
            return Err(self.no_change());
        }
        drop_separators(&mut hunk.lines, &self.lines[start..self.at]);
        Ok(hunk)
    }

    /// Takes the `@@` line, which only a file's first hunk may lack.
    fn marker(&mut self, first: bool) -> Result<Option<String>, ParseError> {
        let line = self.peek().unwrap_or_default();
        let header = match line.strip_prefix("@@") {
            Some("") => None,
            Some(rest) if rest.starts_with(' ') => {
                let header = &rest[1..];
                (!header.trim().is_empty()).then(|| header.to_owned())
            }
            _ if first => return Ok(None),
            _ => {
                return Err(ParseError::NoMarker {
                    line: self.number(),
                    found: line.to_owned(),
                });
            }
        };
        self.at += 1;
        Ok(header)
    }

    fn no_change(&self) -> ParseError {
        let line = self.number();
        match self.peek() {
            Some(found) if !found.starts_with("***") => ParseError::NotAChange {
                line,
                found: found.to_owned(),
            },
            _ => ParseError::EmptyHunk { line },
        }
    }
}

fn change(line: &str) -> Option<HunkLine> {
    match line.chars().next() {
        None => Some(HunkLine::Context(String::new())),
        Some(' ') => Some(HunkLine::Context(line[1..].to_owned())),
        Some('-') => Some(HunkLine::Remove(line[1..].to_owned())),
        Some('+') => Some(HunkLine::Add(line[1..].to_owned())),
        Some(_) => None,
    }
}

/// Takes empty lines off the end of a hunk that otherwise only adds.
///
/// They separate it from what follows. Taken as context they would pull the added lines to
/// whatever blank line the file happens to have first.
fn drop_separators(lines: &mut Vec<HunkLine>, raw: &[&str]) {
    let added = lines
        .iter()
        .take_while(|line| matches!(line, HunkLine::Add(_)))
        .count();
    if added > 0 && raw[added..lines.len()].iter().all(|line| line.is_empty()) {
        lines.truncate(added);
    }
}
