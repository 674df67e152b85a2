//! `recto repo`.

use clap::{Args, Subcommand};

use super::server::ServerArgs;

/// `recto repo`.
#[derive(Debug, Args)]
pub struct RepoArgs {
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: RepoCommand,
}

/// The commands below `recto repo`.
#[derive(Debug, Subcommand)]
pub enum RepoCommand {
    /// Make a repository known to the server.
    #[command(after_help = "\
Examples:
  recto repo add https://example.com/team/tool.git
  recto repo add . --name tool")]
    Add {
        /// A URL, or a path on the server's machine.
        url: String,
        /// By which tasks name it; else it is made from the URL.
        #[arg(long)]
        name: Option<String>,
        /// The branch that tasks start from; else the repository's own.
        #[arg(long = "ref", value_name = "REF")]
        reference: Option<String>,
    },
    /// List the repositories that the server knows.
    #[command(visible_alias = "ls")]
    List,
    /// Forget repositories; their tasks stay.
    Rm {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
    },
}
