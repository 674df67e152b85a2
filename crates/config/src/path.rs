//! Dotted keys.

use std::fmt;

/// A key with the tables around it, spelled canonically.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path(pub(crate) Vec<String>);

impl Path {
    pub(crate) fn of(segments: &[&str]) -> Self {
        Self(
            segments
                .iter()
                .map(|segment| (*segment).to_owned())
                .collect(),
        )
    }

    pub(crate) fn with(&self, name: &str) -> Self {
        let mut segments = self.0.clone();
        segments.push(name.to_owned());
        Self(segments)
    }

    /// For messages: unreasonably long names are cut.
    pub(crate) fn shown(&self) -> String {
        Self(self.0.iter().map(|segment| shorten(segment)).collect()).to_string()
    }

    pub(crate) fn segments(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

/// As it would be written in a file.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            f.write_str(&segment_text(segment))?;
        }
        Ok(())
    }
}

/// One segment, quoted where TOML wants it.
pub(crate) fn segment_text(segment: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !segment.is_empty() && segment.chars().all(bare) {
        segment.to_owned()
    } else {
        quote(segment)
    }
}

/// A basic TOML string in one line, safe for a terminal.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if unprintable(c) => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// `text` without anything that moves a terminal's cursor, for paths and parser messages.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        if unprintable(c) {
            cleaned.extend(c.escape_default());
        } else {
            cleaned.push(c);
        }
    }
    cleaned
}

/// Longest piece of foreign text that a message repeats.
const MOST: usize = 80;

/// At most [`MOST`] characters of `text`.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Control characters, and those that reorder the text around them.
fn unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_quoted_where_toml_wants_it() {
        assert_eq!(
            Path::of(&["models", "gpt-5.1", "images"]).to_string(),
            "models.\"gpt-5.1\".images"
        );
        assert_eq!(Path::of(&["a", ""]).to_string(), "a.\"\"");
    }

    #[test]
    fn quoted_text_is_one_printable_line_that_toml_reads_back() {
        let hostile = "a\"\\\n\r\t\u{1b}[2J\u{202e}\u{7f}é";
        let quoted = quote(hostile);
        assert!(!quoted.chars().any(unprintable));
        let read: toml::Table = format!("v = {quoted}").parse().unwrap();
        assert_eq!(read["v"].as_str(), Some(hostile));
    }
}
