//! `recto repo`: the repositories of the service.

mod add;
mod list;
mod rm;

use std::path::Path;

use super::{block_on_many, print};
use crate::args::{RepoArgs, RepoCommand, Role};
use crate::compose::client::{Client, Connection};
use crate::compose::place::{Place, text};
use crate::exit::Failure;

/// Runs the command.
///
/// # Errors
/// When the server can't be reached, or refuses.
pub fn run(args: RepoArgs) -> Result<u8, Failure> {
    block_on_many(async {
        let json = args.server.json;
        let connection = Connection::open(&args.server, Role::Server).await?;
        let client = &connection.client;
        let ran = match args.command {
            RepoCommand::Add {
                url,
                name,
                reference,
            } => add::run(client, &url, name, reference, json).await,
            RepoCommand::List => list::run(client, json).await,
            RepoCommand::Rm { names } => rm::run(client, &names, json).await,
        };
        let closed = connection.close().await;
        ran.and_then(|code| closed.map(|()| code))
    })
}

/// The URL that somebody means: a directory here is the repository around it.
///
/// # Errors
/// When it is a directory without a repository.
pub(super) fn url_of(client: &Client, given: &str) -> Result<String, Failure> {
    let path = Path::new(given);
    if !client.is_local() || given.contains("://") || !path.is_dir() {
        return Ok(given.to_owned());
    }
    match Place::find(Some(path)) {
        Ok(place) => {
            place.require_repository(false)?;
            Ok(text(place.root()))
        }
        // A bare repository is none to work in, and one to fetch from.
        Err(_) => Ok(text(&path.canonicalize()?)),
    }
}
