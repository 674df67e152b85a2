//! `recto task archive`.

use recto_protocol::task::{Amendment, Task};

use super::{print, print_json};
use crate::compose::client::Client;
use crate::exit::{DONE, Failure};

/// Takes tasks out of sight, or back.
pub(super) async fn run(
    client: &Client,
    names: &[String],
    archived: bool,
    json: bool,
) -> Result<u8, Failure> {
    // All are found before the first is changed.
    let mut found = Vec::new();
    for name in names {
        found.push(client.task(name).await?);
    }
    let amendment = Amendment {
        archived: Some(archived),
        ..Amendment::default()
    };
    let mut changed: Vec<Task> = Vec::new();
    for task in &found {
        let path = ["tasks", task.id.as_str()];
        changed.push(client.patch(&path, &amendment).await?);
    }
    if json {
        print_json(&changed)?;
        return Ok(DONE);
    }
    let done = match archived {
        true => "archived",
        false => "back",
    };
    for task in &changed {
        print(&format!("{} is {done}\n", task.id))?;
    }
    Ok(DONE)
}
