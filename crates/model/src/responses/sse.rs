//! The event-stream format: bytes in, `(event name, data)` out.
//!
//! Written here rather than taken from `sse-stream` for three reasons: one event must not grow
//! beyond a cap, the data is lent out of one buffer instead of being allocated per event (20,000
//! deltas in one reply are normal), and what stands unfinished at the end can be asked for.

/// An event grew beyond the cap.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EventTooLarge;

/// Decodes a stream that arrives in pieces of any size.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The line under way, when a piece ended inside it.
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    name: String,
    /// The last byte was a CR, so that an LF right after it belongs to it.
    after_cr: bool,
    first_line: bool,
    cap: usize,
}

impl Decoder {
    pub(super) fn new(cap: usize) -> Self {
        Self {
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            name: String::new(),
            after_cr: false,
            first_line: true,
            cap,
        }
    }

    /// Takes the next piece and hands every event that it completes to `each`.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(&str, &str),
    ) -> Result<(), EventTooLarge> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = bytes.iter().position(|b| matches!(b, b'\n' | b'\r')) else {
                self.line.extend_from_slice(bytes);
                break;
            };
            self.after_cr = bytes[end] == b'\r';
            if self.line.is_empty() {
                self.take_line(&bytes[..end], &mut each);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&bytes[..end]);
                self.take_line(&line, &mut each);
                line.clear();
                self.line = line;
            }
            self.check_size()?;
            bytes = &bytes[end + 1..];
        }
        self.check_size()
    }

    /// The data of the event that was under way when the stream ended, with its name.
    pub(super) fn unfinished(&mut self) -> Option<(String, String)> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.take_line(&line, &mut |_, _| {});
        }
        let data = String::from_utf8_lossy(&self.data).into_owned();
        (!data.is_empty()).then(|| (std::mem::take(&mut self.name), data))
    }

    fn check_size(&self) -> Result<(), EventTooLarge> {
        if self.line.len() + self.data.len() > self.cap {
            Err(EventTooLarge)
        } else {
            Ok(())
        }
    }

    fn take_line(&mut self, mut line: &[u8], each: &mut impl FnMut(&str, &str)) {
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch(each);
        }
        let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            b"event" => {
                self.name.clear();
                self.name.push_str(&String::from_utf8_lossy(value));
            }
            // Comments (an empty name), ids, retry times and names to come.
            _ => {}
        }
    }

    fn dispatch(&mut self, each: &mut impl FnMut(&str, &str)) {
        if !self.data.is_empty() {
            each(&self.name, &String::from_utf8_lossy(&self.data));
        }
        self.data.clear();
        self.name.clear();
        self.has_data = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&[u8]]) -> Vec<String> {
        let mut decoder = Decoder::new(1 << 20);
        let mut events = Vec::new();
        for piece in pieces {
            decoder
                .push(piece, |name, data| events.push(format!("{name}|{data}")))
                .unwrap();
        }
        events
    }

    fn check(text: &str, expected: &[&str]) {
        let bytes = text.as_bytes();
        assert_eq!(decode(&[bytes]), expected, "in one piece");
        for at in 0..=bytes.len() {
            assert_eq!(
                decode(&[&bytes[..at], &bytes[at..]]),
                expected,
                "split at byte {at}"
            );
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(decode(&single), expected, "byte by byte");
    }

    #[test]
    fn all_line_ends_are_known() {
        for end in ["\n", "\r\n", "\r"] {
            let text = "event: a\ndata: 1\n\ndata: 2\n\n".replace('\n', end);
            // A lone CR at the very end is a whole line end.
            check(&text, &["a|1", "|2"]);
        }
    }

    #[test]
    fn a_byte_order_mark_and_comments_are_skipped() {
        check(
            "\u{feff}data: 1\n\n: hello\n\n:\ndata: 2\n\n",
            &["|1", "|2"],
        );
    }

    #[test]
    fn data_lines_join_and_empty_events_vanish() {
        check(
            "data: a\ndata:b\ndata\n\nevent: x\n\nid: 3\n\ndata:\n\n",
            &["|a\nb\n"],
        );
    }

    #[test]
    fn text_split_inside_a_character_survives() {
        check("data: grün 🦀\n\n", &["|grün 🦀"]);
    }

    #[test]
    fn the_unfinished_event_can_be_asked_for() {
        let mut decoder = Decoder::new(99);
        decoder
            .push(b"event: e\ndata: 1\ndata: 2", |_, _| panic!("no event yet"))
            .unwrap();
        assert_eq!(decoder.unfinished(), Some(("e".into(), "1\n2".into())));
    }

    #[test]
    fn an_event_beyond_the_cap_is_refused_however_it_arrives() {
        for text in [
            "data: 0123456789",
            "data: 0123\ndata: 45678\n",
            "event: 012345678901234",
        ] {
            for size in [1, 3, 99] {
                let mut decoder = Decoder::new(9);
                let result = text
                    .as_bytes()
                    .chunks(size)
                    .try_for_each(|p| decoder.push(p, |_, _| {}));
                assert_eq!(result, Err(EventTooLarge), "{text} in pieces of {size}");
            }
        }
    }
}
