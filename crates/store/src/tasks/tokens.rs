//! Tokens of the API.

use std::fmt::Write as _;

use async_trait::async_trait;
use recto_protocol::TokenId;
use recto_protocol::ports::tasks::StoreError;
use recto_protocol::ports::tokens::{SecretHash, TokenStore};
use recto_protocol::token::{Scope, Token};

use super::Tasks;
use crate::sql::{Connection, Database, Failure, Operation, Row, Value, values};

const READ: &str = "read the tokens";

/// A statement that reads tokens.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select id, name, scopes, created_at, expires_at, used_at, revoked_at from token ",
            $rest
        )
    };
}

#[async_trait]
impl TokenStore for Tasks {
    async fn add_token(&self, token: &Token, hash: &SecretHash) -> Result<(), StoreError> {
        let add = Add(token.clone(), *hash);
        match self.database.run(add).await? {
            true => Ok(()),
            false => Err(StoreError::Taken(token.id.to_string())),
        }
    }

    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        let query = select!("order by created_at desc, id");
        read(&self.database, query, vec![]).await
    }

    async fn token_by_hash(&self, hash: &SecretHash) -> Result<Option<Token>, StoreError> {
        let query = select!("where sha256 = $1");
        let found = read(&self.database, query, values![hexadecimal(hash)]).await?;
        Ok(found.into_iter().next())
    }

    async fn revoke_token(&self, id: &TokenId, at: i64) -> Result<bool, StoreError> {
        self.database.run(Revoke(id.clone(), at)).await
    }

    async fn touch_token(&self, id: &TokenId, at: i64) -> Result<(), StoreError> {
        self.database.run(Touch(id.clone(), at)).await
    }
}

struct Add(Token, SecretHash);

#[async_trait]
impl Operation for Add {
    const ACTION: &'static str = "keep a token";
    type Output = bool;

    async fn run(&self, on: &mut Connection<'_>) -> Result<bool, Failure> {
        let Self(token, hash) = self;
        let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.word()).collect();
        let rows = on
            .execute(
                "insert into token \
                 (id, name, scopes, sha256, created_at, expires_at, used_at, revoked_at) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
                values![
                    token.id.as_str(),
                    &token.name,
                    scopes.join(" "),
                    hexadecimal(hash),
                    token.created_at,
                    token.expires_at,
                    token.used_at,
                    token.revoked_at
                ],
            )
            .await?;
        Ok(rows > 0)
    }
}

struct Revoke(TokenId, i64);

#[async_trait]
impl Operation for Revoke {
    const ACTION: &'static str = "revoke a token";
    type Output = bool;

    async fn run(&self, on: &mut Connection<'_>) -> Result<bool, Failure> {
        let Self(id, at) = self;
        let update = "update token set revoked_at = coalesce(revoked_at, $2) where id = $1";
        Ok(on.execute(update, values![id.as_str(), *at]).await? > 0)
    }
}

struct Touch(TokenId, i64);

#[async_trait]
impl Operation for Touch {
    const ACTION: &'static str = "note the use of a token";
    type Output = ();

    async fn run(&self, on: &mut Connection<'_>) -> Result<(), Failure> {
        let Self(id, at) = self;
        let update = "update token set used_at = $2 \
            where id = $1 and (used_at is null or used_at < $2)";
        on.execute(update, values![id.as_str(), *at]).await?;
        Ok(())
    }
}

async fn read(
    database: &Database,
    query: &'static str,
    values: Vec<Value>,
) -> Result<Vec<Token>, StoreError> {
    let rows = database.fetch(READ, query, values).await?;
    let tokens: Result<Vec<_>, Failure> = rows.iter().map(token).collect();
    tokens.map_err(|failure| failure.told(READ))
}

fn token(row: &Row) -> Result<Token, Failure> {
    let id = row.text("id")?;
    let scopes = row.text("scopes")?;
    let scopes: Option<Vec<Scope>> = scopes.split_whitespace().map(Scope::parse).collect();
    Ok(Token {
        scopes: scopes.ok_or_else(|| Failure::Unreadable(format!("the scopes of token {id}")))?,
        id: TokenId(id),
        name: row.text("name")?,
        created_at: row.number("created_at")?,
        expires_at: row.optional_number("expires_at")?,
        used_at: row.optional_number("used_at")?,
        revoked_at: row.optional_number("revoked_at")?,
    })
}

fn hexadecimal(hash: &SecretHash) -> String {
    hash.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
