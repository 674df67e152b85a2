//! An attempt's inbox, as its run reads it.

use std::sync::Arc;
use std::time::Duration;

use recto_protocol::ports::tasks::{StoreError, TaskStore};
use recto_protocol::task::{Message, Said};
use recto_protocol::{AttemptId, Item};
use recto_runtime::{Control, Handle};
use tokio::sync::Notify;

/// How long to wait after the store failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads one attempt's inbox.
pub(super) struct Mail {
    pub(super) store: Arc<dyn TaskStore>,
    pub(super) attempt: AttemptId,
    pub(super) bell: Arc<Notify>,
}

impl Mail {
    /// The first text after number `taken`. Stops before it are about what had ended by then.
    pub(super) async fn next_text(&self, taken: u64) -> Result<Option<(u64, String)>, StoreError> {
        let messages = self.store.inbox(&self.attempt, taken).await?;
        Ok(messages.into_iter().find_map(|message| match message.said {
            Said::Text { text, .. } => Some((message.number, text)),
            Said::Stop { .. } => None,
        }))
    }

    /// Waits for a stop after number `taken`: its number and who asked.
    pub(super) async fn stop(&self, taken: u64) -> (u64, String) {
        loop {
            for message in self.after(taken).await {
                if let Said::Stop { by } = message.said {
                    return (message.number, by);
                }
            }
            self.bell.notified().await;
        }
    }

    /// Passes messages after number `taken` on to a running turn, for ever.
    pub(super) async fn deliver(&self, taken: u64, to: &Handle) {
        let mut delivered = taken;
        loop {
            for message in self.after(delivered).await {
                delivered = message.number;
                let inbox = Some(message.number);
                to.send(match message.said {
                    Said::Text { text, delivery } => Control::Message {
                        items: vec![Item::message("user", &text)],
                        delivery,
                        inbox,
                    },
                    Said::Stop { by } => Control::Interrupt { by, inbox },
                });
            }
            self.bell.notified().await;
        }
    }

    /// All messages after a number; asked for until the store answers.
    async fn after(&self, number: u64) -> Vec<Message> {
        loop {
            match self.store.inbox(&self.attempt, number).await {
                Ok(messages) => return messages,
                Err(error) => {
                    tracing::warn!(%error, attempt = %self.attempt, "cannot read an inbox");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
