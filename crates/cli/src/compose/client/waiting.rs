//! Waiting for a server that is away for a while.

use std::time::{Duration, Instant};

use super::{Client, ClientError};
use crate::output::tell;

/// How long a server may be away.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long to wait before the second try; later ones wait longer.
const PAUSE: Duration = Duration::from_millis(100);
/// How long at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long a server has been waited for.
pub(super) struct Waiting {
    /// When the first error came.
    since: Option<Instant>,
    pause: Duration,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            since: None,
            pause: PAUSE,
        }
    }
}

impl Waiting {
    /// Waits a little after an error and looks anew where the server is.
    ///
    /// # Errors
    /// The error, when it has been long enough.
    pub(super) async fn go_on(
        &mut self,
        client: &mut Client,
        error: ClientError,
    ) -> Result<(), ClientError> {
        let since = *self.since.get_or_insert_with(|| {
            tell("the server is away; waiting for it\n");
            Instant::now()
        });
        if since.elapsed() > PATIENCE {
            return Err(error);
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        client.look_again().await;
        Ok(())
    }
}
