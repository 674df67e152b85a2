//! `recto repo list`.

use recto_protocol::task::Repository;
use serde_json::json;

use super::print;
use crate::compose::client::Client;
use crate::exit::{DONE, Failure};
use crate::output::safe::safe_line;

/// Prints the list.
pub(super) async fn run(client: &Client, json: bool) -> Result<u8, Failure> {
    let known: Vec<Repository> = client.get(&["repositories"], &[]).await?;
    if json {
        print(&format!("{}\n", json!(known)))?;
        return Ok(DONE);
    }
    let mut out = String::new();
    for one in &known {
        out.push_str(&format!(
            "{:<24}  {}{}\n",
            safe_line(&one.name, 100),
            safe_line(&one.url, 200),
            one.default_reference
                .as_ref()
                .map_or(String::new(), |at| format!(" at {}", safe_line(at, 100))),
        ));
    }
    if out.is_empty() {
        out = "no repositories; `recto repo add` makes one known\n".to_owned();
    }
    print(&out)?;
    Ok(DONE)
}
