//! `recto repo add`.

use recto_protocol::task::{NewRepository, Repository};
use serde_json::json;

use super::{print, url_of};
use crate::compose::client::Client;
use crate::exit::{DONE, Failure};
use crate::output::safe::safe_line;

/// Makes a repository known.
pub(super) async fn run(
    client: &Client,
    url: &str,
    name: Option<String>,
    reference: Option<String>,
    json: bool,
) -> Result<u8, Failure> {
    let new = NewRepository {
        name,
        url: url_of(client, url)?,
        default_reference: reference,
    };
    let added: Repository = client.post(&["repositories"], Some(&new)).await?;
    match json {
        true => print(&format!("{}\n", json!(added)))?,
        false => print(&format!("{}\n", safe_line(&added.name, 100)))?,
    }
    Ok(DONE)
}
