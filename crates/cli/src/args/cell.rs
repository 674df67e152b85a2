//! `recto cell`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::network::NetworkArgs;
use crate::compose::cells::name;

/// `recto cell`.
#[derive(Debug, Args)]
pub struct CellArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: CellCommand,
}

/// The commands below `recto cell`.
#[derive(Debug, Subcommand)]
pub enum CellCommand {
    /// Run a command in a cell, just as the agent would.
    #[command(after_help = "\
Examples:
  recto cell run -- cargo test
  recto cell run -s read-only -- sh -c 'touch x || echo refused'
  recto cell run --in web -- curl -s http://localhost:8000/
  recto cell run --preset python -- pip install --target lib six
  recto cell run --learn -- npm ci

The exit code is the command's; 127 when it could not be started.")]
    Run(RunCellArgs),
    /// Open a shell in a cell.
    #[command(after_help = "\
Examples:
  recto cell shell             # in a cell of its own, which ends with the shell
  recto cell shell --in web    # in a kept cell")]
    Shell(ShellArgs),
    /// Make a cell that lives on, and print its id.
    #[command(after_help = "\
Examples:
  recto cell new --name web
  recto cell run --in web -- sh -c 'python3 -m http.server >/tmp/log 2>&1 &'
  recto cell run --in web -- curl -s http://localhost:8000/
  recto cell rm web")]
    New(NewArgs),
    /// List kept cells.
    Ls {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// End kept cells with everything in them.
    Rm(RmArgs),
    /// Show what kept cells take.
    Stats {
        /// The cell's name, or the beginning of its id; all when left out.
        name: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Look at what a cell may do.
    Policy {
        /// What to do.
        #[command(subcommand)]
        command: PolicyCommand,
    },
}

/// What a cell is made with.
#[derive(Clone, Debug, Default, Args)]
pub struct CellOptions {
    /// Work in this directory.
    #[arg(short = 'C', long, value_name = "DIR")]
    pub cd: Option<PathBuf>,
    /// What commands may do: read-only, workspace-write or danger-full-access.
    #[arg(short, long, value_name = "ACCESS")]
    pub sandbox: Option<String>,
    /// A further directory that may be written.
    #[arg(long, value_name = "DIR")]
    pub add_dir: Vec<PathBuf>,
    /// What commands may reach.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Write into this directory what commands change in the work tree, which stays as it is.
    #[arg(long, value_name = "DIR")]
    pub work_layer: Option<PathBuf>,
    /// Show the system with what this directory holds over it; may be given again, the topmost first.
    #[arg(long, value_name = "DIR")]
    pub system_layer: Vec<PathBuf>,
    /// Let commands change the system as its root, into the first --system-layer. Nothing outside
    /// changes. Needs to be root.
    #[arg(long, requires = "system_layer")]
    pub fake_root: bool,
    /// Set a configuration value, as a dotted key and a TOML value.
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub config: Vec<String>,
    /// Use this profile of the configuration.
    #[arg(short, long)]
    pub profile: Option<String>,
}

/// `recto cell run`.
#[derive(Debug, Args)]
pub struct RunCellArgs {
    /// What the cell is made with.
    #[command(flatten)]
    pub options: CellOptions,
    /// Use this kept cell: its name, or the beginning of its id.
    #[arg(long = "in", value_name = "NAME",
          conflicts_with_all = ["sandbox", "add_dir", "config", "profile", "network", "allow",
                                "preset", "work_layer", "system_layer", "fake_root"])]
    pub kept: Option<String>,
    /// Give the command a terminal.
    #[arg(short, long)]
    pub tty: bool,
    /// Let commands reach everything public, and print the rules that would have been enough.
    #[arg(long, conflicts_with_all = ["kept", "network", "allow", "preset"])]
    pub learn: bool,
    /// Give the command this variable of the environment, and nothing else: whatever it starts is
    /// killed when it ends, no file may hold the value, and what it commits does not come home.
    #[arg(long, value_name = "VARIABLE", conflicts_with = "kept")]
    pub secret: Vec<String>,
    /// The command and its arguments.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "CMD"
    )]
    pub command: Vec<String>,
}

/// `recto cell shell`.
#[derive(Debug, Args)]
pub struct ShellArgs {
    /// What the cell is made with.
    #[command(flatten)]
    pub options: CellOptions,
    /// Use this kept cell: its name, or the beginning of its id.
    #[arg(long = "in", value_name = "NAME",
          conflicts_with_all = ["sandbox", "add_dir", "config", "profile", "network", "allow",
                                "preset", "work_layer", "system_layer", "fake_root"])]
    pub kept: Option<String>,
}

/// `recto cell new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// What the cell is made with.
    #[command(flatten)]
    pub options: CellOptions,
    /// A name for it: small letters, digits, dots, hyphens and underscores.
    #[arg(long, value_parser = name)]
    pub name: Option<String>,
    /// End it when no command has run for so many seconds; `none` keeps it until it is removed.
    #[arg(long, value_name = "SECONDS", default_value = "43200", value_parser = idle)]
    pub idle: Idle,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `recto cell rm`.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// The cells' names, or the beginnings of their ids.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub names: Vec<String>,
    /// All of them.
    #[arg(long)]
    pub all: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// The commands below `recto cell policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Tell what a cell made here would show, hide and protect, and why. Makes none.
    Explain {
        /// What the cell would be made with.
        #[command(flatten)]
        options: CellOptions,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// How long a cell may lie idle: seconds, none for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle(pub Option<u64>);

fn idle(given: &str) -> Result<Idle, String> {
    if given == "none" {
        return Ok(Idle(None));
    }
    match given.parse() {
        Ok(seconds) if seconds > 0 => Ok(Idle(Some(seconds))),
        _ => Err("a number of seconds from 1, or `none`".to_owned()),
    }
}
