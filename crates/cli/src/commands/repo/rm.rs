//! `recto repo rm`.

use serde_json::json;

use super::print;
use crate::compose::client::Client;
use crate::exit::{DONE, Failure};
use crate::output::safe::safe_line;

/// Forgets repositories.
pub(super) async fn run(client: &Client, names: &[String], json: bool) -> Result<u8, Failure> {
    for name in names {
        client.delete(&["repositories", name]).await?;
        if !json {
            print(&format!("forgot {}\n", safe_line(name, 100)))?;
        }
    }
    if json {
        print(&format!("{}\n", json!({ "removed": names })))?;
    }
    Ok(DONE)
}
