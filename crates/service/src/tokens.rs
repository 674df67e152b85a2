//! Tokens: making, listing, revoking, and letting in who shows one.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use recto_protocol::ports::tasks::StoreError;
use recto_protocol::ports::tokens::{SecretHash, TokenStore};
use recto_protocol::token::{MadeToken, NewToken, Token};
use recto_protocol::{TaskId, TokenId};
use sha2::{Digest as _, Sha256};

use crate::error::ServiceError;
use crate::service::{Outside, invalid, not_found};

/// What every secret begins with, so that scanners know one when they see it.
const MARK: &str = "recto_";
/// Random bytes of a secret.
const SECRET: usize = 32;
/// A use is noted once in this many milliseconds.
const NOTED_EVERY: i64 = 60_000;

/// The use cases of tokens. Cheap to clone.
#[derive(Clone)]
pub struct Tokens {
    store: Arc<dyn TokenStore>,
    outside: Outside,
}

impl Tokens {
    /// The tokens of a store. Secrets are made of [`Outside::random`].
    pub fn new(store: Arc<dyn TokenStore>, outside: Outside) -> Self {
        Self { store, outside }
    }

    /// Makes a token. Its secret is told this once and kept nowhere.
    ///
    /// # Errors
    /// When it has no name or no scope, or has expired.
    pub async fn create(&self, new: NewToken) -> Result<MadeToken, ServiceError> {
        let now = self.outside.now();
        check(&new, now)?;
        let mut scopes = new.scopes;
        scopes.sort_unstable();
        scopes.dedup();
        let secret = self.secret();
        let token = Token {
            // Both are twelve random characters.
            id: TokenId(TaskId::from_random((self.outside.random)()).0),
            name: new.name,
            scopes,
            created_at: now,
            expires_at: new.expires_at,
            used_at: None,
            revoked_at: None,
        };
        match self.store.add_token(&token, &hash(&secret)).await {
            Ok(()) => Ok(MadeToken { token, secret }),
            Err(StoreError::Taken(_)) => Err(ServiceError::Conflict {
                reason: "no free id was found; try again".into(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// All tokens, the newest first, revoked ones included.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self) -> Result<Vec<Token>, ServiceError> {
        Ok(self.store.tokens().await?)
    }

    /// Revokes a token: it lets nobody in from now on.
    ///
    /// # Errors
    /// When there is none.
    pub async fn revoke(&self, id: &TokenId) -> Result<(), ServiceError> {
        if self.store.revoke_token(id, self.outside.now()).await? {
            return Ok(());
        }
        Err(not_found("token", id.as_str()))
    }

    /// The token whose secret this is, if it is taken now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn authenticate(&self, secret: &str) -> Result<Option<Token>, ServiceError> {
        if !secret.starts_with(MARK) || secret.len() > 100 {
            return Ok(None);
        }
        // The store compares hashes: how long it takes tells nothing of a secret.
        let found = self.store.token_by_hash(&hash(secret)).await?;
        let now = self.outside.now();
        let Some(token) = found.filter(|token| token.is_good(now)) else {
            return Ok(None);
        };
        if token.used_at.is_none_or(|used| now - used >= NOTED_EVERY)
            && let Err(error) = self.store.touch_token(&token.id, now).await
        {
            // Not worth refusing anybody for.
            tracing::warn!(%error, token = %token.id, "cannot note the use of a token");
        }
        Ok(Some(token))
    }

    fn secret(&self) -> String {
        let mut bytes = Vec::new();
        while bytes.len() < SECRET {
            bytes.extend((self.outside.random)());
        }
        format!("{MARK}{}", URL_SAFE_NO_PAD.encode(&bytes[..SECRET]))
    }
}

fn hash(secret: &str) -> SecretHash {
    Sha256::digest(secret.as_bytes()).into()
}

fn check(new: &NewToken, now: i64) -> Result<(), ServiceError> {
    let length = new.name.chars().count();
    if new.name.trim().is_empty() || length > 100 || new.name.chars().any(char::is_control) {
        let reason = "must have 1 to 100 characters on one line";
        return Err(invalid("name", reason));
    }
    if new.scopes.is_empty() {
        return Err(invalid("scopes", "are none; name read, write or admin"));
    }
    if new.expires_at.is_some_and(|expires| expires <= now) {
        return Err(invalid("expires_at", "is in the past"));
    }
    Ok(())
}
