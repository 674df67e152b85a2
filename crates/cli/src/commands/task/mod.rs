//! `recto task`: the client of the service.

mod apply;
mod archive;
mod diff;
mod follow;
mod line;
mod list;
mod logs;
mod new;
mod retry;
mod rm;
mod say;
mod show;
mod stop;
mod watch;

use anyhow::anyhow;
use recto_protocol::record::Delivery;
use recto_protocol::task::Attempt;
use serde::Serialize;

use super::{block_on_many, print};
use crate::args::{Role, ServerArgs, TaskArgs, TaskCommand};
use crate::compose::client::{Client, Connection};
use crate::exit::Failure;

/// Runs the command.
///
/// # Errors
/// When the server can't be reached, or refuses.
pub fn run(args: TaskArgs) -> Result<u8, Failure> {
    block_on_many(async {
        let TaskArgs { server, command } = args;
        let connection = Connection::open(&server, role(&command)).await?;
        let ran = perform(&connection, &server, command).await;
        let closed = connection.close().await;
        ran.and_then(|code| closed.map(|()| code))
    })
}

/// What this process must do if it is the server itself: work only where the command waits for it.
fn role(command: &TaskCommand) -> Role {
    match command {
        TaskCommand::New(_) | TaskCommand::Watch { .. } => Role::All,
        TaskCommand::Retry { wait: true, .. } => Role::All,
        TaskCommand::Steer(args) | TaskCommand::FollowUp(args) if args.wait => Role::All,
        _ => Role::Server,
    }
}

async fn perform(
    connection: &Connection,
    server: &ServerArgs,
    command: TaskCommand,
) -> Result<u8, Failure> {
    let client = &connection.client;
    let json = server.json;
    match command {
        TaskCommand::New(args) => new::run(connection, *args, json).await,
        TaskCommand::List(args) => list::run(client, args, json).await,
        TaskCommand::Show { task } => show::run(client, &task, json).await,
        TaskCommand::Watch { task, output } => watch::run(client, &task, output, json).await,
        TaskCommand::Logs { attempt } => logs::run(client, &attempt, json).await,
        TaskCommand::Diff { attempt, binary } => diff::run(client, &attempt, binary, json).await,
        TaskCommand::Apply(args) => apply::run(client, &args, json).await,
        TaskCommand::Steer(args) => say::run(connection, args, Delivery::Steer, json).await,
        TaskCommand::FollowUp(args) => say::run(connection, args, Delivery::Queue, json).await,
        TaskCommand::Stop { task } => stop::run(client, &task, json).await,
        TaskCommand::Retry { task, wait } => retry::run(connection, &task, wait, json).await,
        TaskCommand::Archive { tasks, undo } => archive::run(client, &tasks, !undo, json).await,
        TaskCommand::Rm { tasks } => rm::run(client, &tasks, json).await,
    }
}

/// The one attempt that a name means.
async fn one(client: &Client, name: &str) -> Result<Attempt, Failure> {
    let (task, mut attempts) = client.attempts(name).await?;
    match (attempts.pop(), attempts.len()) {
        (Some(attempt), 0) => Ok(attempt),
        (_, more) => {
            let error = anyhow!("task {} has {} attempts", task.id, more + 1);
            let hint = format!("name one of them, such as {}.1", task.id);
            Err(Failure::usage(error).hint(hint))
        }
    }
}

/// Prints one JSON document.
fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text =
        serde_json::to_string(value).map_err(|error| Failure::unavailable(anyhow!(error)))?;
    print(&format!("{text}\n"))
}

/// Tells whoever waits for nothing that nobody works here now.
fn tell_if_nobody_works(connection: &Connection) {
    if connection.is_embedded() {
        crate::output::tell(
            "no server is running: it is worked on by `recto serve`, or by `recto task watch`\n",
        );
    }
}
