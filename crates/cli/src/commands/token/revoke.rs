//! `recto token revoke`.

use serde_json::json;

use super::print;
use crate::compose::client::Client;
use crate::exit::{DONE, Failure};
use crate::output::safe::safe_line;

/// Revokes tokens.
pub(super) async fn run(client: &Client, ids: &[String], json: bool) -> Result<u8, Failure> {
    for id in ids {
        client.delete(&["tokens", id]).await?;
        if !json {
            print(&format!("revoked {}\n", safe_line(id, 60)))?;
        }
    }
    if json {
        print(&format!("{}\n", json!({ "revoked": ids })))?;
    }
    Ok(DONE)
}
