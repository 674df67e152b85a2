//! Ctrl-C and SIGTERM: the first one stops the turn, the second one the program. Once the turn has
//! ended, the first one stops the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use recto_runtime::{Control, Handle};
use tokio::signal::unix::{SignalKind, signal};

/// SIGINT's number.
const SIGINT: u8 = 2;
/// SIGTERM's number.
const SIGTERM: u8 = 15;

/// Passes signals on to a session, and ends the program when there is no turn to stop any more; just
/// before, `leave` is called.
///
/// A thread of its own waits for them until the program ends, so that they are heard also while the
/// answer is written or git is looked at.
///
/// # Errors
/// When the system can't give a thread, or a handler can't be set.
pub fn forward(handle: Handle, leave: impl Fn() + Send + 'static) -> std::io::Result<Forwarded> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    // Set before this returns: from then on a signal is not the end of the program.
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        )
    };
    let ended = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&ended);
    let wait = async move {
        let mut asked = false;
        loop {
            let (by, number) = tokio::select! {
                Some(()) = interrupt.recv() => ("SIGINT", SIGINT),
                Some(()) = terminate.recv() => ("SIGTERM", SIGTERM),
                else => return,
            };
            if asked || is_over.load(Ordering::SeqCst) {
                leave();
                // The cell dies with this process.
                std::process::exit(i32::from(128 + number));
            }
            asked = true;
            handle.send(Control::Interrupt {
                by: by.to_owned(),
                inbox: None,
            });
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(wait))?;
    Ok(Forwarded(ended))
}

/// Signals that are passed on to a session.
pub struct Forwarded(Arc<AtomicBool>);

impl Forwarded {
    /// The turn has ended: from now on a signal ends the program.
    pub fn end(&self) {
        self.0.store(true, Ordering::SeqCst);
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
