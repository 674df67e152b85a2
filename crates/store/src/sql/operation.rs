//! What happens in one transaction.

use async_trait::async_trait;
use recto_protocol::ports::tasks::StoreError;

use super::Connection;

/// Something that reads and writes in one transaction, and may be begun again from the start.
#[async_trait]
pub(crate) trait Operation: Send + Sync + 'static {
    /// What it does, in words that fit behind "failed to".
    const ACTION: &'static str;
    /// What it comes to. A refusal that is decided before anything is written is an output, too.
    type Output: Send + 'static;

    /// Does it. Whatever it wrote is undone when it fails, and it may then be run again.
    async fn run(&self, on: &mut Connection<'_>) -> Result<Self::Output, Failure>;
}

/// Why an operation could not be done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The database can't be reached, or refused a statement.
    Database(sqlx::Error),
    /// Something that the database holds can't be read.
    Unreadable(String),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl Failure {
    /// The failure as users of the port see it.
    pub(crate) fn told(self, action: &'static str) -> StoreError {
        match self {
            Self::Database(error) => StoreError::Failed {
                action,
                source: Box::new(error),
            },
            Self::Unreadable(what) => StoreError::Unreadable { what },
        }
    }

    /// Whether the database gave up this transaction for another one's sake, so that the same again
    /// may well succeed: a deadlock (40P01) or transactions in an order that can't be (40001).
    pub(crate) fn is_worth_again(&self) -> bool {
        let Self::Database(sqlx::Error::Database(error)) = self else {
            return false;
        };
        matches!(error.code().as_deref(), Some("40P01" | "40001"))
    }
}
