//! `recto cell`: cells by hand, one file per command.

mod follow;
mod keep;
mod ls;
mod new;
mod policy;
mod rm;
mod run;
mod shell;
mod stats;
mod terminal;

pub use keep::keep;

use crate::args::{CellCommand, CellOptions, PolicyCommand, RunArgs};
use crate::compose::cell::{Settings, Wanted, settings};
use crate::compose::cells::Cells;
use crate::compose::home::Home;
use crate::compose::place::Place;
use crate::compose::settle::{Settled, settle};
use crate::exit::Failure;
use crate::output::tell;

/// Runs the command.
pub fn run(command: CellCommand) -> Result<u8, Failure> {
    let home = Home::find()?;
    let cells = Cells::of(&home);
    for record in cells.reap() {
        tell(&format!(
            "note: the cell {:?} had ended by itself; what it left is removed\n",
            record.label()
        ));
    }
    match command {
        CellCommand::Run(args) => run::run(&home, &cells, args),
        CellCommand::Shell(args) => shell::run(&home, &cells, args),
        CellCommand::New(args) => new::run(&home, args),
        CellCommand::Ls { json } => ls::run(&cells, json),
        CellCommand::Rm(args) => rm::run(&cells, &args),
        CellCommand::Stats { name, json } => stats::run(&cells, name.as_deref(), json),
        CellCommand::Policy {
            command: PolicyCommand::Explain { options, json },
        } => policy::explain(&home, options, json),
    }
}

/// What a cell here would be made from, and where that comes from.
async fn resolve(
    home: &Home,
    place: &Place,
    options: CellOptions,
) -> Result<(Settings, Settled), Failure> {
    let flags = RunArgs {
        sandbox: options.sandbox,
        add_dir: options.add_dir,
        config: options.config,
        profile: options.profile,
        ..RunArgs::default()
    };
    let settled = settle(home, place, &flags, None)?;
    let settings = settings(Wanted {
        home,
        policy: settled.policy.clone(),
        root: place.root(),
        cwd: &place.cwd,
        readable: settled.readable.clone(),
        env: settled.command_env.clone(),
        repository: place.repository.as_ref(),
    });
    Ok((settings.await, settled))
}
