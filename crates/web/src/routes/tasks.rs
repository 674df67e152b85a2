//! `/tasks`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use recto_protocol::AttemptId;
use recto_protocol::task::{Amendment, Filter, NewTask, Task};
use schemars::JsonSchema;
use serde::Serialize;

use super::task;
use crate::BASE;
use crate::etag::tagged;
use crate::extract::{Caller, Named, Query, Sent};
use crate::problem::Failure;
use crate::route::Route;
use crate::state::Shared;

/// One page of tasks.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TaskPage")]
struct Page {
    /// The tasks, the newest first.
    tasks: Vec<Task>,
    /// The cursor of the next page; none when this was the last.
    next: Option<String>,
}

/// Attempts that were told to stop.
#[derive(Serialize, JsonSchema)]
struct Stopped {
    /// Their ids.
    stopped: Vec<AttemptId>,
}

/// An attempt that was made.
#[derive(Serialize, JsonSchema)]
struct Made {
    /// Its id.
    attempt: AttemptId,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/tasks", submit)
            .is("submitTask", "Hands a task in")
            .header(
                "Idempotency-Key",
                "Handing in twice under one key gives one task; the same as `key` of the body.",
            )
            .body::<NewTask>()
            .json::<Task>(201, "The task.")
            .json::<Task>(200, "The task that was handed in under this key before.")
            .problem(404)
            .problem(409),
        Route::get("/tasks", list)
            .is("listTasks", "Lists tasks, the newest first")
            .query::<Filter>()
            .tagged::<Page>("One page of tasks."),
        Route::get("/tasks/{id}", show)
            .is("showTask", "Shows a task, by its id or the beginning of it")
            .tagged::<Task>("The task.")
            .problem(409),
        Route::patch("/tasks/{id}", amend)
            .is("amendTask", "Changes a task's title, labels or place")
            .body::<Amendment>()
            .json::<Task>(200, "The task as it is now.")
            .problem(409),
        Route::delete("/tasks/{id}", remove)
            .is("removeTask", "Removes a task and all that belongs to it")
            .empty("It is removed.")
            .problem(409)
            .problem(422),
        Route::post("/tasks/{id}/stop", stop)
            .is(
                "stopTask",
                "Stops all attempts of a task and keeps everything",
            )
            .json::<Stopped>(200, "The attempts that were told to stop.")
            .problem(409),
        Route::post("/tasks/{id}/attempts", retry)
            .is("retryTask", "Makes one more attempt of a task")
            .json::<Made>(201, "The attempt.")
            .problem(409),
    ]
}

async fn submit(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Sent(mut new): Sent<NewTask>,
) -> Result<Response, Failure> {
    if let Some(key) = headers.get("idempotency-key") {
        let key = key.to_str().unwrap_or_default();
        if new.key.as_ref().is_some_and(|other| other != key) {
            return Err(Failure::invalid("key", "differs from Idempotency-Key"));
        }
        new.key = Some(key.to_owned());
    }
    let (task, is_known) = shared.service.submit(new).await?;
    tracing::Span::current().record("task", task.id.as_str());
    if is_known {
        return Ok(Json(task).into_response());
    }
    let location = HeaderValue::from_str(&format!("{BASE}/tasks/{}", task.id));
    let mut response = (StatusCode::CREATED, Json(task)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn list(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Query(filter): Query<Filter>,
) -> Result<Response, Failure> {
    let page = shared.service.tasks(&filter).await?;
    let (tasks, next) = (page.tasks, page.next);
    Ok(tagged(&headers, &Page { tasks, next }))
}

async fn show(
    State(shared): State<Shared>,
    headers: HeaderMap,
    named: Named,
) -> Result<Response, Failure> {
    Ok(tagged(&headers, &task(&shared, &named.name).await?))
}

async fn amend(
    State(shared): State<Shared>,
    named: Named,
    Sent(amendment): Sent<Amendment>,
) -> Result<Json<Task>, Failure> {
    let id = task(&shared, &named.name).await?.id;
    Ok(Json(shared.service.amend(&id, &amendment).await?))
}

async fn remove(State(shared): State<Shared>, named: Named) -> Result<StatusCode, Failure> {
    let id = task(&shared, &named.name).await?.id;
    shared.service.remove(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn stop(
    State(shared): State<Shared>,
    caller: Caller,
    named: Named,
) -> Result<Json<Stopped>, Failure> {
    let id = task(&shared, &named.name).await?.id;
    let stopped = shared.service.stop(&id, &caller.0.name).await?;
    Ok(Json(Stopped { stopped }))
}

async fn retry(
    State(shared): State<Shared>,
    named: Named,
) -> Result<(StatusCode, Json<Made>), Failure> {
    let id = task(&shared, &named.name).await?.id;
    let attempt = shared.service.retry(&id).await?;
    Ok((StatusCode::CREATED, Json(Made { attempt })))
}
