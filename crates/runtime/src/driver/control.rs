//! What may be said to a session while a turn runs.

use recto_protocol::Item;
use recto_protocol::record::Delivery;
use tokio::sync::mpsc;

/// Something said to a running session.
#[derive(Clone, Debug)]
pub enum Control {
    /// A user's message.
    Message {
        /// The message.
        items: Vec<Item>,
        /// When the model sees it.
        delivery: Delivery,
        /// Its number in the attempt's inbox, where there is one.
        inbox: Option<u64>,
    },
    /// Stop between two steps and leave the turn unfinished, for another driver.
    Yield,
    /// Stop the turn and keep everything.
    Interrupt {
        /// Who or what asks.
        by: String,
        /// The message's number in the attempt's inbox, where there is one.
        inbox: Option<u64>,
    },
}

/// Speaks to a session from outside. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle(mpsc::UnboundedSender<Control>);

impl Handle {
    /// Passes `control` on. False when the session is gone.
    pub fn send(&self, control: Control) -> bool {
        self.0.send(control).is_ok()
    }

    pub(super) fn pair() -> (Self, mpsc::UnboundedReceiver<Control>) {
        let (send, receive) = mpsc::unbounded_channel();
        (Self(send), receive)
    }
}
