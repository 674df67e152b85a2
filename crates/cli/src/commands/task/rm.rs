//! `recto task rm`.

use serde_json::json;

use super::{print, print_json};
use crate::compose::client::Client;
use crate::exit::{DONE, Failure};

/// Removes tasks.
pub(super) async fn run(client: &Client, names: &[String], json: bool) -> Result<u8, Failure> {
    // All are found before the first is removed.
    let mut found = Vec::new();
    for name in names {
        found.push(client.task(name).await?.id);
    }
    for id in &found {
        client.delete(&["tasks", id.as_str()]).await?;
        if !json {
            print(&format!("removed {id}\n"))?;
        }
    }
    if json {
        print_json(&json!({ "removed": found }))?;
    }
    Ok(DONE)
}
