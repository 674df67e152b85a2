//! `recto config`: what is configured and where it comes from.

use super::print;
use crate::args::{ConfigCommand, RunArgs};
use crate::compose::home::Home;
use crate::compose::place::Place;
use crate::compose::settle::resolve;
use crate::exit::{DONE, Failure};

/// Runs the command.
pub fn run(command: ConfigCommand) -> Result<u8, Failure> {
    match command {
        ConfigCommand::Schema => print(&recto_config::schema())?,
        ConfigCommand::Show {
            json,
            profile,
            config,
        } => {
            let home = Home::find()?;
            let place = Place::find(None)?;
            let run = RunArgs {
                profile,
                config,
                ..RunArgs::default()
            };
            let resolved = resolve(&home, Some(&place), &run)?;
            let shown = if json {
                format!("{}\n", resolved.show_json())
            } else {
                resolved.show()
            };
            print(&crate::output::safe::safe(&shown))?;
        }
    }
    Ok(DONE)
}
