//! `recto cell`: cells by hand, one file per command.

mod follow;
mod keep;
mod ls;
mod new;
mod policy;
mod requests;
mod rm;
mod run;
mod secrets;
mod shell;
mod stats;
mod terminal;

pub use keep::keep;

use std::path::PathBuf;

use anyhow::anyhow;
use recto_protocol::policy::Access;

use crate::args::{CellCommand, CellOptions, PolicyCommand, RunArgs};
use crate::compose::cell::{Settings, System, Wanted, settings};
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
        network: options.network,
        ..RunArgs::default()
    };
    let absolute = |path: &PathBuf| std::path::absolute(path);
    let work_layer = options.work_layer.as_ref().map(absolute).transpose()?;
    let lowers = options.system_layer.iter().map(absolute);
    let mut lowers: Vec<PathBuf> = lowers.collect::<Result<_, _>>()?;
    let setup = options.fake_root.then(|| lowers.remove(0));
    let settled = settle(home, place, &flags, None)?;
    let is_layered = options.work_layer.is_some() || !options.system_layer.is_empty();
    if settled.policy.access == Access::DangerFullAccess
        && (is_layered || flags.network.is_explicit())
    {
        return Err(Failure::usage(anyhow!(
            "danger-full-access isolates nothing, so there are no layers and no limits of the network"
        ))
        .hint("leave out either --sandbox danger-full-access or the other flags"));
    }
    let settings = settings(Wanted {
        home,
        policy: settled.policy.clone(),
        root: place.root(),
        cwd: &place.cwd,
        backend: settled.backend,
        readable: settled.readable.clone(),
        limits: settled.limits,
        env: settled.command_env.clone(),
        way_out: settled.way_out.clone(),
        repository: place.repository.as_ref(),
    });
    let mut settings = settings.await;
    settings.work_layer = work_layer;
    settings.system = System { lowers, setup };
    Ok((settings, settled))
}
