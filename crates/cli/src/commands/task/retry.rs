//! `recto task retry`.

use recto_protocol::AttemptId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::follow::wait;
use super::{print, print_json, tell_if_nobody_works};
use crate::compose::client::Connection;
use crate::exit::{DONE, Failure};

#[derive(Serialize, Deserialize)]
struct Made {
    attempt: AttemptId,
}

/// Makes one more attempt.
pub(super) async fn run(
    connection: &Connection,
    name: &str,
    is_waiting: bool,
    json: bool,
) -> Result<u8, Failure> {
    let client = &connection.client;
    let task = client.task(name).await?;
    let path = ["tasks", task.id.as_str(), "attempts"];
    let made: Made = client.post(&path, None::<&Value>).await?;
    if is_waiting {
        return wait(connection, &made.attempt, json).await;
    }
    match json {
        true => print_json(&made)?,
        false => print(&format!("{}\n", made.attempt))?,
    }
    tell_if_nobody_works(connection);
    Ok(DONE)
}
