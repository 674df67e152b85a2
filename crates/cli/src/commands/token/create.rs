//! `recto token create`.

use recto_protocol::token::{MadeToken, NewToken, Scope};
use serde_json::json;

use super::print;
use crate::args::ScopeWord;
use crate::compose::client::Client;
use crate::exit::{DONE, Failure};
use crate::output::tell;

/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// Makes a token and prints its secret.
pub(super) async fn run(
    client: &Client,
    name: String,
    scope: ScopeWord,
    days: Option<u32>,
    json: bool,
) -> Result<u8, Failure> {
    let now = jiff::Timestamp::now().as_millisecond();
    let new = NewToken {
        name,
        scopes: vec![match scope {
            ScopeWord::Read => Scope::Read,
            ScopeWord::Write => Scope::Write,
            ScopeWord::Admin => Scope::Admin,
        }],
        expires_at: days.map(|days| now.saturating_add(i64::from(days) * DAY)),
    };
    let made: MadeToken = client.post(&["tokens"], Some(&new)).await?;
    if json {
        print(&format!("{}\n", json!(made)))?;
        return Ok(DONE);
    }
    print(&format!("{}\n", made.secret))?;
    tell(&format!(
        "token {}; its secret is not shown again\n",
        made.token.id
    ));
    Ok(DONE)
}
