//! What a command in a cell may do to the user's terminal: write, colour, move about, draw a whole
//! screen. What makes a terminal answer, speak to the clipboard, load, print, or change beyond the
//! command's end is left out; an allow-list, because terminals know more sequences than anyone lists.

use std::collections::BTreeSet;
use std::io::Write as _;

use vte::{Params, Parser, Perform};

/// Private modes that may be switched: cursor keys, reverse video, origin, wrapping, blinking and
/// hidden cursor, the other screen, mouse and focus reports (they go where the keys go),
/// bracketed paste, synchronised output.
const MODES: [u16; 19] = [
    1, 5, 6, 7, 12, 25, 47, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1047, 1048, 1049, 2004, 2026,
];
/// Those that are on in a terminal that nobody has touched.
const USUALLY_ON: [u16; 2] = [7, 25];

/// Passes on what is harmless of a stream of bytes for a terminal.
#[derive(Default)]
pub struct Filter {
    parser: Parser,
    screen: Screen,
}

#[derive(Default)]
struct Screen {
    out: Vec<u8>,
    /// Modes that are not as they usually are.
    changed: BTreeSet<u16>,
}

impl Filter {
    /// What is harmless of these bytes, and of those before that were not complete.
    pub fn pass(&mut self, bytes: &[u8]) -> &[u8] {
        self.screen.out.clear();
        self.parser.advance(&mut self.screen, bytes);
        &self.screen.out
    }

    /// What puts the terminal back as it usually is.
    pub fn finish(&mut self) -> &[u8] {
        let Screen { out, changed } = &mut self.screen;
        out.clear();
        for mode in std::mem::take(changed) {
            let letter = if USUALLY_ON.contains(&mode) { 'h' } else { 'l' };
            // Writing to memory does not fail.
            let _ = write!(out, "\x1b[?{mode}{letter}");
        }
        // Usual letters, colours, cursor, keypad and scrolling; the last homes the cursor, hence 7 and 8.
        out.extend_from_slice(b"\x0f\x1b(B\x1b[m\x1b[0 q\x1b>\x1b7\x1b[r\x1b8");
        out
    }
}

