//! Writes citations so that they read well in a terminal.

use crate::citation::parse;

/// The answer with every citation in brackets for people: `(src/lib.rs:3-9)`, `(output 1a2b3c:1)`.
///
/// What is no citation stays as it is, control characters included: making text safe for a
/// terminal is the terminal surface's work.
pub fn plain(answer: &str) -> String {
    let mut text = String::with_capacity(answer.len());
    let mut copied = 0;
    for found in parse(answer) {
        text.push_str(&answer[copied..found.span.start]);
        text.push_str(&format!("({})", found.citation));
        copied = found.span.end;
    }
    text.push_str(&answer[copied..]);
    text
}
