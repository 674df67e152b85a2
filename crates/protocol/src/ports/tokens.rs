//! The store of tokens. It never sees a secret, only its SHA-256.

use async_trait::async_trait;

use super::tasks::StoreError;
use crate::id::TokenId;
use crate::token::Token;

/// The SHA-256 of a token's secret.
pub type SecretHash = [u8; 32];

/// Keeps the tokens that let clients of the API in.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// Keeps a token.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when there is another one by its id.
    async fn add_token(&self, token: &Token, hash: &SecretHash) -> Result<(), StoreError>;

    /// All tokens, the newest first, revoked ones included.
    async fn tokens(&self) -> Result<Vec<Token>, StoreError>;

    /// The token whose secret has this hash.
    async fn token_by_hash(&self, hash: &SecretHash) -> Result<Option<Token>, StoreError>;

    /// Revokes a token at a time in milliseconds since 1970-01-01 UTC; one that is revoked already
    /// stays as it is. False when there is none.
    async fn revoke_token(&self, id: &TokenId, at: i64) -> Result<bool, StoreError>;

    /// Notes that a token was used. What is noted already and later stays.
    async fn touch_token(&self, id: &TokenId, at: i64) -> Result<(), StoreError>;
}
