//! Paths of requests, and patterns over them.

use std::fmt;

/// A pattern over paths. `*` stands for any characters of one segment; as the last character it
/// stands for everything that follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern(String);

impl PathPattern {
    /// Reads a pattern; none when the text could never match.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let plain = plain_path(&text.replace('*', "x"))?;
        // What is decoded here would be decoded in requests too, and never match.
        (plain == text.replace('*', "x")).then(|| Self(text.to_owned()))
    }

    /// Whether a path, as [`plain_path`] gives it, fits.
    pub fn fits(&self, path: &str) -> bool {
        let (pattern, open) = match self.0.strip_suffix('*') {
            Some(pattern) => (pattern, true),
            None => (self.0.as_str(), false),
        };
        let mut wanted = pattern.split('/');
        let mut rest = path;
        let mut segment = wanted.next();
        while let Some(want) = segment {
            segment = wanted.next();
            let last = segment.is_none();
            if last && open {
                return starts(want, rest);
            }
            let (have, after) = match rest.split_once('/') {
                Some((have, after)) => (have, Some(after)),
                None => (rest, None),
            };
            if !matches(want, have) || last != after.is_none() {
                return false;
            }
            rest = after.unwrap_or_default();
        }
        true
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether some beginning of `rest` fits `pattern`, whose stars stay in the first segment.
fn starts(pattern: &str, rest: &str) -> bool {
    let segment = rest.split('/').next().unwrap_or_default();
    matches(&format!("{pattern}*"), segment)
}

/// Whether all of `text` fits `pattern`, in time proportional to the product of their lengths.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star, from)) = retry {
            retry = Some((star, from + 1));
            p = star + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// The path without needless percent-encoding; none where servers differ in what a path means.
///
/// Refused are relative segments and doubled slashes, also encoded or followed by parameters
/// (`..;x`), encoded slashes, percent signs and control characters, backslashes, and whatever may
/// not stand in a path at all.
pub fn plain_path(raw: &str) -> Option<String> {
    if !raw.starts_with('/') {
        return None;
    }
    let bytes = raw.as_bytes();
    let mut plain = String::with_capacity(raw.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let code = bytes.get(at + 1..at + 3)?;
            let value = hex(code[0])? << 4 | hex(code[1])?;
            match value {
                b'/' | b'\\' | b'%' | 0..=0x1f | 0x7f => return None,
                _ if unreserved(value) => plain.push(char::from(value)),
                _ => plain.push_str(&format!("%{value:02X}")),
            }
            at += 3;
        } else if unreserved(byte) || b"/!$&'()*+,;=:@".contains(&byte) {
            plain.push(char::from(byte));
            at += 1;
        } else {
            return None;
        }
    }
    let mut segments = plain[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let name = segment.split(';').next().unwrap_or_default();
        let empty = segment.is_empty() && segments.peek().is_some();
        if empty || name == "." || name == ".." {
            return None;
        }
    }
    Some(plain)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}
