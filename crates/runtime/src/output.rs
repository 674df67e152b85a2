//! What a model is shown of a command's output: the head and the tail within a limit, cut on
//! character boundaries, with a notice of what was left out and where to read it.

use std::collections::VecDeque;

/// Bytes per token, roughly.
pub(crate) const BYTES_PER_TOKEN: usize = 4;
/// Most tokens of output that one call returns.
pub(crate) const MAX_TOKENS: usize = 10_000;
const HALF: usize = MAX_TOKENS * BYTES_PER_TOKEN / 2;

/// Collects output between two looks at it, in bounded memory.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    /// Bytes seen since the last look.
    total: u64,
    /// Line breaks seen since the last look.
    breaks: u64,
    /// Line breaks seen before the last look, so that lines can be named by their number.
    breaks_before: u64,
    /// Line breaks in the head.
    head_breaks: u64,
    last_byte: Option<u8>,
}

/// A piece of output as the model is shown it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) text: String,
    /// Tokens of the whole, roughly.
    pub(crate) tokens: u64,
}

impl Capture {
    /// Takes in bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let Some(&last) = bytes.last() else { return };
        self.last_byte = Some(last);
        self.total += bytes.len() as u64;
        let breaks = count_breaks(bytes);
        self.breaks += breaks;
        let room = HALF - self.head.len();
        if room >= bytes.len() {
            self.head.extend_from_slice(bytes);
            self.head_breaks += breaks;
            return;
        }
        let (head, rest) = bytes.split_at(room);
        self.head.extend_from_slice(head);
        self.head_breaks += count_breaks(head);
        let rest = &rest[rest.len().saturating_sub(HALF)..];
        let excess = (self.tail.len() + rest.len()).saturating_sub(HALF);
        self.tail.drain(..excess);
        self.tail.extend(rest);
    }

    /// Takes note of bytes that were dropped before they came here.
    pub(crate) fn skip(&mut self, bytes: u64) {
        self.total += bytes;
        if bytes > 0 {
            self.tail.clear();
        }
    }

    /// Lines seen in all, the unfinished last one included.
    pub(crate) fn lines(&self) -> u64 {
        let unfinished = self.last_byte.is_some_and(|byte| byte != b'\n');
        self.breaks_before + self.breaks + u64::from(unfinished)
    }

    /// Shows what came since the last look, within `max_tokens`, and begins anew.
    pub(crate) fn take(&mut self, max_tokens: Option<usize>, chunk: Option<&str>) -> Shown {
        let limit = max_tokens.unwrap_or(MAX_TOKENS).clamp(16, MAX_TOKENS) * BYTES_PER_TOKEN;
        let kept = self.head.len() + self.tail.len();
        let tokens = self.total.div_ceil(BYTES_PER_TOKEN as u64);
        let text = if self.total == kept as u64 && kept <= limit {
            let mut whole = std::mem::take(&mut self.head);
            whole.extend(self.tail.drain(..));
            String::from_utf8_lossy(&whole).into_owned()
        } else {
            self.cut(limit / 2, chunk)
        };
        let text = without_nul(text);
        *self = Self {
            breaks_before: self.breaks_before + self.breaks,
            last_byte: self.last_byte,
            ..Self::default()
        };
        Shown { text, tokens }
    }

    fn cut(&mut self, half: usize, chunk: Option<&str>) -> String {
        let mut rest = std::mem::take(&mut self.head);
        let head_end = boundary_before(&rest, half.min(rest.len()));
        let head = rest[..head_end].to_vec();
        rest.drain(..head_end);
        rest.extend(self.tail.drain(..));
        let tail_start = boundary_after(&rest, rest.len().saturating_sub(half));
        let tail = &rest[tail_start..];
        let left_out = self.total - head.len() as u64 - tail.len() as u64;
        let first = self.breaks_before + count_breaks(&head) + 1;
        let last = self.breaks_before + self.breaks - count_breaks(tail) + 1;
        let how = chunk.map_or_else(String::new, |chunk| {
            format!("; read_chunk with chunk_id {chunk} reads them")
        });
        format!(
            "{}\n[… {left_out} bytes left out, lines {first} to {last} of {}{how} …]\n{}",
            String::from_utf8_lossy(&head),
            self.lines(),
            String::from_utf8_lossy(tail)
        )
    }
}

/// Makes NUL characters visible: binary output is full of them, and some providers refuse requests
/// that hold one.
pub(crate) fn without_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{2400}")
    } else {
        text
    }
}

fn count_breaks(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// Whether `byte` goes on with a character that began before it.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

fn boundary_before(bytes: &[u8], at: usize) -> usize {
    let from = at.saturating_sub(3);
    (from..=at)
        .rev()
        .find(|&i| i >= bytes.len() || !is_continuation(bytes[i]))
        .unwrap_or(at)
}

fn boundary_after(bytes: &[u8], at: usize) -> usize {
    let to = (at + 3).min(bytes.len());
    (at..=to)
        .find(|&i| i >= bytes.len() || !is_continuation(bytes[i]))
        .unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_output_is_whole() {
        let mut capture = Capture::default();
        capture.push(b"hi\n");
        assert_eq!(
            capture.take(None, None),
            Shown {
                text: "hi\n".into(),
                tokens: 1
            }
        );
        assert_eq!(capture.lines(), 1);
        capture.push(b"more");
        assert_eq!(capture.take(None, None).text, "more");
        assert_eq!(capture.lines(), 2);
    }

    #[test]
    fn nul_bytes_become_visible() {
        let mut capture = Capture::default();
        capture.push(b"a\0b");
        assert_eq!(capture.take(None, None).text, "a\u{2400}b");
        capture.push(&b"\0".repeat(3 * HALF));
        assert!(!capture.take(Some(50), None).text.contains('\0'));
    }

    #[test]
    fn long_output_keeps_head_and_tail() {
        let mut capture = Capture::default();
        for n in 1..=30_000 {
            capture.push(format!("line {n}\n").as_bytes());
        }
        let shown = capture.take(Some(50), Some("abc123"));
        assert!(shown.text.starts_with("line 1\nline 2\n"), "{}", shown.text);
        assert!(
            shown.text.ends_with("line 29999\nline 30000\n"),
            "{}",
            shown.text
        );
        assert!(
            shown
                .text
                .contains("of 30000; read_chunk with chunk_id abc123"),
            "{}",
            shown.text
        );
        assert!(shown.text.len() < 400);
    }

    #[test]
    fn cuts_never_split_a_character() {
        for limit in 16..64 {
            let mut capture = Capture::default();
            capture.push("€ä𝄞".repeat(200).as_bytes());
            let shown = capture.take(Some(limit), None);
            assert!(!shown.text.contains('\u{fffd}'), "{limit}: {}", shown.text);
        }
    }

    #[test]
    fn memory_stays_bounded() {
        let mut capture = Capture::default();
        for _ in 0..100 {
            capture.push(&vec![b'x'; 1 << 20]);
        }
        assert!(capture.head.capacity() + capture.tail.capacity() < 8 * HALF);
        assert_eq!(capture.take(None, None).tokens, (100 << 20) / 4);
    }
}
