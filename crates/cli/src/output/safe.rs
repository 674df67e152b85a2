//! Makes text from outside safe to print on a terminal.

/// Whether a character may change what a terminal shows around it.
fn is_dangerous(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        // Marks that turn the direction of text, or hide it.
        '\u{061c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => true,
        c => c.is_control(),
    }
}

/// The text with escape sequences taken out and other control characters made visible.
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            // A progress bar's carriage return begins the line anew.
            '\r' => {
                if chars.peek().is_some_and(|&next| next != '\n') {
                    out.push('\n');
                }
            }
            c if is_dangerous(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The same on one line with single spaces, at most `width` characters.
pub fn safe_line(text: &str, width: usize) -> String {
    cut(
        &safe(text).split_whitespace().collect::<Vec<_>>().join(" "),
        width,
    )
}

/// The text, at most `width` characters of it.
pub fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let mut cut: String = line.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Skips what follows an escape character: CSI and other sequences up to their final byte,
/// strings (OSC, DCS, …) up to their terminator.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => {
            for c in chars.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&c) {
                    break;
                }
            }
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' {
                    break;
                }
                if c == '\u{1b}' {
                    chars.next();
                    break;
                }
            }
        }
        // Two-character sequences; charset selections take one more.
        Some('(' | ')' | '*' | '+' | '#') => {
            chars.next();
        }
        Some(_) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        let check = |input: &str, expected: &str| assert_eq!(safe(input), expected, "{input:?}");
        check("plain ä\n\ttext", "plain ä\n\ttext");
        check("\u{1b}[31mred\u{1b}[0m", "red");
        check("\u{1b}]52;c;ZXZpbA==\u{7}x", "x");
        check(
            "\u{1b}]8;;http://evil\u{1b}\\link\u{1b}]8;;\u{1b}\\",
            "link",
        );
        check("a\u{8}b\u{7}", "a\u{fffd}b\u{fffd}");
        check("10%\r20%\r\ndone", "10%\n20%\ndone");
        check("\u{202e}drow", "\u{fffd}drow");
        check("\u{9b}31m", "\u{fffd}31m");
        check("\u{1b}", "");
        check("\u{1b}[999", "");
    }

    #[test]
    fn of_what_is_given_from_outside_nothing_but_text_is_left() {
        for case in recto_testkit::given("display_and_egress.json").unwrap_or_default() {
            if case["kind"] != "terminal" {
                continue;
            }
            let shown = safe(case["payload"].as_str().unwrap());
            let bad = shown.chars().find(|&c| is_dangerous(c));
            assert_eq!(bad, None, "{}: {shown:?}", case["id"]);
        }
    }

    #[test]
    fn lines_are_cut_to_a_width() {
        assert_eq!(safe_line("a  b\nc", 80), "a b c");
        assert_eq!(safe_line("abcdef", 4), "abc…");
    }
}
