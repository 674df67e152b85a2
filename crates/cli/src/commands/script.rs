//! `recto script`: serves a scripted model, for tests and benchmarks of whole programs.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use recto_model::script::Script;
use recto_model::script::server::{Options, Server};
use tokio::net::TcpListener;

use super::{block_on, print};
use crate::args::ScriptCommand;
use crate::exit::{DONE, Failure};

/// Runs the command.
pub fn run(command: ScriptCommand) -> Result<u8, Failure> {
    match command {
        ScriptCommand::Check { file } => {
            read(&file)?;
            print(&format!("{} can be used\n", file.display()))?;
            Ok(DONE)
        }
        ScriptCommand::Serve {
            file,
            port,
            requests,
        } => {
            let script = read(&file)?;
            block_on(serve(script, port, requests))
        }
    }
}

fn read(file: &std::path::Path) -> Result<Script, Failure> {
    Script::open(file)
        .with_context(|| format!("cannot use the script {}", file.display()))
        .map_err(Failure::usage)
}

/// Serves until SIGINT or SIGTERM.
async fn serve(
    script: Script,
    port: u16,
    requests: Option<std::path::PathBuf>,
) -> Result<u8, Failure> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let options = Options {
        forget_requests: true,
        requests_file: requests,
        ..Options::default()
    };
    let server = Server::new(listener, script, options).context("cannot serve")?;
    let handle = server.handle();
    print(&format!("http://{}\n", handle.address()))?;
    let stop = async {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            asked = tokio::signal::ctrl_c() => asked,
            _ = terminate.recv() => Ok(()),
        }
    };
    tokio::select! {
        served = server.run() => served?,
        asked = stop => asked?,
    }
    handle.stop();
    Ok(DONE)
}
