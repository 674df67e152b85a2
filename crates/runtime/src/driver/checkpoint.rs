//! Writes the work tree down after steps that may have changed files.

use recto_protocol::record::{Body, Warning};
use recto_protocol::tool::Effect;

use super::{Driver, DriverError};

impl Driver {
    /// Notes what a tool did: whether files may differ now.
    pub(super) fn note_effect(&mut self, effect: &Effect) {
        self.is_changed |= match effect {
            // Any command may change files.
            Effect::Command { .. } | Effect::Files { .. } => true,
            Effect::None | Effect::Plan { .. } | Effect::Image { .. } => false,
        };
    }

    /// Writes the work tree down, if it may have changed since the last time.
    pub(super) async fn checkpoint(&mut self) -> Result<(), DriverError> {
        let Some(checkpoints) = self.checkpoints.as_ref().filter(|_| self.is_changed) else {
            return Ok(());
        };
        let body: Option<Body> = match checkpoints.write().await {
            // Nothing new to tell.
            Ok(written) if self.last_tree.as_ref() == Some(&written.tree) => None,
            Ok(written) => {
                self.last_tree = Some(written.tree.clone());
                Some(written.into())
            }
            Err(message) => Some(
                Warning {
                    code: "checkpoint".into(),
                    message,
                }
                .into(),
            ),
        };
        self.is_changed = false;
        self.record(body.into_iter().collect()).await
    }
}
