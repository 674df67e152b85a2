//! A program at a terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::PATIENCE;

/// A program whose input, output and controlling terminal are a pseudo-terminal.
pub struct Pty {
    terminal: File,
    child: Child,
    pieces: Receiver<Vec<u8>>,
    seen: String,
}

impl Pty {
    /// Starts a command at a terminal with so many rows and columns. Its variables must all be its
    /// own.
    pub fn start(command: &Command, rows: u16, cols: u16) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let inside = rustix::fs::open(&name, flags, Mode::empty()).unwrap();
        let terminal = File::from(terminal);
        resize(&terminal, rows, cols);
        let end = || Stdio::from(inside.try_clone().unwrap());
        // Becomes the program, with the terminal as its own.
        let mut wrapped = Command::new("setsid");
        wrapped.arg("--ctty").arg(command.get_program());
        wrapped.args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                wrapped.env(name, value);
            }
        }
        if let Some(cwd) = command.get_current_dir() {
            wrapped.current_dir(cwd);
        }
        let child = wrapped
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let (send, pieces) = channel();
        let mut output = terminal.try_clone().unwrap();
        // Ends with the terminal's last user, with an error.
        std::thread::spawn(move || {
            let mut piece = vec![0; 4096];
            while let Ok(read @ 1..) = output.read(&mut piece) {
                if send.send(piece[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            terminal,
            child,
            pieces,
            seen: String::new(),
        }
    }

    /// The process' id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types a text.
    pub fn type_text(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    /// Makes the window another size.
    pub fn resize(&self, rows: u16, cols: u16) {
        resize(&self.terminal, rows, cols);
    }

    /// Whether the terminal gathers lines and echoes them, as it does for a shell's user.
    pub fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.terminal).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Everything that was shown, up to and with the first `text` after what was waited for before.
    pub fn wait_for(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            match self.pieces.recv_timeout(PATIENCE) {
                Ok(piece) => self.seen.push_str(&String::from_utf8_lossy(&piece)),
                Err(error) => panic!("{error}: no {text:?} in {:?}", self.seen),
            }
        }
    }

    /// Waits for the program's end. Gives its exit code, whether it left the terminal as it was,
    /// and what it still showed.
    pub fn finish(mut self) -> (Option<i32>, bool, String) {
        let status = self.child.wait().unwrap();
        let is_cooked = self.is_cooked();
        // The last user of the terminal's other end is gone.
        for piece in self.pieces.iter() {
            self.seen.push_str(&String::from_utf8_lossy(&piece));
        }
        (status.code(), is_cooked, std::mem::take(&mut self.seen))
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind. Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: &File, rows: u16, cols: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: cols,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).unwrap();
}
