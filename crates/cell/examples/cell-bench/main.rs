//! The inside of `cargo xtask bench cell`: makes cells when told to, and tells the times.
//!
//! One JSON object per line in, one per line out, so that the caller can lay measurements side by
//! side, look at this process from outside, and have one of it as each user. Times are milliseconds.

mod ask;
mod measure;
mod neighbours;
mod place;

use std::io::{BufRead, Write};
use std::process::ExitCode;

use ask::{Answer, Ask};
use place::Place;

fn main() -> ExitCode {
    let mut args: Vec<_> = std::env::args_os().collect();
    // A cell's inside and its helpers are this binary too.
    if args.get(1).is_some_and(|word| word == "cell-init") {
        return recto_cell::init_main(args.drain(2..));
    }
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers until there is no more input.
fn serve() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut place = Place::default();
    for line in std::io::stdin().lock().lines() {
        let answer = match serde_json::from_str::<Ask>(&line?) {
            Ok(ask) => runtime.block_on(measure::answer(&mut place, ask)),
            Err(error) => Answer::Failed {
                error: error.to_string(),
            },
        };
        let mut output = std::io::stdout().lock();
        serde_json::to_writer(&mut output, &answer)?;
        writeln!(output)?;
        output.flush()?;
    }
    Ok(())
}
