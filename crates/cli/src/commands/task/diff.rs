//! `recto task diff`.

use std::io::IsTerminal as _;

use serde_json::json;

use super::logs::write;
use super::{one, print_json};
use crate::compose::client::Client;
use crate::exit::{DONE, Failure};
use crate::output::tell;

/// Prints the difference: readable on a terminal, as git wrote it elsewhere.
pub(super) async fn run(
    client: &Client,
    name: &str,
    binary: bool,
    json: bool,
) -> Result<u8, Failure> {
    let attempt = one(client, name).await?.id;
    let path = ["attempts", attempt.as_str(), "diff"];
    let query = [("binary", binary.to_string())];
    let (patch, is_cut) = client.bytes(&path, &query).await?;
    if json {
        let text = String::from_utf8_lossy(&patch);
        print_json(&json!({ "attempt": attempt, "patch": text, "is_cut": is_cut }))?;
        return Ok(DONE);
    }
    write(&patch, std::io::stdout().is_terminal())?;
    if patch.is_empty() {
        tell(&format!("{attempt} has changed nothing so far\n"));
    }
    if is_cut {
        tell("warning: the difference is larger than the server gives, and was cut\n");
    }
    Ok(DONE)
}
