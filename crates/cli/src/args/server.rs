//! Which server a command speaks to.

use clap::Args;

/// Which server a command speaks to.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerArgs {
    /// The server, with its token in RECTO_TOKEN; else the one that runs on this machine, and
    /// without one this command is the server for as long as it runs.
    #[arg(long, global = true, value_name = "URL", env = "RECTO_SERVER")]
    pub server: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
}
