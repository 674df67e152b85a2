//! Lines as the parsers see them: without escape sequences and overwritten text, and not too long.

use std::borrow::Cow;

/// What is read of a line. Runners write no longer ones where it matters.
const LINE_BYTES: usize = 16 << 10;

/// The lines of an output, cleaned.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.split('\n').map(clean)
}

/// The beginning of a text, on a character boundary.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Splits `2 failed, 5 passed` into numbers and words; parts of another form are passed over.
pub(super) fn counts(text: &str, separator: char) -> impl Iterator<Item = (u64, &str)> {
    text.split(separator).filter_map(|part| {
        let (number, word) = part.trim().split_once(' ')?;
        Some((number.parse().ok()?, word.trim()))
    })
}

/// Splits `path:12` or `path:12:5`, as in traces, into path and line.
pub(super) fn place(text: &str) -> Option<(&str, u64)> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (rest, last) = text.rsplit_once(':')?;
    if !is_number(last) {
        return None;
    }
    let (path, line) = match rest.rsplit_once(':') {
        Some((path, line)) if is_number(line) => (path, line),
        _ => (rest, last),
    };
    let path = path.strip_prefix("file://").unwrap_or(path);
    if path.is_empty() {
        return None;
    }
    Some((path, line.parse().ok()?))
}

/// The number of spaces that a line begins with.
pub(super) fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn clean(line: &str) -> Cow<'_, str> {
    let line = cut(line, LINE_BYTES).trim_end_matches('\r');
    // What a carriage return overwrites is not seen in a terminal either.
    let line = line.rsplit_once('\r').map_or(line, |(_, last)| last);
    match line.contains('\u{1b}') {
        true => Cow::Owned(without_escapes(line)),
        false => Cow::Borrowed(line),
    }
}

/// Drops CSI and OSC sequences and other two-character escapes.
fn without_escapes(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('\u{1b}') {
        text.push_str(&rest[..at]);
        rest = after_escape(&rest[at + 1..]);
    }
    text.push_str(rest);
    text
}

fn after_escape(rest: &str) -> &str {
    let end = match rest.chars().next() {
        Some('[') => rest[1..]
            .find(|c: char| ('\u{40}'..='\u{7e}').contains(&c))
            .map(|at| at + 2),
        // Ends with a bell or with `ESC \`; another escape ends it as well.
        Some(']') => rest
            .find(['\u{7}', '\u{1b}'])
            .map(|at| match &rest.as_bytes()[at..] {
                [0x1b, b'\\', ..] => at + 2,
                [0x1b, ..] => at,
                _ => at + 1,
            }),
        Some(other) => Some(other.len_utf8()),
        None => None,
    };
    end.map_or("", |end| &rest[end..])
}

#[cfg(test)]
mod tests {
    use super::{clean, counts, place};

    #[test]
    fn escapes_and_overwritten_text_are_dropped() {
        for (line, expected) in [
            ("plain", "plain"),
            ("\u{1b}[1m\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]8;;file:///a\u{7}link\u{1b}]8;;\u{1b}\\", "link"),
            ("10%\r100%", "100%"),
            ("windows\r", "windows"),
            ("cut \u{1b}[31", "cut "),
            ("cut \u{1b}", "cut "),
            ("\u{1b}ünder", "nder"),
        ] {
            assert_eq!(clean(line), expected, "{line:?}");
        }
    }

    #[test]
    fn an_escape_that_never_ends_takes_its_line_only() {
        let line = "\u{1b}]".repeat(100_000);
        assert_eq!(clean(&line), "");
    }

    #[test]
    fn numbers_are_read_with_their_words() {
        let found: Vec<_> = counts("2 failed, 5 passed,, x y, 1", ',').collect();
        assert_eq!(found, [(2, "failed"), (5, "passed")]);
    }

    #[test]
    fn places_have_a_line_and_perhaps_a_column() {
        assert_eq!(place("a/b.rs:3:9"), Some(("a/b.rs", 3)));
        assert_eq!(place("file:///a.mjs:3:9"), Some(("/a.mjs", 3)));
        assert_eq!(place("a.py:3"), Some(("a.py", 3)));
        assert_eq!(place("a.py:"), None);
        assert_eq!(place(":3"), None);
        assert_eq!(place("12:30 o'clock"), None);
    }
}
