//! What a use case can't do.

use recto_protocol::ports::log::LogError;
use recto_protocol::ports::tasks::StoreError;
use recto_protocol::task::Problem;

use crate::workplace::WorkplaceError;

/// Why a use case did not do what was asked. Each variant is one kind of answer of a surface.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// What was asked for is not well-formed.
    #[error("{field} {reason}")]
    Invalid {
        /// The field that is wrong.
        field: &'static str,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// There is no such thing.
    #[error("there is no {kind} {name}")]
    NotFound {
        /// What kind of thing.
        kind: &'static str,
        /// By which name it was looked for.
        name: String,
    },
    /// The beginning of an id fits several.
    #[error("{prefix} is the beginning of several tasks: {}", ids.join(", "))]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// Ids that fit.
        ids: Vec<String>,
    },
    /// It can't be done in the state that things are in.
    #[error("{reason}")]
    Conflict {
        /// Why, and what to do about it.
        reason: String,
    },
    /// The store failed.
    #[error("the task store can't be used now")]
    Store(#[source] StoreError),
    /// The place of an attempt can't be used.
    #[error("the attempt's files can't be used")]
    Workplace(#[from] WorkplaceError),
    /// An output can't be read.
    #[error("the output can't be read")]
    Chunk(#[source] LogError),
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy(what) => Self::Conflict {
                reason: format!("{what} is being worked on; stop it first"),
            },
            error => Self::Store(error),
        }
    }
}

impl From<Problem> for ServiceError {
    fn from(problem: Problem) -> Self {
        Self::Invalid {
            field: problem.field,
            reason: problem.reason,
        }
    }
}
