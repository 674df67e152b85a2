//! `recto token`.

use clap::{Args, Subcommand, ValueEnum};

use super::server::ServerArgs;

/// `recto token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: TokenCommand,
}

/// The commands below `recto token`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, and print its secret, which is not shown again.
    Create {
        /// What it is for.
        name: String,
        /// What its holder may do; each allows what stands before it.
        #[arg(long, value_enum, default_value_t = ScopeWord::Write)]
        scope: ScopeWord,
        /// After how many days it is not taken any more; else never.
        #[arg(long, value_name = "N")]
        days: Option<u32>,
    },
    /// List all tokens.
    #[command(visible_alias = "ls")]
    List,
    /// Revoke tokens: they let nobody in from now on.
    Revoke {
        /// Their ids.
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// What a token's holder may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScopeWord {
    /// Look at everything.
    Read,
    /// Hand in and change tasks.
    Write,
    /// Add repositories, make tokens.
    Admin,
}
