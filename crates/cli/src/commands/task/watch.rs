//! `recto task watch`.

use super::follow::{Telling, follow};
use crate::compose::client::Client;
use crate::exit::Failure;

/// Follows a task, or one attempt of it.
pub(super) async fn run(
    client: &Client,
    name: &str,
    output: bool,
    json: bool,
) -> Result<u8, Failure> {
    let (task, attempts) = client.attempts(name).await?;
    let telling = match json {
        true => Telling::Json,
        false => Telling::Lines { output },
    };
    follow(client, &task, attempts, telling).await
}
