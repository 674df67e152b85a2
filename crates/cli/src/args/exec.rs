//! `recto exec` and `recto ask`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::network::NetworkArgs;

/// `recto exec`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = false,
    subcommand_precedence_over_arg = true
)]
pub struct ExecArgs {
    /// How to run.
    #[command(flatten)]
    pub run: RunArgs,
    /// The task; `-` or nothing reads it from standard input. With a task given, piped input is
    /// added to it.
    pub prompt: Option<String>,
    /// Go on with an earlier session.
    #[command(subcommand)]
    pub command: Option<ExecCommand>,
}

/// `recto ask`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = false,
    subcommand_precedence_over_arg = true
)]
pub struct AskArgs {
    /// How to run.
    #[command(flatten)]
    pub run: RunArgs,
    /// The question; `-` or nothing reads it from standard input.
    pub prompt: Option<String>,
    /// Go on with an earlier session.
    #[command(subcommand)]
    pub command: Option<ExecCommand>,
}

/// Going on with an earlier session.
#[derive(Clone, Debug, Subcommand)]
pub enum ExecCommand {
    /// Go on with a session: finish its unfinished turn, or begin another one.
    Resume {
        /// The session's id; with --last this is the prompt instead.
        id: Option<String>,
        /// The next message; `-` reads it from standard input.
        prompt: Option<String>,
        /// Take the newest session of this directory.
        #[arg(long)]
        last: bool,
        /// With --last: of any directory.
        #[arg(long)]
        all: bool,
    },
    /// Begin a new session with the history of another one.
    Fork {
        /// The session's id.
        id: String,
        /// The next message; `-` reads it from standard input.
        prompt: Option<String>,
        /// Take over records up to this number only.
        #[arg(long, value_name = "SEQ")]
        at: Option<u64>,
    },
}

/// A sum of money as the command line gives it.
pub(super) fn dollars(given: &str) -> Result<f64, String> {
    given
        .parse()
        .map_err(|_| "not a number of dollars, such as 2.5".to_owned())
}

/// How to run a session.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// Print events as JSON lines on standard output.
    #[arg(long, visible_alias = "experimental-json", global = true)]
    pub json: bool,
    /// With --json: also an event per piece of text.
    #[arg(long, global = true, requires = "json")]
    pub deltas: bool,
    /// The model, or `script:FILE` for a scripted one.
    #[arg(short, long, global = true)]
    pub model: Option<String>,
    /// The provider to use, by its name in the configuration.
    #[arg(long, global = true)]
    pub provider: Option<String>,
    /// Work in this directory.
    #[arg(short = 'C', long, global = true, value_name = "DIR")]
    pub cd: Option<PathBuf>,
    /// Images to send along.
    #[arg(short, long, global = true, value_name = "FILE[,FILE]")]
    pub image: Vec<PathBuf>,
    /// What commands may do: read-only, workspace-write or danger-full-access.
    #[arg(short, long, global = true, value_name = "ACCESS")]
    pub sandbox: Option<String>,
    /// A further directory that may be written.
    #[arg(long, global = true, value_name = "DIR")]
    pub add_dir: Vec<PathBuf>,
    /// What commands may reach.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// A file with the JSON schema that the final answer must fit.
    #[arg(long, global = true, value_name = "FILE")]
    pub output_schema: Option<PathBuf>,
    /// Also write the final answer to this file.
    #[arg(short, long, global = true, value_name = "FILE")]
    pub output_last_message: Option<PathBuf>,
    /// Set a configuration value, as a dotted key and a TOML value.
    #[arg(short, long, global = true, value_name = "KEY=VALUE")]
    pub config: Vec<String>,
    /// Use this profile of the configuration.
    #[arg(short, long, global = true)]
    pub profile: Option<String>,
    /// Run outside a git repository too.
    #[arg(long, global = true)]
    pub skip_git_repo_check: bool,
    /// Keep no session on disk.
    #[arg(long, global = true)]
    pub ephemeral: bool,
    /// Write what the model says as a script, which replays the session without a model.
    #[arg(long, global = true, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Stop after this many model responses in one turn.
    #[arg(long, global = true, value_name = "N")]
    pub max_steps: Option<u32>,
    /// Stop when the session has cost this many dollars.
    #[arg(long, global = true, value_name = "DOLLARS", value_parser = dollars)]
    pub max_cost: Option<f64>,
    /// Stop when the session has used this many tokens.
    #[arg(long, global = true, value_name = "N")]
    pub max_tokens: Option<u64>,
    /// Stop a turn after this many seconds.
    #[arg(long, global = true, value_name = "SECONDS")]
    pub max_seconds: Option<u64>,
    /// How long the model may think: minimal, low, medium, high.
    #[arg(long, global = true)]
    pub effort: Option<String>,
    /// A command that must pass before the work counts as done. With resume and fork, in place of
    /// those that the session had.
    #[arg(long, global = true, value_name = "CMD")]
    pub check: Vec<String>,
    /// When to use colours: auto, always or never.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto",
          value_parser = ["auto", "always", "never"])]
    pub color: String,
    /// Accepted from SDKs and without effect: nobody is told where sessions come from.
    #[arg(long, global = true, hide = true)]
    #[allow(dead_code, reason = "without effect")]
    pub thread_source: Option<String>,
    /// Accepted from SDKs and without effect: it is for a provider's own program.
    #[arg(long, global = true, hide = true)]
    #[allow(dead_code, reason = "without effect")]
    pub cyber_access_program: Option<String>,
}
