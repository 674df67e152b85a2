//! Problems: every answer that is an error, as `application/problem+json` (RFC 9457).
//!
//! A handler only says which problem it is; [`render`] writes it, once the request's id is known.
//! What a client did wrong is told in full. What went wrong in here is told in one sentence, and the
//! causes go to the log under the request's id.

use std::fmt::Write as _;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use recto_service::ServiceError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An error, as clients read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Which kind of problem: `urn:recto:problem:` and a word.
    pub r#type: String,
    /// The kind, for people.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What happened, and what to do about it.
    pub detail: String,
    /// The field that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// By which name the server's log knows the request.
    #[serde(default)]
    pub request_id: String,
}

/// A problem on its way to being rendered.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    kind: &'static str,
    detail: String,
    field: Option<String>,
    retry_after: Option<u64>,
    /// For the log only.
    cause: Option<String>,
}

impl Failure {
    /// A problem of this status, told in full.
    pub(crate) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            detail: detail.into(),
            field: None,
            retry_after: None,
            cause: None,
        }
    }

    /// A value that can't be used.
    pub(crate) fn invalid(field: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        let field = field.into();
        Self {
            detail: format!("{field} {reason}"),
            field: Some(field),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "")
        }
    }

    /// There is no such thing.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// After how many seconds to try again.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    fn caused_by(mut self, error: &dyn std::error::Error) -> Self {
        let mut cause = error.to_string();
        let mut next = error.source();
        while let Some(error) = next {
            // Writing to a text can't fail.
            let _ = write!(cause, ": {error}");
            next = error.source();
        }
        self.cause = Some(cause);
        self
    }
}

/// The one mapping from what a use case can't do to an answer.
impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        let unavailable = |detail: &str| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
                .retry_after(1)
                .caused_by(&error)
        };
        match &error {
            ServiceError::Invalid { field, reason } => Self::invalid(*field, reason),
            ServiceError::NotFound { .. } => Self::not_found(error.to_string()),
            ServiceError::Ambiguous { .. } => {
                Self::new(StatusCode::CONFLICT, "ambiguous", error.to_string())
            }
            ServiceError::Conflict { reason } => {
                Self::new(StatusCode::CONFLICT, "conflict", reason)
            }
            ServiceError::Store(_) => {
                unavailable("the task store can't be used now; try again later")
            }
            ServiceError::Workplace(place) if place.is_transient => {
                unavailable("the attempt's files can't be used now; try again later")
            }
            // Its words are for the user: what is wrong with the repository that was named.
            ServiceError::Workplace(place) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "unusable",
                place.message.clone(),
            ),
            ServiceError::Chunk(_) => unavailable("the output can't be read now; try again later"),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the problem that an answer stands for.
pub(crate) fn render(mut response: Response<Body>, request_id: &str) -> Response<Body> {
    let Some(failure) = response.extensions_mut().remove::<Failure>() else {
        return response;
    };
    if let Some(cause) = &failure.cause {
        tracing::error!(%cause, status = failure.status.as_u16(), "a request failed");
    }
    let problem = Problem {
        r#type: format!("urn:recto:problem:{}", failure.kind),
        title: failure
            .status
            .canonical_reason()
            .unwrap_or("Error")
            .to_owned(),
        status: failure.status.as_u16(),
        detail: failure.detail,
        field: failure.field,
        request_id: request_id.to_owned(),
    };
    let mut rendered = (failure.status, Json(problem)).into_response();
    // What a guard or the router said besides, such as `Allow`.
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
            rendered.headers_mut().insert(name.clone(), value.clone());
        }
    }
    let kind = HeaderValue::from_static("application/problem+json");
    rendered.headers_mut().insert(header::CONTENT_TYPE, kind);
    if let Some(seconds) = failure.retry_after {
        let seconds = HeaderValue::from(seconds);
        rendered.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    rendered
}

#[cfg(test)]
mod tests {
    use recto_protocol::ports::tasks::StoreError;
    use recto_service::WorkplaceError;

    use super::*;

    #[test]
    fn each_error_of_a_use_case_has_its_status() {
        let secret = || Box::new(std::io::Error::other("/secret/path"));
        for (error, status) in [
            (
                ServiceError::Invalid {
                    field: "prompt",
                    reason: "is empty".into(),
                },
                422,
            ),
            (
                ServiceError::NotFound {
                    kind: "task",
                    name: "x".into(),
                },
                404,
            ),
            (
                ServiceError::Ambiguous {
                    prefix: "a".into(),
                    ids: vec![],
                },
                409,
            ),
            (
                ServiceError::Conflict {
                    reason: "no".into(),
                },
                409,
            ),
            (
                ServiceError::Store(StoreError::Failed {
                    action: "read",
                    source: secret(),
                }),
                503,
            ),
            (WorkplaceError::lasting("no such branch").into(), 422),
            (
                WorkplaceError::passing("/secret/path is locked").into(),
                503,
            ),
        ] {
            let failure = Failure::from(error);
            assert_eq!(failure.status.as_u16(), status, "{failure:?}");
            assert!(!failure.detail.contains("secret"), "{failure:?}");
            assert_eq!(failure.cause.is_some(), status >= 500);
        }
    }
}
