//! `recto serve`: the service, until it is stopped.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::args::ServeArgs;
use crate::compose::home::Home;
use crate::compose::server::{Options, Server};
use crate::exit::{DONE, Failure};
use crate::output::tell;

/// Runs the command.
///
/// # Errors
/// When the server can't be started, or a part of it fails.
pub fn run(args: ServeArgs) -> Result<u8, Failure> {
    super::logging::begin(args.json);
    super::block_on_many(serve(args))
}

async fn serve(args: ServeArgs) -> Result<u8, Failure> {
    let home = Home::find()?;
    // Heard from the start, so that a signal while starting is not lost.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let options = Options {
        listen: args.listen,
        hosts: args.host,
        capacity: usize::from(args.attempts),
        store: args.store,
        role: args.role,
        lease: Duration::from_secs(u64::from(args.lease.max(1))),
        is_announced: true,
        is_passing: false,
    };
    let server = Server::start(&home, options).await?;
    match &server.url {
        Some(url) => tell(&format!("recto serves on {url}\n")),
        None => tell("recto works\n"),
    }
    let mut asked = false;
    let stop = server.stopper();
    let waited = server.wait();
    tokio::pin!(waited);
    loop {
        tokio::select! {
            ended = &mut waited => return ended.map(|()| DONE),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if asked {
            // The cells die with this process; what was recorded is kept.
            std::process::exit(i32::from(crate::exit::INTERRUPTED));
        }
        asked = true;
        tell("finishing the steps that run; once more stops at once\n");
        stop.cancel();
    }
}
