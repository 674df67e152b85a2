//! A program that is still running: its lines as they come, and signals.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::Run;

/// Longest that anything is waited for. Only a defect takes so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running program whose standard output is read line by line.
pub struct Live {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    errors: Option<JoinHandle<String>>,
}

impl Live {
    /// Starts a command whose standard output and error are pipes.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (send, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        // Both threads end with the program's last writer.
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let mut stderr = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self {
            child,
            lines,
            seen: Vec::new(),
            errors: Some(errors),
        }
    }

    /// The process' id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line; none when there will be no more.
    pub fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.seen.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing came after {:?}", self.seen.last()),
        }
    }

    /// Waits for a JSON line for which `is_it` holds. False when the program ended without it.
    pub fn wait_for(&mut self, mut is_it: impl FnMut(&Value) -> bool) -> bool {
        while let Some(line) = self.line() {
            if is_it(&serde_json::from_str(&line).unwrap_or(Value::Null)) {
                return true;
            }
        }
        false
    }

    /// Writes to its standard input, which the command must have as a pipe.
    pub fn type_text(&mut self, text: &str) {
        use std::io::Write as _;
        let stdin = self.child.stdin.as_mut().expect("an open input");
        stdin.write_all(text.as_bytes()).unwrap();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        // It may have ended in this very moment.
        let _ = kill_process(pid, signal);
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Run {
        while self.line().is_some() {}
        let status = self.child.wait().unwrap();
        Run {
            code: status.code(),
            stdout: self.seen.iter().map(|line| format!("{line}\n")).collect(),
            stderr: self
                .errors
                .take()
                .map(|thread| thread.join().unwrap())
                .unwrap_or_default(),
        }
    }

    /// Kills it at once and waits for its death. Gives the lines that it wrote.
    pub fn kill(mut self) -> Vec<String> {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
        // Whoever inherited its output must be gone soon, too.
        while self.line().is_some() {}
        std::mem::take(&mut self.seen)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind. Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls until `holds`, and tells whether it ever did.
pub fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}
