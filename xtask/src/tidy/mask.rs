//! Blanks out comments and literals of Rust source, so that a plain search sees code only.
//!
//! A scanner, not a parser: it needs to know where text begins and ends and nothing else, and a
//! parser would be compiled before every test run.

/// Returns the source with every comment, string and character literal replaced by spaces.
///
/// Line breaks stay, so that line numbers and lengths still hold.
pub(super) fn mask(source: &str) -> String {
    let mut scanner = Scanner {
        rest: source,
        previous: ' ',
        output: String::new(),
    };
    while !scanner.rest.is_empty() {
        match scanner.literal_length() {
            Some(length) => scanner.blank(length),
            None => scanner.keep(),
        }
    }
    scanner.output
}

struct Scanner<'a> {
    rest: &'a str,
    previous: char,
    output: String,
}

impl Scanner<'_> {
    /// The length of the comment or literal that begins here.
    fn literal_length(&self) -> Option<usize> {
        let rest = self.rest;
        if rest.starts_with("//") {
            return Some(rest.find('\n').unwrap_or(rest.len()));
        }
        if rest.starts_with("/*") {
            return Some(block_comment_length(rest));
        }
        if rest.starts_with('"') {
            return Some(quoted_length(rest, '"'));
        }
        if rest.starts_with('\'') {
            return character_length(rest);
        }
        if is_word(self.previous) {
            return None;
        }
        raw_string_length(rest)
    }

    fn keep(&mut self) {
        let Some(next) = self.rest.chars().next() else {
            return;
        };
        self.output.push(next);
        self.previous = next;
        self.rest = &self.rest[next.len_utf8()..];
    }

    fn blank(&mut self, length: usize) {
        let (text, rest) = self.rest.split_at(length);
        self.output.extend(
            text.chars()
                .map(|each| if each == '\n' { '\n' } else { ' ' }),
        );
        self.previous = ' ';
        self.rest = rest;
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Block comments nest.
fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let tail = &rest.as_bytes()[at..];
        if tail.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length up to the closing quote, which a backslash hides.
fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, each) in rest.char_indices().skip(1) {
        if !escaped && each == quote {
            return at + 1;
        }
        escaped = each == '\\' && !escaped;
    }
    rest.len()
}

/// The length of a character literal; `None` for a lifetime or a label.
fn character_length(rest: &str) -> Option<usize> {
    let mut following = rest[1..].chars();
    let first = following.next()?;
    if first == '\\' {
        return Some(quoted_length(rest, '\''));
    }
    (following.next() == Some('\'')).then(|| first.len_utf8() + 2)
}

/// The length of `r"…"`, `r#"…"#`, `br"…"` or `cr"…"`; `None` for `r#name` and for names.
fn raw_string_length(rest: &str) -> Option<usize> {
    let body = rest
        .strip_prefix(['b', 'c'])
        .unwrap_or(rest)
        .strip_prefix('r')?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let text = body[hashes..].strip_prefix('"')?;
    let closing = format!("\"{}", "#".repeat(hashes));
    let before = rest.len() - text.len();
    Some(
        text.find(&closing)
            .map_or(rest.len(), |at| before + at + closing.len()),
    )
}

#[cfg(test)]
mod tests {
    use super::mask;

    fn check(source: &str, expected: &str) {
        assert_eq!(mask(source), expected);
        assert_eq!(mask(source).lines().count(), source.lines().count());
    }

    #[test]
    fn comments_are_blank() {
        check("a // {\nb", "a     \nb");
        check("a /* { /* } */ { */ b", "a                   b");
        check("a /* never closed {", "a                  ");
    }

    #[test]
    fn strings_are_blank_and_their_lines_stay() {
        check(r#"f("{ \" }") {"#, "f(        ) {");
        check("f(\"a\n{\\\\\") }", "f(  \n    ) }");
        check("f(b\"{\")", "f(b   )");
    }

    #[test]
    fn raw_strings_end_with_their_own_hashes() {
        check(r##"f(r#"{ " }"#) {"##, "f(          ) {");
        check(r#"f(br"\") {"#, "f(     ) {");
        check("r#fn() var\"{\"", "r#fn() var   ");
    }

    #[test]
    fn characters_are_blank_and_lifetimes_stay() {
        check("'{' '\\'' '\\u{7d}' 'é' {", "                      {");
        check("<'a> 'b: {", "<'a> 'b: {");
    }
}
