//! `/tokens`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use recto_protocol::TokenId;
use recto_protocol::token::{MadeToken, NewToken, Scope, Token};

use crate::extract::{Named, Sent};
use crate::problem::Failure;
use crate::route::Route;
use crate::state::Shared;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/tokens", create)
            .is(
                "createToken",
                "Makes a token and tells its secret, this once",
            )
            .needs(Scope::Admin)
            .body::<NewToken>()
            .json::<MadeToken>(201, "The token, with its secret.")
            .problem(409),
        Route::get("/tokens", list)
            .is("listTokens", "Lists all tokens, the newest first")
            .needs(Scope::Admin)
            .json::<Vec<Token>>(200, "The tokens, without their secrets."),
        Route::delete("/tokens/{id}", revoke)
            .is("revokeToken", "Revokes a token")
            .needs(Scope::Admin)
            .empty("It lets nobody in from now on."),
    ]
}

async fn create(
    State(shared): State<Shared>,
    Sent(new): Sent<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), Failure> {
    let made = shared.tokens.create(new).await?;
    tracing::info!(made = %made.token.id, "a token was made");
    Ok((StatusCode::CREATED, Json(made)))
}

async fn list(State(shared): State<Shared>) -> Result<Json<Vec<Token>>, Failure> {
    Ok(Json(shared.tokens.list().await?))
}

async fn revoke(State(shared): State<Shared>, named: Named) -> Result<StatusCode, Failure> {
    let id = TokenId::from(named.name);
    shared.tokens.revoke(&id).await?;
    tracing::info!(revoked = %id, "a token was revoked");
    Ok(StatusCode::NO_CONTENT)
}
