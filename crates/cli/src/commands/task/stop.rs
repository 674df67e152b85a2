//! `recto task stop`.

use recto_protocol::task::{NewMessage, Said};
use serde_json::{Value, json};

use super::{one, print, print_json};
use crate::compose::client::Client;
use crate::exit::{DONE, Failure};
use crate::output::safe::safe_line;

/// Stops a task, or one attempt of it.
pub(super) async fn run(client: &Client, name: &str, json: bool) -> Result<u8, Failure> {
    let stopped = match name.contains('.') {
        true => stop_one(client, name).await?,
        false => {
            let task = client.task(name).await?;
            let path = ["tasks", task.id.as_str(), "stop"];
            client.post(&path, None::<&Value>).await?
        }
    };
    if json {
        print_json(&stopped)?;
        return Ok(DONE);
    }
    let ids = stopped["stopped"].as_array().cloned().unwrap_or_default();
    let mut out = String::new();
    for id in ids.iter().filter_map(Value::as_str) {
        out.push_str(&format!("{} is told to stop\n", safe_line(id, 60)));
    }
    if out.is_empty() {
        out = "nothing ran\n".to_owned();
    }
    print(&out)?;
    Ok(DONE)
}

async fn stop_one(client: &Client, name: &str) -> Result<Value, Failure> {
    let attempt = one(client, name).await?;
    if attempt.state.has_ended() {
        return Ok(json!({ "stopped": [] }));
    }
    let message = NewMessage {
        said: Said::Stop {
            by: "recto task stop".to_owned(),
        },
        key: None,
    };
    let path = ["attempts", attempt.id.as_str(), "messages"];
    client.post::<Value>(&path, Some(&message)).await?;
    Ok(json!({ "stopped": [attempt.id] }))
}
