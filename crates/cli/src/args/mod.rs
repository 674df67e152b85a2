//! Flags as plain values. Nothing here looks at the environment or at files.

mod cell;
mod exec;
mod network;
mod repo;
mod serve;
mod server;
mod sessions;
mod task;
mod token;

use clap::{Parser, Subcommand};

pub use cell::{
    CellArgs, CellCommand, CellOptions, NewArgs, PolicyCommand, RmArgs, RunCellArgs, ShellArgs,
};
pub use exec::{AskArgs, ExecArgs, ExecCommand, RunArgs};
pub use network::NetworkArgs;
pub use repo::{RepoArgs, RepoCommand};
pub use serve::{Role, ServeArgs};
pub use server::ServerArgs;
pub use sessions::{SessionsArgs, SessionsCommand};
pub use task::{ApplyArgs, ListTasksArgs, NewTaskArgs, SayArgs, StateWord, TaskArgs, TaskCommand};
pub use token::{ScopeWord, TokenArgs, TokenCommand};

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  the turn failed, or a required check did
  2  the command line, the configuration or the input can't be used
  3  a budget was used up
  4  the machine lacks something (no cell, disk full, session in use)
  130  interrupted (SIGINT); 143 for SIGTERM

`recto demo` shows the whole of it without a model key.";

/// An open, self-hosted coding agent: hand it a task on a git repository, get a change or an
/// answer with evidence that can be checked.
#[derive(Debug, Parser)]
#[command(name = "recto", version, about, after_help = AFTER_HELP, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Work on a task in the repository here: change code, run its tests, commit.
    #[command(visible_alias = "e")]
    Exec(Box<ExecArgs>),
    /// Answer a question about the repository here, with citations; changes nothing.
    Ask(Box<AskArgs>),
    /// Show the main job on a small repository made for it, without a model key if need be.
    Demo(DemoArgs),
    /// List, show, export and remove sessions.
    Sessions(SessionsArgs),
    /// Run commands in cells as the agent would, keep cells, and look into them.
    Cell(Box<CellArgs>),
    /// Run the service: take tasks in, work on many at once, answer the API.
    Serve(ServeArgs),
    /// Hand in tasks to the service, watch them, steer them, and fetch what came of them.
    #[command(visible_alias = "t")]
    Task(Box<TaskArgs>),
    /// Tell the service which repositories there are.
    Repo(RepoArgs),
    /// Make, list and revoke tokens of the service's API.
    Token(TokenArgs),
    /// Apply a patch in the apply_patch format to the directory here, all of it or nothing.
    ApplyPatch(ApplyPatchArgs),
    /// Show the configuration, each value with where it comes from.
    Config(ConfigArgs),
    /// Tell what works on this machine, and how to mend what does not.
    Doctor(DoctorArgs),
    /// Serve or check a scripted model.
    Script(ScriptArgs),
    /// Print a shell's completion script.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Hold a kept cell; used by the program itself.
    #[command(hide = true)]
    CellKeep,
    /// Work off a patch's journal; used by the program itself.
    #[command(hide = true)]
    CommitJournal {
        /// The journal.
        path: std::path::PathBuf,
    },
}

/// `recto demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Use the bundled script even if a provider is configured.
    #[arg(long)]
    pub script: bool,
    /// The model to use, if a provider is configured.
    #[arg(short, long)]
    pub model: Option<String>,
    /// Keep the repository that was made, and say where it lies.
    #[arg(long)]
    pub keep: bool,
    /// What commands may do.
    #[arg(short, long, value_name = "ACCESS")]
    pub sandbox: Option<String>,
}

/// `recto apply-patch`.
#[derive(Debug, clap::Args)]
pub struct ApplyPatchArgs {
    /// The patch; read from standard input when left out or `-`.
    pub patch: Option<String>,
}

/// `recto config`.
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// What to show.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// The commands below `recto config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show each value with its origin.
    Show {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Use this profile of the configuration.
        #[arg(short, long)]
        profile: Option<String>,
        /// Set a configuration value, as a dotted key and a TOML value.
        #[arg(short, long, value_name = "KEY=VALUE")]
        config: Vec<String>,
    },
    /// Print the JSON schema of the configuration file.
    Schema,
}

/// `recto doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Do not try to reach the provider.
    #[arg(long)]
    pub offline: bool,
}

/// `recto script`.
#[derive(Debug, clap::Args)]
pub struct ScriptArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ScriptCommand,
}

/// The commands below `recto script`.
#[derive(Debug, Subcommand)]
pub enum ScriptCommand {
    /// Serve a scripted model on loopback, speaking the Responses API.
    Serve {
        /// The script.
        file: std::path::PathBuf,
        /// The port; 0 takes a free one. The address is printed on standard output.
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// Append every request's body to this file, one per line.
        #[arg(long, value_name = "FILE")]
        requests: Option<std::path::PathBuf>,
    },
    /// Check that a script can be read.
    Check {
        /// The script.
        file: std::path::PathBuf,
    },
}
