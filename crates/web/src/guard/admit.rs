//! Who asks, and whether they may.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use recto_protocol::token::{Scope, Token};

use crate::problem::Failure;
use crate::state::Shared;

/// What stands before one route.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) shared: Shared,
    /// What its caller must be allowed to do; none for everybody.
    pub(crate) needs: Option<Scope>,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Lets a request through to its handler, with the token in its extensions.
pub(crate) async fn admit(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let Some(needed) = gate.needs else {
        return next.run(request).await;
    };
    let address = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    match authenticate(&gate.shared, request.headers(), address, needed).await {
        Ok(token) => {
            tracing::Span::current().record("token", token.id.as_str());
            request.extensions_mut().insert(token);
            next.run(request).await
        }
        Err(failure) => {
            let mut response = failure.into_response();
            if response.status() == StatusCode::UNAUTHORIZED {
                let how = HeaderValue::from_static("Bearer");
                let headers = response.headers_mut();
                headers.insert(header::WWW_AUTHENTICATE, how);
            }
            response
        }
    }
}

/// The answer to a request without a good token.
pub(crate) fn no_token() -> Failure {
    let detail = "send a valid token as `Authorization: Bearer recto_…`";
    Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
}

async fn authenticate(
    shared: &Shared,
    headers: &HeaderMap,
    address: Option<IpAddr>,
    needed: Scope,
) -> Result<Token, Failure> {
    let token = match bearer(headers) {
        Some(secret) => shared.tokens.authenticate(secret).await?,
        None => None,
    };
    let Some(token) = token else {
        shared.limits.stranger(address)?;
        return Err(no_token());
    };
    shared.limits.token(&token.id)?;
    if token.allows(needed) {
        return Ok(token);
    }
    let detail = format!("this token lacks the scope {}", needed.word());
    Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", detail))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (value, more) = (given.next()?, given.next());
    let (scheme, secret) = value.to_str().ok()?.split_once(' ')?;
    (more.is_none() && scheme.eq_ignore_ascii_case("bearer")).then(|| secret.trim())
}
