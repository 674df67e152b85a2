//! Resolves citations: does the cited text exist, does it say anything, is it still current?

use std::collections::HashMap;
use std::ops::Range;

use recto_protocol::ChunkId;

use crate::citation::{Citation, Lines, Target, malformed, parse};

/// Most bytes of cited text that an excerpt keeps.
const EXCERPT_BYTES: usize = 4096;

/// Where cited texts come from.
///
/// Paths are the model's words: an implementation must look them up in the answer's commit, or
/// refuse absolute paths, `..` and symlinks that leave the work tree.
pub trait Lookup {
    /// The text of a file, or none when there is no such file.
    fn file(&self, path: &str) -> Option<String>;

    /// A command's output, or none when there is no such chunk.
    fn chunk(&self, id: &ChunkId) -> Option<ChunkText>;
}

/// A command's output, as citations are checked against it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChunkText {
    /// The output.
    pub text: String,
    /// Whether the command ran before the last change to files.
    pub stale: bool,
}

/// What became of a citation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The cited lines exist and say something.
    Holds,
    /// The file or chunk has fewer lines, or the range is empty or begins at zero.
    OutOfRange {
        /// How many lines there are.
        lines: u64,
    },
    /// There is no such file or chunk.
    NotFound,
    /// All cited lines are empty or white space.
    Blank,
    /// The cited command ran before the last change to files.
    Stale,
}

/// One citation of an answer with its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The citation.
    pub citation: Citation,
    /// Its bytes in the answer.
    pub span: Range<usize>,
    /// What became of it.
    pub verdict: Verdict,
    /// The cited lines, cut at 4 KiB; empty where there are none.
    pub excerpt: String,
}

/// All citations of an answer with their verdicts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The citations, in order.
    pub citations: Vec<Checked>,
    /// Spans that begin like a citation and are none.
    pub malformed: Vec<Range<usize>>,
}

impl Report {
    /// Whether every citation holds and none is malformed. True of an answer without citations.
    pub fn all_hold(&self) -> bool {
        self.malformed.is_empty()
            && self
                .citations
                .iter()
                .all(|checked| checked.verdict == Verdict::Holds)
    }
}

/// Checks all citations of an answer. Each file and chunk is looked up once.
pub fn check(answer: &str, lookup: &impl Lookup) -> Report {
    let mut texts: HashMap<Target, Option<Text>> = HashMap::new();
    let citations = parse(answer)
        .into_iter()
        .map(|found| {
            let text = texts
                .entry(found.citation.target.clone())
                .or_insert_with(|| Text::find(&found.citation.target, lookup));
            let (verdict, excerpt) = judge(found.citation.lines, text.as_ref());
            Checked {
                citation: found.citation,
                span: found.span,
                verdict,
                excerpt,
            }
        })
        .collect();
    Report {
        citations,
        malformed: malformed(answer),
    }
}

/// Gives one citation its verdict.
pub fn resolve(citation: &Citation, lookup: &impl Lookup) -> Verdict {
    judge(
        citation.lines,
        Text::find(&citation.target, lookup).as_ref(),
    )
    .0
}

/// A cited text with the places where its lines begin.
struct Text {
    text: String,
    starts: Vec<usize>,
    stale: bool,
    /// For each line, how many lines up to it say something: makes *blank* a subtraction, so that
    /// many citations of one large text stay cheap.
    telling: Vec<usize>,
}

impl Text {
    fn find(target: &Target, lookup: &impl Lookup) -> Option<Self> {
        let ChunkText { text, stale } = match target {
            Target::File(path) => ChunkText {
                text: lookup.file(path)?,
                stale: false,
            },
            Target::Chunk(id) => lookup.chunk(id)?,
        };
        let (mut starts, mut telling) = (Vec::new(), vec![0]);
        let (mut at, mut count) = (0, 0);
        for line in text.split_inclusive('\n') {
            starts.push(at);
            at += line.len();
            count += usize::from(!line.trim().is_empty());
            telling.push(count);
        }
        Some(Self {
            text,
            starts,
            stale,
            telling,
        })
    }

    fn excerpt(&self, first: usize, last: usize) -> String {
        let start = self.starts[first];
        let end = self
            .starts
            .get(last + 1)
            .copied()
            .unwrap_or(self.text.len());
        let cut = self
            .text
            .floor_char_boundary(end.min(start + EXCERPT_BYTES));
        self.text[start..cut].to_owned()
    }
}

fn judge(lines: Lines, text: Option<&Text>) -> (Verdict, String) {
    let Some(text) = text else {
        return (Verdict::NotFound, String::new());
    };
    let count = text.starts.len() as u64;
    if lines.first == 0 || lines.first > lines.last || lines.last > count {
        return (Verdict::OutOfRange { lines: count }, String::new());
    }
    // Both are within 1..=count, and count is the length of a vector.
    #[allow(clippy::cast_possible_truncation)]
    let (first, last) = (lines.first as usize - 1, lines.last as usize - 1);
    let excerpt = text.excerpt(first, last);
    if text.telling[last + 1] == text.telling[first] {
        (Verdict::Blank, excerpt)
    } else if text.stale {
        (Verdict::Stale, excerpt)
    } else {
        (Verdict::Holds, excerpt)
    }
}
