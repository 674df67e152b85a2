//! `exec_command`: runs a shell command in the cell.

use std::sync::Arc;
use std::time::{Duration, Instant};

use recto_protocol::policy::Access;
use recto_protocol::ports::cell::{CellError, Command, ExitStatus, Process, TtySize};
use recto_protocol::tool::{Effect, ToolCall, ToolStatus};
use serde::Deserialize;

use super::process::{Running, StartError, Started};
use super::{ToolResult, Tools, bounded, patch, wall_time};

/// Milliseconds to wait for a command before it goes on in the background.
const DEFAULT_YIELD: f64 = 10_000.0;
const LEAST_YIELD: f64 = 250.0;
const MOST_YIELD: f64 = 30_000.0;
/// The kernel takes no longer argument (`MAX_ARG_STRLEN`, 128 KiB with its end).
const LONGEST_COMMAND: usize = 128 * 1024 - 1;
const TERMINAL: TtySize = TtySize {
    rows: 40,
    cols: 120,
};

#[derive(Deserialize)]
pub(super) struct Args {
    cmd: String,
    workdir: Option<String>,
    shell: Option<String>,
    #[serde(default)]
    login: bool,
    #[serde(default)]
    tty: bool,
    yield_time_ms: Option<f64>,
    max_output_tokens: Option<f64>,
}

/// Whether the command is nothing but a patch in a heredoc.
pub(super) fn is_patch(call: &ToolCall) -> bool {
    serde_json::from_str::<Args>(call.input.text())
        .is_ok_and(|args| recto_patch::shell_patch(&args.cmd).is_some())
}

pub(super) async fn run(tools: &Tools, call: &ToolCall, args: Args, access: Access) -> ToolResult {
    let shell = bounded("shell", args.shell.as_deref());
    if let Err(rejected) = shell.and(bounded("workdir", args.workdir.as_deref())) {
        return rejected;
    }
    if let Some(found) = recto_patch::shell_patch(&args.cmd) {
        return heredoc(tools, &args, found, access).await;
    }
    if args.cmd.contains('\0') {
        return ToolResult::rejected("the command holds a NUL character");
    }
    if args.cmd.len() > LONGEST_COMMAND {
        return ToolResult::rejected(format!(
            "the command has {} bytes and the limit is {LONGEST_COMMAND}: write it to a file first",
            args.cmd.len()
        ));
    }
    if tools.processes.running() >= tools.limits.running_commands {
        return ToolResult::rejected(format!(
            "{} commands are running already: end some with write_stdin first",
            tools.limits.running_commands
        ));
    }
    let started = Instant::now();
    match start(tools, call, &args).await {
        Ok(running) => {
            let patience = milliseconds(args.yield_time_ms, DEFAULT_YIELD);
            report(
                tools,
                &running,
                None,
                started,
                patience,
                tokens(args.max_output_tokens),
            )
            .await
        }
        Err(error) => {
            let text = format!("exec_command failed: {error}");
            ToolResult::failed(text, Effect::None).with_cell_gone(error.is_cell_gone())
        }
    }
}

async fn start(tools: &Tools, call: &ToolCall, args: &Args) -> Result<Arc<Running>, StartError> {
    let chunk = tools.chunks.create()?;
    let started = Started {
        process: spawn(tools, args).await?,
        chunk,
        shown_as: args.cmd.clone(),
        tty: args.tty,
        call: Some(call.call_id.clone()),
    };
    let timeout = tools.limits.command_timeout;
    Ok(Running::watch(started, &tools.live, timeout))
}

/// Starts the command in the shell it names, else in the first that the cell has.
async fn spawn(tools: &Tools, args: &Args) -> Result<Process, CellError> {
    let shells = match &args.shell {
        Some(shell) => vec![shell.as_str()],
        None => vec!["bash", "sh"],
    };
    let mut refused = None;
    for shell in shells {
        let spec = Command {
            argv: vec![
                shell.to_owned(),
                if args.login { "-lc" } else { "-c" }.to_owned(),
                args.cmd.clone(),
            ],
            cwd: Some(tools.directory(args.workdir.as_deref())),
            tty: args.tty.then_some(TERMINAL),
            stdin: args.tty,
            ..Command::default()
        };
        match tools.cell.spawn(spec).await {
            Err(error @ CellError::Spawn { .. }) => refused = refused.or(Some(error)),
            other => return other,
        }
    }
    Err(refused.unwrap_or(CellError::Gone))
}

/// A patch written as a shell heredoc is applied as a patch: the program need not exist inside.
async fn heredoc(
    tools: &Tools,
    args: &Args,
    found: recto_patch::ShellPatch<'_>,
    access: Access,
) -> ToolResult {
    let outer = tools.directory(args.workdir.as_deref());
    let directory = match found.workdir {
        None => outer,
        Some(inner) if inner.starts_with('/') => inner.to_owned(),
        Some(inner) => format!("{}/{inner}", outer.trim_end_matches('/')),
    };
    patch::apply(tools, found.patch.to_owned(), directory, access).await
}

/// Waits for a command and says what it said.
pub(super) async fn report(
    tools: &Tools,
    running: &Arc<Running>,
    number: Option<u32>,
    started: Instant,
    patience: Duration,
    max_tokens: Option<usize>,
) -> ToolResult {
    let status = running.wait(patience).await;
    let shown = running.show(max_tokens);
    let mut session = None;
    let line = match status {
        Some(ExitStatus::Code(code)) => format!("Process exited with code {code}"),
        Some(ExitStatus::Signal(signal)) => format!("Process ended by signal {signal}"),
        Some(ExitStatus::CellGone) => "Process ended with its cell".to_owned(),
        None => {
            let number = number.unwrap_or_else(|| tools.processes.add(Arc::clone(running)));
            session = Some(number);
            format!("Process running with session ID {number}")
        }
    };
    if let (Some(_), Some(number)) = (status, number) {
        tools.processes.remove(number);
    }
    let output = format!(
        "Chunk ID: {}\nWall time: {} seconds\n{line}\nOriginal token count: {}\nOutput:\n{}",
        running.chunk,
        wall_time(started),
        shown.tokens,
        shown.text
    );
    let failed = !matches!(status, None | Some(ExitStatus::Code(0)));
    let effect = Effect::Command {
        command: running.command.clone(),
        exit_code: match status {
            Some(ExitStatus::Code(code)) => Some(code),
            Some(ExitStatus::Signal(_) | ExitStatus::CellGone) | None => None,
        },
        session,
        chunk: Some(running.chunk.clone()),
        output_bytes: running.bytes(),
        output_lines: running.lines(),
    };
    ToolResult {
        status: if failed {
            ToolStatus::Failed
        } else {
            ToolStatus::Ok
        },
        output: output.into(),
        effect,
        cell_gone: status == Some(ExitStatus::CellGone),
    }
}

pub(super) fn milliseconds(given: Option<f64>, default: f64) -> Duration {
    let wanted = given.filter(|ms| ms.is_finite()).unwrap_or(default);
    Duration::from_secs_f64(wanted.clamp(LEAST_YIELD, MOST_YIELD) / 1000.0)
}

pub(super) fn tokens(given: Option<f64>) -> Option<usize> {
    // Saturates: nonsense becomes the nearest sensible number, and the limit clamps it.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    given.map(|tokens| tokens as usize)
}
