//! Tokens are kept, found by their hashes, revoked, and their uses noted.

use recto_protocol::TokenId;
use recto_protocol::ports::tasks::StoreError;
use recto_protocol::ports::tokens::TokenStore as _;
use recto_protocol::token::{Scope, Token};

use crate::place::Place;

fn token(id: &str, created_at: i64) -> Token {
    Token {
        id: TokenId::from(id),
        name: "it's \"ci\" \u{1f980}".into(),
        scopes: vec![Scope::Read, Scope::Write],
        created_at,
        expires_at: Some(99),
        used_at: None,
        revoked_at: None,
    }
}

pub(crate) async fn a_token_is_found_by_its_hash_alone(place: Place) {
    let store = place.tasks().await.unwrap();
    let (first, second) = (token("a", 1), token("b", 2));
    store.add_token(&first, &[1; 32]).await.unwrap();
    store.add_token(&second, &[255; 32]).await.unwrap();
    let again = place.tasks().await.unwrap();
    assert_eq!(
        again.token_by_hash(&[1; 32]).await.unwrap(),
        Some(first.clone())
    );
    assert_eq!(again.token_by_hash(&[2; 32]).await.unwrap(), None);
    assert_eq!(again.tokens().await.unwrap(), [second.clone(), first]);
    for (id, hash) in [("a", [7; 32]), ("c", [1; 32])] {
        let refused = again.add_token(&token(id, 3), &hash).await.unwrap_err();
        assert!(matches!(refused, StoreError::Taken(_)), "{refused:?}");
    }
    assert_eq!(again.tokens().await.unwrap().len(), 2);
}

pub(crate) async fn a_token_is_revoked_once_and_its_last_use_stays(place: Place) {
    let store = place.tasks().await.unwrap();
    store.add_token(&token("a", 1), &[1; 32]).await.unwrap();
    let id = TokenId::from("a");
    for at in [50, 40] {
        store.touch_token(&id, at).await.unwrap();
    }
    for at in [60, 70] {
        assert!(store.revoke_token(&id, at).await.unwrap());
    }
    assert!(!store.revoke_token(&TokenId::from("b"), 1).await.unwrap());
    let kept = store.token_by_hash(&[1; 32]).await.unwrap().unwrap();
    assert_eq!((kept.used_at, kept.revoked_at), (Some(50), Some(60)));
}
