//! `recto token`: who the service lets in.

mod create;
mod list;
mod revoke;

use super::{block_on_many, print};
use crate::args::{Role, TokenArgs, TokenCommand};
use crate::compose::client::Connection;
use crate::exit::Failure;

/// Runs the command.
///
/// # Errors
/// When the server can't be reached, or refuses.
pub fn run(args: TokenArgs) -> Result<u8, Failure> {
    block_on_many(async {
        let json = args.server.json;
        let connection = Connection::open(&args.server, Role::Server).await?;
        let client = &connection.client;
        let ran = match args.command {
            TokenCommand::Create { name, scope, days } => {
                create::run(client, name, scope, days, json).await
            }
            TokenCommand::List => list::run(client, json).await,
            TokenCommand::Revoke { ids } => revoke::run(client, &ids, json).await,
        };
        let closed = connection.close().await;
        ran.and_then(|code| closed.map(|()| code))
    })
}
