//! Splits an answer into clauses of words. Code blocks and quotations are not the answer's own words.

use std::ops::Range;

/// Words of a clause beyond these are not read; nobody writes such a clause.
const MOST_TOKENS: usize = 400;

/// A clause with its place in the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) span: Range<usize>,
    pub(super) tokens: Vec<Token>,
    /// Whether the sentence asks.
    pub(super) is_question: bool,
    /// Whether it begins a sentence or item, and not goes on after a `but`.
    pub(super) is_first: bool,
}

/// A word or a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A word in lower case, marks of emphasis removed.
    Word(String),
    /// What stands between backticks.
    Code(String),
    /// A number; `180/180` is two with a slash.
    Number(u64),
    /// A check mark.
    Tick,
    /// A cross.
    Cross,
    /// `,`, `:`, `(`, `)`, `|`, `/`, `-` as a dash, …
    Mark(char),
}

impl Token {
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found == word)
    }

    /// Whether it is one of some words, which stand in one text.
    pub(super) fn is_one_of(&self, words: &str) -> bool {
        matches!(self, Self::Word(found) if is_in(words, found))
    }
}

/// Whether a word is one of a list, whose words stand in one text.
pub(super) fn is_in(words: &str, word: &str) -> bool {
    words.split_ascii_whitespace().any(|each| each == word)
}

/// The clauses of an answer, in order.
pub(super) fn clauses(answer: &str) -> Vec<Clause> {
    let mut clauses = Vec::new();
    let mut fence: Option<&str> = None;
    let mut at = 0;
    for line in answer.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let text = line.trim();
        let mark = ["```", "~~~"]
            .into_iter()
            .find(|mark| text.starts_with(mark));
        match (fence, mark) {
            (Some(open), Some(mark)) if open == mark => fence = None,
            (Some(_), _) => {}
            (None, Some(mark)) => fence = Some(mark),
            (None, None) if text.starts_with('>') || is_open_box(text) => {}
            (None, None) => sentences(line, start, &mut clauses),
        }
    }
    clauses
}

/// A box of a list that is not checked.
fn is_open_box(line: &str) -> bool {
    ["- [ ]", "* [ ]", "+ [ ]"]
        .iter()
        .any(|mark| line.starts_with(mark))
}

/// Splits a line, whose place in the answer is `start`.
fn sentences(line: &str, start: usize, clauses: &mut Vec<Clause>) {
    let mut clause = Clause {
        is_first: true,
        ..Clause::default()
    };
    let mut from = None;
    let mut rest = line;
    let end = |clause: &mut Clause,
               from: &mut Option<usize>,
               at: usize,
               clauses: &mut Vec<Clause>,
               is_first| {
        if let Some(from) = from.take() {
            clause.span = start + from..start + at;
            clauses.push(std::mem::take(clause));
        }
        clause.is_first = is_first;
    };
    while let Some(char) = rest.chars().next() {
        let at = line.len() - rest.len();
        let (token, length) = token(rest, char);
        rest = &rest[length..];
        let ends_sentence = matches!(char, '.' | '!' | '?' | ';')
            && (rest.is_empty()
                || rest.starts_with(char::is_whitespace)
                || rest.starts_with(['*', '_', ')', '【']));
        if ends_sentence {
            clause.is_question = char == '?';
            end(&mut clause, &mut from, at + length, clauses, true);
            continue;
        }
        let Some(token) = token else { continue };
        let is_all_but = token.is("but")
            && clause
                .tokens
                .last()
                .is_some_and(|last| last.is_one_of("all everything"));
        if !is_all_but && token.is_one_of("but however although though whereas yet except") {
            end(&mut clause, &mut from, at, clauses, false);
        }
        from.get_or_insert(at);
        if clause.tokens.len() < MOST_TOKENS {
            clause.tokens.push(token);
        }
    }
    end(&mut clause, &mut from, line.trim_end().len(), clauses, true);
}

