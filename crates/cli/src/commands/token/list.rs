//! `recto token list`.

use recto_protocol::token::Token;
use serde_json::json;

use super::super::sessions::time;
use super::print;
use crate::compose::client::Client;
use crate::exit::{DONE, Failure};
use crate::output::safe::safe_line;

/// Prints the list.
pub(super) async fn run(client: &Client, json: bool) -> Result<u8, Failure> {
    let tokens: Vec<Token> = client.get(&["tokens"], &[]).await?;
    if json {
        print(&format!("{}\n", json!(tokens)))?;
        return Ok(DONE);
    }
    let now = jiff::Timestamp::now().as_millisecond();
    let lines: String = tokens.iter().map(|token| line(token, now)).collect();
    print(&lines)?;
    Ok(DONE)
}

fn line(token: &Token, now: i64) -> String {
    let state = match (token.revoked_at, token.expires_at) {
        (Some(_), _) => "revoked".to_owned(),
        (None, Some(at)) if at <= now => "expired".to_owned(),
        (None, Some(at)) => format!("until {}", time(at)),
        (None, None) => "good".to_owned(),
    };
    let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.word()).collect();
    format!(
        "{}  {:<12}  {:<22}  {:<24}  {}\n",
        token.id,
        scopes.join(","),
        state,
        token
            .used_at
            .map_or("never used".to_owned(), |at| format!("used {}", time(at))),
        safe_line(&token.name, 100),
    )
}
