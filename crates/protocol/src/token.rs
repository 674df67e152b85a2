//! Tokens: what a client of the API shows to be let in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::TokenId;

/// What a token's holder may do. Each allows what stands before it, too.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look at everything.
    Read,
    /// Hand in tasks, say things to attempts, stop and remove them.
    Write,
    /// Make and revoke tokens, add and remove repositories.
    Admin,
}

impl Scope {
    /// All scopes, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The word for it, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// The scope that a word means.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }
}

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// What it is for, in its maker's words.
    pub name: String,
    /// What its holder may do.
    pub scopes: Vec<Scope>,
    /// When it was made, in milliseconds since 1970-01-01 UTC.
    pub created_at: i64,
    /// From when on it is not taken any more; none means never.
    #[serde(default)]
    pub expires_at: Option<i64>,
    /// When it was last used, to the minute; none means never.
    #[serde(default)]
    pub used_at: Option<i64>,
    /// When it was revoked; none means not.
    #[serde(default)]
    pub revoked_at: Option<i64>,
}

impl Token {
    /// Whether its holder may do what needs `scope`.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|held| *held >= scope)
    }

    /// Whether it is taken at a time in milliseconds since 1970-01-01 UTC.
    pub fn is_good(&self, at: i64) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires| at < expires)
    }
}

/// A token that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// What its holder may do.
    pub scopes: Vec<Scope>,
    /// From when on it is not taken any more, in milliseconds since 1970-01-01 UTC; none means
    /// never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

/// A token that was made, with its secret, which is not shown again.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct MadeToken {
    /// The token.
    pub token: Token,
    /// What its holder shows.
    pub secret: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_scopes_hold_narrower_ones_and_time_ends_them() {
        let mut token = Token {
            id: TokenId::from("t"),
            name: "ci".into(),
            scopes: vec![Scope::Write],
            created_at: 0,
            expires_at: Some(100),
            used_at: None,
            revoked_at: None,
        };
        assert!(token.allows(Scope::Read) && token.allows(Scope::Write));
        assert!(!token.allows(Scope::Admin));
        assert!(token.is_good(99) && !token.is_good(100));
        token.revoked_at = Some(1);
        assert!(!token.is_good(2));
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.word()), Some(scope));
        }
    }
}
