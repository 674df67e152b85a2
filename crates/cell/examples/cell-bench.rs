//! Measures cells: `cell-bench [ROUNDS [TREE]]`. Medians and best tenths in milliseconds beside a plain spawn.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use futures_util::StreamExt;
use recto_cell::{CellSpec, launch};
use recto_protocol::policy::Policy;
use recto_protocol::ports::cell::{Cell, CellError, Command, ProcessEvent};

fn main() -> ExitCode {
    let mut args: Vec<_> = std::env::args_os().collect();
    if args.get(1).is_some_and(|word| word == "cell-init") {
        return recto_cell::init_main(args.drain(2..));
    }
    let rounds = args
        .get(1)
        .and_then(|n| n.to_str()?.parse().ok())
        .unwrap_or(100);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let tree = args.get(2).map(Into::into);
    let report = runtime.map(|runtime| runtime.block_on(measure(rounds, tree)));
    match report {
        Ok(Ok(report)) => {
            let _ = std::io::stdout().write_all(report.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Err(error)) => {
            let _ = writeln!(
                std::io::stderr(),
                "{error}: {:?}",
                std::error::Error::source(&error)
            );
            ExitCode::FAILURE
        }
        Err(_) => ExitCode::FAILURE,
    }
}

/// In a work tree of its own, or in one that is there (its size is a part of the cost).
async fn measure(rounds: usize, there: Option<PathBuf>) -> Result<String, CellError> {
    let own = std::env::temp_dir().join(format!("cell-bench-{}", std::process::id()));
    let gone = |_| CellError::Gone;
    std::fs::create_dir_all(own.join(".git/hooks")).map_err(gone)?;
    std::fs::write(own.join(".git/config"), "").map_err(gone)?;
    let tree = there.unwrap_or_else(|| own.clone());
    let mut spec = CellSpec::new(Policy::default(), &tree);
    if let (Ok(home), Ok(path)) = (std::env::var("HOME"), std::env::var("PATH")) {
        spec = spec.with_tools_of(home.as_ref(), &path);
    }
    let (mut plain, mut made, mut ended, mut command) = (vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        let start = Instant::now();
        let _ = std::process::Command::new("/bin/true").status();
        plain.push(start.elapsed());

        let start = Instant::now();
        let cell = launch(spec.clone()).await?;
        made.push(start.elapsed());
        for _ in 0..3 {
            let start = Instant::now();
            run(&*cell, &["/bin/true"]).await?;
            command.push(start.elapsed());
        }
        let start = Instant::now();
        cell.close().await;
        ended.push(start.elapsed());
    }
    let cell = launch(spec).await?;
    let memory = memory();
    let (mut direct, mut pipe, mut inside) = (vec![], vec![], vec![]);
    let print = "head -c 100000000 /dev/zero";
    for _ in 0..rounds.clamp(5, 20) {
        let start = Instant::now();
        let _ = std::process::Command::new("sh")
            .args(["-c", &format!("{print} >/dev/null")])
            .status();
        direct.push(start.elapsed());
        let start = Instant::now();
        discard(print);
        pipe.push(start.elapsed());
        let start = Instant::now();
        run(&*cell, &["sh", "-c", print]).await?;
        inside.push(start.elapsed());
    }
    cell.close().await;
    let _ = std::fs::remove_dir_all(own);
    Ok(format!(
        "plain spawn of true      {}\nnew cell until hello     {}\ncommand in a cell        {}\nclose                    {}\n\
         100 MB to /dev/null      {}\n100 MB to a 64 KiB reader{}\n100 MB in a cell         {}\ncell-init memory: {memory}\n",
        median(plain),
        median(made),
        median(command),
        median(ended),
        median(direct),
        median(pipe),
        median(inside)
    ))
}

async fn run(cell: &dyn Cell, argv: &[&str]) -> Result<(), CellError> {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    let mut process = cell
        .spawn(Command {
            argv,
            ..Command::default()
        })
        .await?;
    while let Some(event) = process.events.next().await {
        if let ProcessEvent::Exited(_) = event {
            return Ok(());
        }
    }
    Err(CellError::Gone)
}

fn discard(script: &str) {
    let child = std::process::Command::new("sh")
        .args(["-c", script])
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(mut child) = child else { return };
    if let Some(mut output) = child.stdout.take() {
        let mut buffer = vec![0; 65536];
        while std::io::Read::read(&mut output, &mut buffer).is_ok_and(|n| n > 0) {}
    }
    let _ = child.wait();
}

/// Memory of our children that are cell-inits.
fn memory() -> String {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        if !line.starts_with("recto\0cell-init") || !line.contains(&std::process::id().to_string())
        {
            continue;
        }
        let mode = line.split('\0').nth(2).unwrap_or_default().to_owned();
        let rollup = std::fs::read_to_string(entry.path().join("smaps_rollup")).unwrap_or_default();
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let field = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.starts_with(key));
            line.map(|line| {
                line.split_whitespace()
                    .skip(1)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .unwrap_or_default()
        };
        lines.push(format!(
            "{mode}: RSS {} PSS {} private dirty {}",
            field(&status, "VmRSS"),
            field(&rollup, "Pss:"),
            field(&rollup, "Private_Dirty")
        ));
    }
    lines.join("; ")
}

fn median(mut times: Vec<std::time::Duration>) -> String {
    times.sort_unstable();
    let at = |index: usize| {
        times
            .get(index)
            .map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    format!(
        "{:8.2} (best tenth {:.2})",
        at(times.len() / 2),
        at(times.len() / 10)
    )
}
