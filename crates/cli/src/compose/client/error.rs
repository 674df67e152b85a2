//! Why a server did not do what was asked.

use anyhow::anyhow;

use crate::exit::Failure;

/// Why a server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It can't be reached, or stopped answering.
    #[error("the server can't be reached")]
    Unreachable(#[source] reqwest::Error),
    /// It ended what it was saying.
    #[error("the server ended the stream of events")]
    Ended,
    /// It refused.
    #[error("{detail}")]
    Refused {
        /// The status of its answer.
        status: u16,
        /// What it said.
        detail: String,
    },
    /// It answered in a way that this version does not understand.
    #[error("the server's answer can't be read")]
    Garbled(#[source] serde_json::Error),
}

impl ClientError {
    /// The token and the path stay out of what is told.
    pub(super) fn unreachable(error: reqwest::Error) -> Self {
        Self::Unreachable(error.without_url())
    }

    /// Whether the same may go well a little later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Ended => true,
            // 401 because a server that began anew has another token.
            Self::Refused { status, .. } => matches!(status, 401 | 408 | 429 | 500..),
            Self::Garbled(_) => false,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Refused { status: 401, .. } => Self::usage(anyhow!(error))
                .hint("set RECTO_TOKEN to a token made by `recto token create`"),
            ClientError::Refused {
                status: 408 | 429 | 500..,
                ..
            } => Self::unavailable(error),
            ClientError::Refused { .. } => Self::usage(error),
            ClientError::Unreachable(_) | ClientError::Ended | ClientError::Garbled(_) => {
                Self::unavailable(error)
            }
        }
    }
}
