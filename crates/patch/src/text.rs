//! Lines and their endings, so that what a patch does not touch keeps its bytes.

/// The mark some editors put before the first line; it is kept and never matched.
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

/// How one line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The last line of a text without a final newline.
    Missing,
    Lf,
    CrLf,
    Cr,
}

impl Ending {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Ending::Missing => "",
            Ending::Lf => "\n",
            Ending::CrLf => "\r\n",
            Ending::Cr => "\r",
        }
    }

    /// Returns the ending unless it is missing.
    pub(crate) fn present(self) -> Option<Ending> {
        (self != Ending::Missing).then_some(self)
    }
}

/// One line: what it says and how it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) content: &'a str,
    pub(crate) ending: Ending,
}

/// A file's text, split.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    pub(crate) has_mark: bool,
    pub(crate) lines: Vec<Line<'a>>,
}

impl<'a> Text<'a> {
    pub(crate) fn split(text: &'a str) -> Self {
        let body = text.strip_prefix(BYTE_ORDER_MARK);
        Text {
            has_mark: body.is_some(),
            lines: split_lines(body.unwrap_or(text)),
        }
    }

    /// Returns the ending most lines have; a line feed where none has one.
    pub(crate) fn usual_ending(&self) -> Ending {
        let count = |ending| {
            self.lines
                .iter()
                .filter(|line| line.ending == ending)
                .count()
        };
        let mut best = (count(Ending::Lf), Ending::Lf);
        for ending in [Ending::CrLf, Ending::Cr] {
            let found = count(ending);
            if found > best.0 {
                best = (found, ending);
            }
        }
        best.1
    }

    /// Says whether there is a last line and it has no ending.
    pub(crate) fn lacks_final_newline(&self) -> bool {
        self.lines
            .last()
            .is_some_and(|line| line.ending == Ending::Missing)
    }
}

/// Splits a text into lines; a final newline does not start another line.
///
/// A lone carriage return ends a line only in a text without any line feed. Elsewhere it is
/// content: splitting there would let a patch tear lines that every other tool sees as one.
pub(crate) fn split_lines(text: &str) -> Vec<Line<'_>> {
    let terminator = if text.contains('\n') || !text.contains('\r') {
        '\n'
    } else {
        '\r'
    };
    text.split_inclusive(terminator)
        .map(|raw| split_ending(raw, terminator))
        .collect()
}

fn split_ending(raw: &str, terminator: char) -> Line<'_> {
    let Some(content) = raw.strip_suffix(terminator) else {
        return Line {
            content: raw,
            ending: Ending::Missing,
        };
    };
    if terminator == '\r' {
        return Line {
            content,
            ending: Ending::Cr,
        };
    }
    match content.strip_suffix('\r') {
        Some(content) => Line {
            content,
            ending: Ending::CrLf,
        },
        None => Line {
            content,
            ending: Ending::Lf,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, Ending)]) {
        let lines: Vec<_> = split_lines(text)
            .into_iter()
            .map(|line| (line.content, line.ending))
            .collect();
        assert_eq!(lines, expected, "{text:?}");
    }

    #[test]
    fn every_kind_of_line() {
        check("", &[]);
        check("a", &[("a", Ending::Missing)]);
        check("\n", &[("", Ending::Lf)]);
        check(
            "a\r\nb\nc",
            &[
                ("a", Ending::CrLf),
                ("b", Ending::Lf),
                ("c", Ending::Missing),
            ],
        );
        check("a\rb\r", &[("a", Ending::Cr), ("b", Ending::Cr)]);
        check("a\rb\n", &[("a\rb", Ending::Lf)]);
    }

    #[test]
    fn the_usual_ending_is_the_majority() {
        assert_eq!(Text::split("").usual_ending(), Ending::Lf);
        assert_eq!(Text::split("a\r\nb\r\nc\n").usual_ending(), Ending::CrLf);
        assert_eq!(Text::split("a\r\nb\n").usual_ending(), Ending::Lf);
    }
}
