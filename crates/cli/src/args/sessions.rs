//! `recto sessions`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `recto sessions`.
#[derive(Debug, Args)]
pub struct SessionsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: SessionsCommand,
}

/// The commands below `recto sessions`.
#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// List sessions, newest first.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Of any directory, not only of this one.
        #[arg(long)]
        all: bool,
        /// At most this many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Show what happened in a session.
    Show {
        /// The session's id, or its beginning.
        id: String,
        /// Print the log's records.
        #[arg(long)]
        json: bool,
        /// Print the output that is kept under this id, as citations name it.
        #[arg(long, value_name = "CHUNK", conflicts_with = "json")]
        chunk: Option<String>,
    },
    /// Write a session as one file that can be checked and kept.
    Export {
        /// The session's id, or its beginning.
        id: String,
        /// The file; standard output when left out or `-`.
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
    /// Remove sessions with everything that belongs to them.
    Rm {
        /// The sessions' ids, or their beginnings.
        #[arg(required = true)]
        ids: Vec<String>,
    },
}
