//! `recto task`.

use clap::{Args, Subcommand, ValueEnum};

use super::exec::dollars;
use super::server::ServerArgs;

/// `recto task`.
#[derive(Debug, Args)]
pub struct TaskArgs {
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: TaskCommand,
}

/// The commands below `recto task`. Tasks are named by their ids or the beginnings of them, and an
/// attempt by its task, a full stop and its number.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// Hand in a task on the repository here.
    #[command(after_help = "\
Examples:
  recto task new \"Fix the failing test\" --wait
  recto task new - --attempts 3 --check 'cargo test' < task.md
  recto task new --ask \"Where are sessions written?\" --repo team/tool --ref main --wait

Without a running server, this command is the server until the task has ended.")]
    New(Box<NewTaskArgs>),
    /// List tasks, the newest first.
    #[command(visible_alias = "ls")]
    List(ListTasksArgs),
    /// Show a task with its attempts.
    Show {
        /// The task.
        task: String,
    },
    /// Follow a task until it has ended.
    Watch {
        /// The task, or one attempt of it.
        task: String,
        /// Also print what running commands say.
        #[arg(long)]
        output: bool,
    },
    /// Print the commands of an attempt with their outputs.
    Logs {
        /// The attempt, or a task that has one.
        attempt: String,
    },
    /// Print the difference that an attempt's work makes.
    Diff {
        /// The attempt, or a task that has one.
        attempt: String,
        /// Write binary files whole, so that `git apply` takes it anywhere.
        #[arg(long)]
        binary: bool,
    },
    /// Bring an attempt's work into the work tree here, by a merge of three sides.
    Apply(ApplyArgs),
    /// Say something to an attempt, which takes it in after the step it is at.
    Steer(SayArgs),
    /// Say something to an attempt, which takes it in when it would otherwise end.
    FollowUp(SayArgs),
    /// Stop a task or one attempt; everything is kept.
    Stop {
        /// The task, or one attempt of it.
        task: String,
    },
    /// Make one more attempt of a task.
    Retry {
        /// The task.
        task: String,
        /// Follow it until it has ended, and exit by its outcome.
        #[arg(long)]
        wait: bool,
    },
    /// Take tasks out of sight, or back.
    Archive {
        /// The tasks.
        #[arg(required = true)]
        tasks: Vec<String>,
        /// Bring them back.
        #[arg(long)]
        undo: bool,
    },
    /// Remove tasks with everything that belongs to them.
    Rm {
        /// The tasks.
        #[arg(required = true)]
        tasks: Vec<String>,
    },
}

/// `recto task new`.
#[derive(Clone, Debug, Args)]
pub struct NewTaskArgs {
    /// What to do; `-` or nothing reads it from standard input. With a text given, piped input is
    /// added to it.
    pub prompt: Option<String>,
    /// A question: nothing is changed.
    #[arg(long)]
    pub ask: bool,
    /// The repository: a name that the server knows, a URL or a path; else the one here.
    #[arg(long, value_name = "REPOSITORY")]
    pub repo: Option<String>,
    /// The branch, tag or commit to start from; else what is checked out here.
    #[arg(long = "ref", value_name = "REF")]
    pub reference: Option<String>,
    /// How many attempts are made, each for itself.
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=4))]
    pub attempts: u32,
    /// The provider to use, by its name in the server's configuration.
    #[arg(long)]
    pub provider: Option<String>,
    /// The model; else as the server is configured.
    #[arg(short, long)]
    pub model: Option<String>,
    /// How long the model may think: minimal, low, medium, high.
    #[arg(long)]
    pub effort: Option<String>,
    /// Stop when an attempt has cost this many dollars.
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    pub max_cost: Option<f64>,
    /// Stop after this many model responses in one turn.
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u32>,
    /// Stop a turn after this many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub max_seconds: Option<u64>,
    /// A command that must pass before the work counts as done.
    #[arg(long, value_name = "CMD")]
    pub check: Vec<String>,
    /// One line for lists; else it is made from the prompt.
    #[arg(long)]
    pub title: Option<String>,
    /// A word to find it by.
    #[arg(long)]
    pub label: Vec<String>,
    /// Handing in twice under one key gives one task.
    #[arg(long)]
    pub key: Option<String>,
    /// Follow it until it has ended, and exit by its outcome.
    #[arg(long)]
    pub wait: bool,
}

/// `recto task list`.
#[derive(Clone, Debug, Args)]
pub struct ListTasksArgs {
    /// With an attempt in this state.
    #[arg(long, value_enum)]
    pub state: Option<StateWord>,
    /// Of this repository.
    #[arg(long, value_name = "REPOSITORY")]
    pub repo: Option<String>,
    /// With this label.
    #[arg(long)]
    pub label: Option<String>,
    /// Whose title, prompt or answers hold all of these words.
    #[arg(long, value_name = "WORDS")]
    pub search: Option<String>,
    /// Those out of sight instead.
    #[arg(long)]
    pub archived: bool,
    /// At most this many.
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
}

/// `recto task steer` and `recto task follow-up`.
#[derive(Clone, Debug, Args)]
pub struct SayArgs {
    /// The attempt, or a task that has one.
    pub attempt: String,
    /// What to say; `-` reads it from standard input.
    pub message: String,
    /// Sending twice under one key says it once.
    #[arg(long)]
    pub key: Option<String>,
    /// Follow it until it has ended, and exit by its outcome.
    #[arg(long)]
    pub wait: bool,
}

/// The states of attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum StateWord {
    Queued,
    Preparing,
    Running,
    Awaiting,
    Done,
    Failed,
    Cancelled,
    OutOfBudget,
}

/// `recto task apply`.
#[derive(Debug, clap::Args)]
pub struct ApplyArgs {
    /// The attempt, or a task that has one.
    pub attempt: String,
    /// Only try, and say whether it fits.
    #[arg(long)]
    pub check: bool,
    /// Bring it in also where it conflicts, with the conflicts marked in the files.
    #[arg(long, conflicts_with = "check")]
    pub conflicts: bool,
    /// Apply it in this directory.
    #[arg(short = 'C', long, value_name = "DIR")]
    pub cd: Option<std::path::PathBuf>,
}
