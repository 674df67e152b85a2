//! Ctrl-C and SIGTERM: the first one stops the turn, the second one the program.

use recto_runtime::{Control, Handle};
use tokio::signal::unix::{SignalKind, signal};

/// SIGINT's number.
const SIGINT: u8 = 2;
/// SIGTERM's number.
const SIGTERM: u8 = 15;

/// Passes signals on to a session until the returned guard is dropped.
pub fn forward(handle: Handle) -> std::io::Result<Guard> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let task = tokio::spawn(async move {
        let mut asked = false;
        loop {
            let (by, number) = tokio::select! {
                Some(()) = interrupt.recv() => ("SIGINT", SIGINT),
                Some(()) = terminate.recv() => ("SIGTERM", SIGTERM),
                else => return,
            };
            if asked {
                // The cell dies with this process.
                std::process::exit(i32::from(128 + number));
            }
            asked = true;
            handle.send(Control::Interrupt { by: by.to_owned() });
        }
    });
    Ok(Guard(task))
}

/// Ends the forwarding when dropped.
pub struct Guard(tokio::task::JoinHandle<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The exit code for a turn that `by` interrupted.
pub fn exit_code(by: &str) -> u8 {
    if by == "SIGTERM" {
        128 + SIGTERM
    } else {
        crate::exit::INTERRUPTED
    }
}
