//! `recto task steer` and `recto task follow-up`.

use recto_protocol::record::Delivery;
use recto_protocol::task::{NewMessage, Said};
use serde_json::{Value, json};

use super::follow::wait;
use super::{one, print, print_json, tell_if_nobody_works};
use crate::args::SayArgs;
use crate::compose::client::Connection;
use crate::compose::prompt::{self, Needed};
use crate::exit::{DONE, Failure};

/// Says something to an attempt.
pub(super) async fn run(
    connection: &Connection,
    args: SayArgs,
    delivery: Delivery,
    json: bool,
) -> Result<u8, Failure> {
    let client = &connection.client;
    let text = match args.message.as_str() {
        "-" => prompt::read(Some("-"), Needed::Yes, &None)?.unwrap_or_default(),
        text => text.to_owned(),
    };
    let attempt = one(client, &args.attempt).await?.id;
    let message = NewMessage {
        said: Said::Text { text, delivery },
        key: args.key,
    };
    let path = ["attempts", attempt.as_str(), "messages"];
    let taken: Value = client.post(&path, Some(&message)).await?;
    if args.wait {
        return wait(connection, &attempt, json).await;
    }
    match json {
        true => print_json(&json!({ "attempt": attempt, "number": taken["number"] }))?,
        false => print(&format!("{attempt} is told\n"))?,
    }
    tell_if_nobody_works(connection);
    Ok(DONE)
}