impl Perform for Screen {
    fn print(&mut self, c: char) {
        // C1 controls are sequences of their own to some terminals.
        if !('\u{7f}'..='\u{9f}').contains(&c) {
            self.out
                .extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    fn execute(&mut self, byte: u8) {
        // Bell, backspace, tab, line ends, the two character sets.
        if matches!(byte, 0x07..=0x0f) {
            self.out.push(byte);
        }
    }

    fn csi_dispatch(&mut self, params: &Params, marks: &[u8], ignore: bool, action: char) {
        if ignore || !is_harmless(params, marks, action) {
            return;
        }
        if (marks, action) == (b"?", 'h') || (marks, action) == (b"?", 'l') {
            self.switch(params, action);
            return;
        }
        self.out.extend_from_slice(b"\x1b[");
        // A private mark comes first, an intermediate one last.
        let (first, last): (&[u8], &[u8]) = if marks == b"?" {
            (marks, b"")
        } else {
            (b"", marks)
        };
        self.out.extend_from_slice(first);
        // A number that was left out is told as 0; some sequences are only known without any.
        let is_bare = params.len() == 1 && params.iter().flatten().eq([&0]);
        for (at, param) in params.iter().enumerate().skip(usize::from(is_bare)) {
            if at > 0 {
                self.out.push(b';');
            }
            for (at, number) in param.iter().enumerate() {
                let colon = if at > 0 { ":" } else { "" };
                let _ = write!(self.out, "{colon}{number}");
            }
        }
        self.out.extend_from_slice(last);
        self.out
            .extend_from_slice(action.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn esc_dispatch(&mut self, marks: &[u8], ignore: bool, byte: u8) {
        let is_harmless = match marks {
            // Save and restore the cursor, line feeds, tabs, the keypad.
            b"" => b"78DEHM=>".contains(&byte),
            // Latin, British and line-drawing letters.
            b"(" | b")" => b"BA0".contains(&byte),
            _ => false,
        };
        if is_harmless && !ignore {
            self.out.push(0x1b);
            self.out.extend_from_slice(marks);
            self.out.push(byte);
        }
    }
}

impl Screen {
    fn switch(&mut self, params: &Params, action: char) {
        for mode in params.iter().flatten().filter(|mode| MODES.contains(mode)) {
            if (action == 'h') == USUALLY_ON.contains(mode) {
                self.changed.remove(mode);
            } else {
                self.changed.insert(*mode);
            }
            let _ = write!(self.out, "\x1b[?{mode}{action}");
        }
    }
}

/// Whether a control sequence only writes, colours, erases or moves. Those that are left out ask for
/// an answer (`c n p x`), move the window or tell its title (`t`), print (`i`), or are unknown.
fn is_harmless(params: &Params, marks: &[u8], action: char) -> bool {
    match (marks, action) {
        (
            b"",
            '@' | 'A'..='M' | 'P' | 'S' | 'X' | 'Z' | '`' | 'a' | 'b' | 'd'..='g' | 'm' | 'r',
        ) => true,
        // With more numbers it begins to follow the mouse.
        (b"", 'T' | 's' | 'u') => params.len() <= 1,
        // Inserting instead of overwriting; nothing else.
        (b"", 'h' | 'l') => params.iter().flatten().all(|mode| *mode == 4),
        (b"?", 'h' | 'l' | 'J' | 'K') => true,
        // The cursor's shape; back to the usual state.
        (b" ", 'q') | (b"!", 'p') => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What passes is the same however the bytes are cut.
    fn check(input: &[u8], expected: &str) {
        for size in [1, 2, 3, input.len().max(1)] {
            let mut filter = Filter::default();
            let mut passed = Vec::new();
            for piece in input.chunks(size) {
                passed.extend_from_slice(filter.pass(piece));
            }
            let passed = String::from_utf8(passed).unwrap();
            assert_eq!(
                passed,
                expected,
                "{:?} by {size}",
                String::from_utf8_lossy(input)
            );
        }
    }

    #[test]
    fn screens_are_drawn() {
        for same in [
            "plain ä €\r\n\ttext\u{8}",
            "\u{1b}[1;31mred\u{1b}[m",
            "\u{1b}[38:2:1:2:3mcolour\u{1b}[4:3m",
            "\u{1b}[?1049h\u{1b}[2J\u{1b}[10;20H\u{1b}[K\u{1b}[?1049l",
            "\u{1b}[?25l\u{1b}[2;20r\u{1b}7\u{1b}8\u{1b}M",
            "\u{1b}(0lqqk\u{1b}(B",
            "\u{1b}[?2004h",
            "\u{1b}[4 q",
        ] {
            check(same.as_bytes(), same);
        }
    }

    #[test]
    fn nothing_makes_the_terminal_answer_or_act() {
        for hostile in [
            // Clipboard, title, link, colour query, notification, current directory.
            "\u{1b}]52;c;ZXZpbA==\u{7}",
            "\u{1b}]0;title\u{1b}\\",
            "\u{1b}]8;;http://evil\u{1b}\\",
            "\u{1b}]10;?\u{7}",
            "\u{1b}]777;notify;a;b\u{7}",
            "\u{1b}]7;file:///\u{7}",
            "\u{1b}]1337;File=:AAAA\u{7}",
            // Answers: device, status, cursor, mode, parameters, terminal's settings, name.
            "\u{1b}[c",
            "\u{1b}[>c",
            "\u{1b}[=c",
            "\u{1b}Z",
            "\u{1b}[5n",
            "\u{1b}[6n",
            "\u{1b}[?6n",
            "\u{1b}[?25$p",
            "\u{1b}[x",
            "\u{1b}P$qm\u{1b}\\",
            "\u{1b}P+q544e\u{1b}\\",
            "\u{1b}[>q",
            "\u{1b}[?u",
            "\u{5}",
            // The window and its title, printing, lamps, keys, the whole terminal's reset.
            "\u{1b}[21t",
            "\u{1b}[8;1;1t",
            "\u{1b}[5i",
            "\u{1b}[1q",
            "\u{1b}[>4;2m",
            "\u{1b}c",
            // Pictures, privacy messages, application programs.
            "\u{1b}Pq#0\u{1b}\\",
            "\u{1b}^x\u{1b}\\",
            "\u{1b}_Gx\u{1b}\\",
            "\u{1b}Xx\u{1b}\\",
            // The same as single C1 characters.
            "\u{9d}52;c;AA\u{9c}",
        ] {
            let mut filter = Filter::default();
            let passed = filter.pass(hostile.as_bytes()).to_vec();
            assert!(
                !passed.iter().any(|byte| *byte < 0x20 && *byte != 7),
                "{hostile:?}: {:?}",
                String::from_utf8_lossy(&passed)
            );
        }
        check(b"a\x1b]0;t\x07b\x1b[6nc", "abc");
        // Bytes that are no text, one of which begins a sequence for some terminals.
        for pieces in [
            &[&b"\xff\x9d52;AA\x9cx"[..]][..],
            &[b"\xff", b"\x9d", b"52;AA", b"\x9cx"],
        ] {
            let mut filter = Filter::default();
            let mut passed = Vec::new();
            for piece in pieces {
                passed.extend_from_slice(filter.pass(piece));
            }
            let passed = String::from_utf8(passed).unwrap();
            assert_eq!(passed.replace('\u{fffd}', ""), "52;AAx");
        }
        check(b"\x1b[?1000;9999;25hx", "\u{1b}[?1000h\u{1b}[?25hx");
        check(b"\x1b[?3h\x1b[20h", "");
    }

    #[test]
    fn what_was_left_on_is_switched_off() {
        let mut filter = Filter::default();
        filter.pass(b"\x1b[?1049h\x1b[?1000h\x1b[?25l\x1b[?2004h\x1b[?2004l");
        let end = String::from_utf8(filter.finish().to_vec()).unwrap();
        assert!(
            end.starts_with("\u{1b}[?25h\u{1b}[?1000l\u{1b}[?1049l\u{f}"),
            "{end:?}"
        );
    }

    #[test]
    fn an_endless_sequence_takes_no_memory() {
        let mut filter = Filter::default();
        filter.pass(b"\x1b]0;");
        for _ in 0..100 {
            assert!(filter.pass(&[b'a'; 10_000]).is_empty());
        }
        assert!(filter.screen.out.capacity() < 100_000);
        assert_eq!(filter.pass(b"\x07x"), b"x");
    }
}
