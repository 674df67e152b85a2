//! `/repositories`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use recto_protocol::task::{NewRepository, Repository};
use recto_protocol::token::Scope;

use crate::etag::tagged;
use crate::extract::{Named, Sent};
use crate::problem::Failure;
use crate::route::Route;
use crate::state::Shared;

pub(super) fn routes() -> Vec<Route> {
    vec![
        // A path on the server's machine is a repository, too, so this is the operator's.
        Route::post("/repositories", add)
            .is("addRepository", "Makes a repository known")
            .needs(Scope::Admin)
            .body::<NewRepository>()
            .json::<Repository>(201, "The repository, as it is known from now on.")
            .problem(409),
        Route::get("/repositories", list)
            .is("listRepositories", "Lists all repositories by name")
            .tagged::<Vec<Repository>>("The repositories."),
        Route::delete("/repositories/{name}", remove)
            .is("removeRepository", "Forgets a repository; its tasks stay")
            .needs(Scope::Admin)
            .empty("It is forgotten."),
    ]
}

async fn add(
    State(shared): State<Shared>,
    Sent(new): Sent<NewRepository>,
) -> Result<(StatusCode, Json<Repository>), Failure> {
    let repository = shared.service.add_repository(new).await?;
    Ok((StatusCode::CREATED, Json(repository)))
}

async fn list(State(shared): State<Shared>, headers: HeaderMap) -> Result<Response, Failure> {
    Ok(tagged(&headers, &shared.service.repositories().await?))
}

async fn remove(State(shared): State<Shared>, named: Named) -> Result<StatusCode, Failure> {
    shared.service.remove_repository(&named.name).await?;
    Ok(StatusCode::NO_CONTENT)
}
