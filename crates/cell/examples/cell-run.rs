//! Runs one command in a cell: `cell-run --work-tree DIR [--read-only] [--direct] [--gvisor] [--open]
//! [--tty] [--git-layer DIR] [--work-layer DIR] [--setup DIR] [--lower DIR] -- CMD…`.

use std::io::Write;
use std::process::ExitCode;

use futures_util::StreamExt;
use recto_cell::{Backend, CellSpec, GitView, Layer, RootView, launch};
use recto_protocol::policy::{Access, Network, Policy};
use recto_protocol::ports::cell::{CellError, Command, ExitStatus, ProcessEvent, TtySize};

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().collect();
    if args.get(1).map(String::as_str) == Some("cell-init") {
        return recto_cell::init_main(args.drain(2..).map(Into::into));
    }
    let mut policy = Policy::default();
    let mut work_tree = std::env::current_dir().unwrap_or_default();
    let mut backend = Backend::default();
    let mut tty = None;
    let (mut git, mut work, mut root) = (GitView::Scratch, None, RootView::default());
    let layer = |directory: Option<String>| {
        let directory = std::path::PathBuf::from(directory.unwrap_or_default());
        Layer::make(&directory).unwrap_or(Layer::at(directory))
    };
    let mut words = args.into_iter().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--work-tree" => work_tree = words.next().unwrap_or_default().into(),
            "--read-only" => policy.access = Access::ReadOnly,
            "--direct" => policy.access = Access::DangerFullAccess,
            "--gvisor" => backend = Backend::Gvisor,
            "--open" => policy.network = Network::Open,
            "--tty" => tty = Some(TtySize { rows: 24, cols: 80 }),
            "--git-layer" => git = GitView::Layer(layer(words.next())),
            "--work-layer" => work = Some(layer(words.next())),
            "--setup" => root.setup = Some(layer(words.next())),
            "--lower" => root.lowers.push(layer(words.next())),
            _ => break,
        }
    }
    let mut spec = CellSpec::new(policy, work_tree);
    spec.backend = backend;
    if let (Ok(home), Ok(path)) = (std::env::var("HOME"), std::env::var("PATH")) {
        spec = spec.with_tools_of(home.as_ref(), &path);
    }
    (spec.git, spec.work_layer, spec.root) = (git, work, root);
    let argv: Vec<String> = words.collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = runtime.map(|runtime| runtime.block_on(run(spec, argv, tty)));
    match result {
        Ok(Ok(ExitStatus::Code(code))) => ExitCode::from(code as u8),
        Ok(Ok(ExitStatus::Signal(signal))) => ExitCode::from(128 + signal as u8),
        Ok(Ok(ExitStatus::CellGone)) => ExitCode::from(125),
        Ok(Err(error)) => {
            let cause = std::error::Error::source(&error).map(|c| format!(": {c}"));
            let remedy = match &error {
                CellError::Unavailable { remedy, .. } => format!("\n{remedy}"),
                _ => String::new(),
            };
            let text = format!("{error}{}{remedy}\n", cause.unwrap_or_default());
            let _ = std::io::stderr().write_all(text.as_bytes());
            ExitCode::from(125)
        }
        Err(_) => ExitCode::from(125),
    }
}

async fn run(
    spec: CellSpec,
    argv: Vec<String>,
    tty: Option<TtySize>,
) -> Result<ExitStatus, CellError> {
    let cell = launch(spec).await?;
    let mut process = cell
        .spawn(Command {
            argv,
            tty,
            ..Command::default()
        })
        .await?;
    let mut status = ExitStatus::CellGone;
    while let Some(event) = process.events.next().await {
        match event {
            ProcessEvent::Output(bytes) => {
                let _ = std::io::stdout().write_all(&bytes);
            }
            ProcessEvent::Dropped(bytes) => {
                let _ = writeln!(std::io::stdout(), "\n[{bytes} bytes dropped]");
            }
            ProcessEvent::Limited(limited) => {
                let _ = writeln!(std::io::stdout(), "\n[{}]", limited.text);
            }
            ProcessEvent::Exited(exit) => status = exit,
        }
    }
    let _ = std::io::stdout().flush();
    cell.close().await;
    Ok(status)
}