/// The token that a text begins with, and how long it is.
fn token(text: &str, char: char) -> (Option<Token>, usize) {
    match char {
        '`' => code(text),
        '【' => (
            None,
            within(text, "】").map_or(char.len_utf8(), |at| at + '】'.len_utf8()),
        ),
        '✅' | '✓' | '✔' | '☑' | '🟢' | '🎉' => (Some(Token::Tick), char.len_utf8()),
        '❌' | '✗' | '✘' | '✖' | '🔴' | '🚫' => (Some(Token::Cross), char.len_utf8()),
        '[' if text.starts_with("[x]") || text.starts_with("[X]") => (Some(Token::Tick), 3),
        _ if char.is_ascii_digit() => number(text),
        _ if char.is_alphabetic() => word(text),
        '-' if text[1..].starts_with(|next: char| next.is_ascii_alphanumeric() || next == '-') => {
            word(text)
        }
        ',' | ':' | '(' | ')' | '|' | '/' | '-' | '–' | '—' | '%' | '+' | '"' | '=' => {
            (Some(Token::Mark(char)), char.len_utf8())
        }
        _ => (None, char.len_utf8()),
    }
}

/// Where a text has a mark, not far from its beginning: what never ends must not be searched again
/// and again.
fn within(text: &str, mark: &str) -> Option<usize> {
    const MOST_BYTES: usize = 4096;
    crate::report::cut(text, MOST_BYTES).find(mark)
}

fn code(text: &str) -> (Option<Token>, usize) {
    let ticks = text.len() - text.trim_start_matches('`').len();
    let mark = &text[..ticks];
    match within(&text[ticks..], mark) {
        Some(length) => {
            let inside = text[ticks..ticks + length].trim();
            (Some(Token::Code(inside.to_owned())), length + 2 * ticks)
        }
        None => (None, ticks),
    }
}

fn number(text: &str) -> (Option<Token>, usize) {
    let end = text
        .find(|char: char| !char.is_ascii_digit() && char != ',' && char != '.')
        .unwrap_or(text.len());
    let digits = text[..end].trim_end_matches(['.', ',']);
    // `0.3s`, `2nd` and versions are words.
    let rest = &text[digits.len()..];
    let whole = digits.replace(',', "");
    match whole.parse() {
        Ok(number) if !rest.starts_with(char::is_alphanumeric) => {
            (Some(Token::Number(number)), digits.len())
        }
        _ => word(text),
    }
}

fn word(text: &str) -> (Option<Token>, usize) {
    let is_inside =
        |char: char| char.is_alphanumeric() || matches!(char, '-' | '_' | '\'' | '’' | '.' | '=');
    let end = text
        .find(|char: char| !is_inside(char))
        .unwrap_or(text.len());
    let word = text[..end].trim_end_matches(['.', '-', '\'', '’', '_', '=']);
    let length = word.len().max(1);
    let word = word.to_lowercase().replace('’', "'");
    (Some(Token::Word(word)), length)
}

#[cfg(test)]
mod tests {
    use super::{Token, clauses};

    fn check(answer: &str, expected: &[&str]) {
        let found: Vec<&str> = clauses(answer)
            .iter()
            .map(|clause| &answer[clause.span.clone()])
            .collect();
        assert_eq!(found, expected, "{answer:?}");
    }

    #[test]
    fn sentences_lines_and_turns_are_clauses() {
        check(
            "Done. All 1,234 tests pass!",
            &["Done.", "All 1,234 tests pass!"],
        );
        check(
            "- `a. b` passes\n- it fails",
            &["- `a. b` passes", "- it fails"],
        );
        check(
            "Took 0.3s in a.rs but fails",
            &["Took 0.3s in a.rs ", "but fails"],
        );
        check("**Passes.** Yes", &["Passes.", "Yes"]);
    }

    #[test]
    fn code_blocks_and_quotations_are_left_out() {
        check(
            "a\n```\ntests pass\n```\n> tests pass\nb\n~~~\nc",
            &["a", "b"],
        );
    }

    #[test]
    fn numbers_words_and_marks_are_told_apart() {
        let tokens = &clauses("✅ 1,234 of 2nd **Clippy** don’t 【F:a†L1】 --all [x]")[0].tokens;
        let word = |text: &str| Token::Word(text.to_owned());
        assert_eq!(
            tokens,
            &[
                Token::Tick,
                Token::Number(1234),
                word("of"),
                word("2nd"),
                word("clippy"),
                word("don't"),
                word("--all"),
                Token::Tick,
            ]
        );
    }
}
