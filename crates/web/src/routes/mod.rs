//! The table of routes, one file for each group.

mod attempts;
mod events;
mod outputs;
mod repositories;
mod system;
mod tasks;
mod tokens;

use recto_protocol::task::{Attempt, Task};

use crate::problem::Failure;
use crate::route::Route;
use crate::state::Shared;

/// All routes.
pub(crate) fn all() -> Vec<Route> {
    [
        repositories::routes(),
        tasks::routes(),
        attempts::routes(),
        outputs::routes(),
        events::routes(),
        tokens::routes(),
        system::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The task that a path names.
async fn task(shared: &Shared, name: &str) -> Result<Task, Failure> {
    let task = shared.service.task(name).await?;
    tracing::Span::current().record("task", task.id.as_str());
    Ok(task)
}

/// The attempt that a path names.
async fn attempt(shared: &Shared, name: &str) -> Result<Attempt, Failure> {
    let (task, attempt) = shared.service.attempt(name).await?;
    let span = tracing::Span::current();
    span.record("task", task.id.as_str());
    span.record("attempt", attempt.id.as_str());
    Ok(attempt)
}
