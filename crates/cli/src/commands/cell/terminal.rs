//! The user's own terminal, while a command in a cell has it.

use std::io::{IsTerminal as _, Stdin};

use recto_protocol::ports::cell::TtySize;
use rustix::termios::{OptionalActions, Termios};

use crate::compose::home::variable;

/// A size for output that is no terminal.
const DEFAULT: TtySize = TtySize {
    rows: 40,
    cols: 120,
};

/// The size of the user's terminal.
pub fn size() -> TtySize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    size.filter(|size| size.ws_row > 0 && size.ws_col > 0)
        .map_or(DEFAULT, |size| TtySize {
            rows: size.ws_row,
            cols: size.ws_col,
        })
}

/// What kind of terminal it is, as a variable for the command.
pub fn kind() -> Option<(String, String)> {
    let term = variable("TERM").filter(|_| std::io::stdout().is_terminal())?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
    (term.len() <= 64 && term.bytes().all(is_name)).then(|| ("TERM".to_owned(), term))
}

/// The user's terminal passing every key on as it is typed. Dropped, it is as before.
pub struct Raw {
    stdin: Stdin,
    before: Termios,
}

impl Raw {
    /// None when standard input is no terminal, or another process group has it.
    pub fn set() -> Option<Self> {
        let stdin = std::io::stdin();
        let before = rustix::termios::tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(&stdin, OptionalActions::Drain, &raw).ok()?;
        Some(Self { stdin, before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that has gone needs no mode.
        let _ = rustix::termios::tcsetattr(&self.stdin, OptionalActions::Drain, &self.before);
    }
}
